/**
 * What is kept of an answer on Redis, and how it is read. Its age comes from its time to live, so that no clock is
 * asked: neither the server's nor a process's.
 */
import type { CacheStore } from "@breakwater/core"
import { entryOf } from "../../internal/cacheEntry.ts"
import { script } from "./Script.ts"

/** `KEYS`: the entry. The answer is its text and the milliseconds it has left, or nothing. Both of one moment. */
export const readScript = script(`
local text = redis.call('GET', KEYS[1])
if not text then return false end
return {text, redis.call('PTTL', KEYS[1])}
`)

/** As {@link readScript} answers. */
export type Reply = readonly [text: string, leftMs: number] | null

/** An entry as text: its time to live, and its JSON. */
export const toText = (entry: CacheStore.CacheEntry, ttlMs: number): string => `${ttlMs} ${JSON.stringify(entry)}`

/** What a reply says; `undefined` for what cannot be read. */
export const fromReply = ([text, leftMs]: NonNullable<Reply>): CacheStore.Found | undefined => {
  const end = text.indexOf(" ")
  const ttlMs = Number(text.slice(0, end))
  // Without an end it was not kept by us: an entry whose time can never be over would stay for ever.
  if (end < 1 || !Number.isSafeInteger(ttlMs) || leftMs < 0) return undefined
  const entry = entryOf(text.slice(end + 1))
  return entry === undefined ? undefined : { entry, ageMs: Math.max(0, ttlMs - leftMs) }
}
