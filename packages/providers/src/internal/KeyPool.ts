/**
 * The keys of one provider. They take turns; one that the provider refuses (401, 403, no money left) is set aside
 * for a while and the next is asked within the same call. That is safe because a refusal means that nothing
 * reached the model. Keys stay redacted until they are put into a header.
 */
import type { LLMError } from "@breakwater/core"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export type ApiKeys = Redacted.Redacted<string> | ReadonlyArray<Redacted.Redacted<string>>

export interface KeyPool {
  /** How many keys there are. */
  readonly size: number
  /**
   * Runs a call with a key; `undefined` where the provider has none and needs none. A refused key is replaced at
   * most once by each other key.
   */
  readonly use: <A, R>(
    call: (key: string | undefined) => Effect.Effect<A, LLMError.AttemptError, R>
  ) => Effect.Effect<A, LLMError.AttemptError, R>
}

/** How long a refused key is not used while there is another. */
export const defaultSetAsideMs = 5 * 60_000

interface Entry {
  readonly key: Redacted.Redacted<string>
  asideUntilMs: number
}

const isRefusal = (error: LLMError.AttemptError): boolean =>
  error._tag === "AuthenticationError" || error._tag === "QuotaExhaustedError"

const listOf = (keys: ApiKeys | undefined): ReadonlyArray<Redacted.Redacted<string>> =>
  keys === undefined ? [] : Redacted.isRedacted(keys) ? [keys] : keys

/** A pool. With no keys at all, calls are made without one. */
export const make = (keys: ApiKeys | undefined, setAsideMs: number = defaultSetAsideMs): KeyPool => {
  const entries: ReadonlyArray<Entry> = listOf(keys).map((key) => ({ key, asideUntilMs: -Infinity }))
  let turn = 0

  /** The next key in turn that is not set aside; else the one whose time is over first. */
  const pick = (nowMs: number, tried: ReadonlyArray<Entry>): Entry | undefined => {
    let soonest: Entry | undefined
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[(turn + i) % entries.length]!
      if (tried.includes(entry)) continue
      if (entry.asideUntilMs <= nowMs) {
        turn = (turn + i + 1) % entries.length
        return entry
      }
      if (soonest === undefined || entry.asideUntilMs < soonest.asideUntilMs) soonest = entry
    }
    // Set aside is not worth asking again in a call that another key has already been refused in.
    return tried.length === 0 ? soonest : undefined
  }

  return {
    size: entries.length,
    use: (call) => {
      if (entries.length === 0) return call(undefined)
      if (entries.length === 1) return Effect.suspend(() => call(Redacted.value(entries[0]!.key)))
      return Effect.clockWith((clock) => {
        const nowMs = () => monotonicMs(clock)
        const attempt = (entry: Entry, tried: ReadonlyArray<Entry>): ReturnType<typeof call> =>
          Effect.catch(call(Redacted.value(entry.key)), (error) => {
            if (!isRefusal(error)) return Effect.fail(error)
            entry.asideUntilMs = nowMs() + setAsideMs
            const next = pick(nowMs(), [...tried, entry])
            return next === undefined ? Effect.fail(error) : attempt(next, [...tried, entry])
          })
        return attempt(pick(nowMs(), [])!, [])
      })
    }
  }
}

const monotonicMs = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
