/** What the stores of answers have in common: how long an entry may live, and how its text is read. */
import { CacheStore } from "@breakwater/core"

/** Ten years: what a cache's time to live may be at most. */
const longestMs = 315_360_000_000

/** A time to live in whole milliseconds, as servers count them. */
export const wholeMs = (ttlMs: number): number => Math.min(longestMs, Math.max(1, Math.floor(ttlMs)))

/** An entry of this version's format, or `undefined` for text that nobody of this version wrote. */
export const entryOf = (text: string): object | undefined => {
  try {
    const entry: unknown = JSON.parse(text)
    if (typeof entry !== "object" || entry === null || !("format" in entry)) return undefined
    return entry.format === CacheStore.format ? entry : undefined
  } catch {
    return undefined
  }
}
