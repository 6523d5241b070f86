/**
 * What is kept of an answer on Redis, and how it is read. Its age comes from its time to live, so that no clock is
 * asked: neither the server's nor a process's.
 */
import { CacheStore } from "@breakwater/core"
import { script } from "./Script.ts"

/** `KEYS`: the entry. The answer is its text and the milliseconds it has left, or nothing. Both of one moment. */
export const readScript = script(`
local text = redis.call('GET', KEYS[1])
if not text then return false end
return {text, redis.call('PTTL', KEYS[1])}
`)

/** As {@link readScript} answers. */
export type Reply = readonly [text: string, leftMs: number] | null

/** Ten years: what a cache's time to live may be at most. */
const longestMs = 315_360_000_000

/** Whole milliseconds, as Redis counts them. */
export const wholeMs = (ttlMs: number): number => Math.min(longestMs, Math.max(1, Math.floor(ttlMs)))

/** An entry as text: its time to live, and its JSON. */
export const toText = (entry: CacheStore.CacheEntry, ttlMs: number): string => `${ttlMs} ${JSON.stringify(entry)}`

/** What a reply says: an entry of this version's format, or `undefined` for text that nobody of this version wrote. */
export const fromReply = ([text, leftMs]: NonNullable<Reply>): CacheStore.Found | undefined => {
  const end = text.indexOf(" ")
  const ttlMs = Number(text.slice(0, end))
  // Without an end it was not kept by us: an entry whose time can never be over would stay for ever.
  if (end < 1 || !Number.isSafeInteger(ttlMs) || leftMs < 0) return undefined
  try {
    const entry: unknown = JSON.parse(text.slice(end + 1))
    if (typeof entry !== "object" || entry === null || !("format" in entry)) return undefined
    return entry.format === CacheStore.format ? { entry, ageMs: Math.max(0, ttlMs - leftMs) } : undefined
  } catch {
    return undefined
  }
}
