/**
 * Which requests have one answer.
 */
import type { CacheCall } from "../domain/Cache.ts"

/** Only requests that are meant to have one answer: with a temperature of 0, or a seed. */
export const isDeterministic = (call: CacheCall): boolean =>
  call.request.temperature === 0 || call.request.seed !== undefined

/** Asks a predicate of the user's; one that throws says no. */
export const asks = (cacheable: (call: CacheCall) => boolean, call: CacheCall): boolean => {
  try {
    return cacheable(call)
  } catch {
    return false
  }
}
