/**
 * Where circuit breakers tell each other what they found out.
 *
 * Each replica decides for itself and asks the store nothing while it does. It tells the others when it has
 * opened or closed a circuit, and listens to what they tell. A store that is lost costs only that.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StoreError } from "../errors/LLMError.ts"
import { monotonicMs } from "../internal/time.ts"

/** What a replica tells the others of a circuit. Plain data. */
export interface BreakerChange {
  readonly key: string
  readonly state: "open" | "closed"
  /** How long the circuit stays open from now on; 0 for a closed one. No clocks are compared. */
  readonly remainingMs: number
  /** Openings in a row, from which the others go on growing their open time. */
  readonly openings: number
  /** A Lamport clock: of two changes of a key the one with the higher `revision` holds, then that of the higher `origin`. */
  readonly revision: number
  /** The replica. */
  readonly origin: string
}

/** Whether one change of a key overrules another. */
export const isNewer = (
  change: Pick<BreakerChange, "revision" | "origin">,
  than: Pick<BreakerChange, "revision" | "origin"> | undefined
): boolean =>
  than === undefined ||
  change.revision > than.revision ||
  (change.revision === than.revision && change.origin > than.origin)

/**
 * The port.
 *
 * - `publish` hands a change to every subscriber (the publisher too) and remembers the newest change of each key:
 *   an open one until its time is over, a closed one for at least a minute
 * - `subscribe` answers once the subscription is in force, so that nothing published later is missed; its stream
 *   fails when the connection is lost
 * - `load` answers with the open changes that hold now, `remainingMs` counted down
 */
export interface BreakerStoreService {
  readonly publish: (change: BreakerChange) => Effect.Effect<void, StoreError>
  readonly subscribe: Effect.Effect<Stream.Stream<BreakerChange, StoreError>, StoreError, Scope.Scope>
  readonly load: Effect.Effect<ReadonlyArray<BreakerChange>, StoreError>
}

export class BreakerStore extends Context.Service<BreakerStore, BreakerStoreService>()(
  "@breakwater/core/BreakerStore"
) {}

const rememberClosedMs = 60_000
const backlog = 4096

interface Remembered {
  readonly change: BreakerChange
  readonly untilMs: number
}

/** A store in memory: for breakers that share one process, and for tests. */
export const makeMemory: Effect.Effect<BreakerStoreService> = Effect.map(Clock.Clock, (clock) => {
  const newest = new Map<string, Remembered>()
  const subscribers = new Set<Queue.Queue<BreakerChange>>()

  const remember = (change: BreakerChange, nowMs: number): void => {
    if (!isNewer(change, newest.get(change.key)?.change)) return
    newest.delete(change.key)
    const keepMs = change.state === "open" ? change.remainingMs : rememberClosedMs
    newest.set(change.key, { change, untilMs: nowMs + keepMs })
  }

  /** Two entries are looked at for each one added, so that what is over goes away. */
  const tidy = (nowMs: number): void => {
    let looked = 0
    for (const [key, entry] of newest) {
      if (looked++ === 2) return
      newest.delete(key)
      if (entry.untilMs > nowMs) newest.set(key, entry)
    }
  }

  return {
    publish: (change) =>
      Effect.sync(() => {
        const nowMs = monotonicMs(clock)
        tidy(nowMs)
        remember(change, nowMs)
        for (const subscriber of subscribers) Queue.offerUnsafe(subscriber, change)
      }),
    subscribe: Effect.map(
      Effect.acquireRelease(
        Effect.tap(Queue.sliding<BreakerChange>(backlog), (queue) => Effect.sync(() => subscribers.add(queue))),
        (queue) =>
          Effect.andThen(
            Effect.sync(() => subscribers.delete(queue)),
            Queue.shutdown(queue)
          )
      ),
      Stream.fromQueue
    ),
    load: Effect.sync(() => {
      const nowMs = monotonicMs(clock)
      const open: Array<BreakerChange> = []
      for (const { change, untilMs } of newest.values()) {
        if (change.state === "open" && untilMs > nowMs) open.push({ ...change, remainingMs: untilMs - nowMs })
      }
      return open
    })
  }
})

/** The store in memory as a Layer. */
export const layerMemory: Layer.Layer<BreakerStore> = Layer.effect(BreakerStore, makeMemory)
