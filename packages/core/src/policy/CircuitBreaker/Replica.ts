/**
 * Shared mode: tells the store what this breaker found out, and does what the others tell.
 *
 * A call never waits for any of this. Changes of a key are ordered by a Lamport clock, so that all replicas end in
 * the same state in whatever order they hear of them.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { StoreError, withoutStack } from "../../errors/LLMError.ts"
import { type Change, tripOf } from "../../internal/breaker.ts"
import { closeFromAfar, openFromAfar } from "../../internal/breakerManual.ts"
import { type BreakerChange, type BreakerStoreService, isNewer } from "../../store/BreakerStore.ts"
import type { Engine } from "./Engine.ts"

interface Outgoing {
  readonly change: BreakerChange
  readonly atMs: number
}

/** Changes waiting for the store; the oldest are lost first. */
const backlog = 4096
const patience = "5 seconds"
const firstPauseMs = 100
const longestPauseMs = 10_000

const tooSlow = (operation: string) => () =>
  Effect.fail(
    withoutStack(
      () =>
        new StoreError({
          message: `The store of circuit breakers did not answer in ${patience}.`,
          store: "breaker",
          operation
        })
    )
  )

const ended = (): StoreError =>
  withoutStack(
    () =>
      new StoreError({
        message: "The store of circuit breakers ended its subscription.",
        store: "breaker",
        operation: "subscribe"
      })
  )

/** What a local change means to the others; `undefined` for what is nobody else's business. */
const toShare = ({
  circuit,
  from,
  nowMs,
  reason,
  to
}: Change): Pick<BreakerChange, "state" | "remainingMs"> | undefined => {
  if (reason === "shared" || reason === "restored") return undefined
  if (to === "open" && reason !== "manual") {
    return { state: "open", remainingMs: Math.max(0, tripOf(circuit).openUntilMs - nowMs) }
  }
  return to === "closed" && (from === "open" || from === "half-open") ? { state: "closed", remainingMs: 0 } : undefined
}

const isSound = (change: BreakerChange): boolean =>
  typeof change.key === "string" &&
  change.key !== "" &&
  Number.isFinite(change.remainingMs) &&
  change.remainingMs >= 0 &&
  Number.isSafeInteger(change.revision) &&
  Number.isSafeInteger(change.openings) &&
  change.openings >= 0

const nameReplica = Effect.map(Effect.all([Random.nextInt, Random.nextInt]), (parts) =>
  parts.map((part) => Math.abs(part).toString(36)).join("-")
)

/** Connects a breaker to a store for as long as the scope lasts. */
export const replicate = (engine: Engine, store: BreakerStoreService): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const origin = yield* nameReplica
    const outgoing = yield* Queue.sliding<Outgoing>(backlog)
    let revision = 0
    let available = true

    const lost = (error: StoreError) =>
      Effect.sync(() => {
        if (!available) return
        available = false
        engine.emit(() => ({ type: "circuit-store-changed", available, error }))
      })

    const found = Effect.sync(() => {
      if (available) return
      available = true
      engine.emit(() => ({ type: "circuit-store-changed", available }))
    })

    const offer = (key: string, state: BreakerChange["state"], remainingMs: number): void => {
      const trip = tripOf(engine.circuits.get(key))
      revision++
      trip.stamp = { revision, origin }
      const change: BreakerChange = { key, state, remainingMs, openings: trip.openings, revision, origin }
      Queue.offerUnsafe(outgoing, { change, atMs: engine.now() })
    }

    const apply = (change: BreakerChange): void => {
      if (!isSound(change)) return
      revision = Math.max(revision, change.revision)
      if (change.origin === origin) return
      const known = engine.circuits.find(change.key)
      // A circuit nobody here has asked for yet need not be told that it is closed.
      if (known === undefined && change.state === "closed") return
      const circuit = known ?? engine.circuits.get(change.key)
      const trip = tripOf(circuit)
      if (!isNewer(change, trip.stamp)) return
      trip.stamp = { revision: change.revision, origin: change.origin }
      const nowMs = engine.now()
      if (change.state === "closed") closeFromAfar(engine.machine, circuit, nowMs)
      else if (change.remainingMs > 0) {
        openFromAfar(engine.machine, circuit, nowMs, change.remainingMs, change.openings, "shared")
      }
      engine.flush()
    }

    /** After a silence the others may not know which circuits are open here. */
    const announce = Effect.sync(() => {
      const nowMs = engine.now()
      for (const circuit of engine.circuits.all()) {
        const stamp = circuit.trip?.stamp
        const remainingMs = circuit.state === "open" ? tripOf(circuit).openUntilMs - nowMs : 0
        if (remainingMs > 0 && (stamp === undefined || stamp.origin === origin)) offer(circuit.key, "open", remainingMs)
      }
    })

    const publish = ({ atMs, change }: Outgoing): Effect.Effect<void, StoreError> =>
      Effect.suspend(() => {
        const remainingMs = change.remainingMs - (engine.now() - atMs)
        if (change.state === "open" && remainingMs <= 0) return Effect.void
        return Effect.timeoutOrElse(store.publish(change.state === "open" ? { ...change, remainingMs } : change), {
          duration: patience,
          orElse: tooSlow("publish")
        })
      })

    const pause = (pauseMs: number) => Effect.sleep(pauseMs)
    const publishAtLast = (item: Outgoing, pauseMs: number): Effect.Effect<void> =>
      Effect.matchEffect(publish(item), {
        onFailure: (error) =>
          lost(error).pipe(
            Effect.andThen(pause(pauseMs)),
            Effect.andThen(Effect.suspend(() => publishAtLast(item, Math.min(longestPauseMs, pauseMs * 2))))
          ),
        onSuccess: () => found
      })

    /** One connection, from its beginning to its loss. */
    const listen = (connected: () => void): Effect.Effect<never, StoreError> =>
      Effect.scoped(
        Effect.gen(function* () {
          const changes = yield* Effect.timeoutOrElse(store.subscribe, {
            duration: patience,
            orElse: tooSlow("subscribe")
          })
          const open = yield* Effect.timeoutOrElse(store.load, { duration: patience, orElse: tooSlow("load") })
          open.forEach(apply)
          connected()
          yield* found
          yield* announce
          yield* Stream.runForEach(changes, (change) => Effect.sync(() => apply(change)))
          return yield* Effect.fail(ended())
        })
      )

    const listenForEver = (pauseMs: number): Effect.Effect<never> =>
      Effect.suspend(() => {
        let next = Math.min(longestPauseMs, pauseMs * 2)
        return Effect.catch(
          listen(() => (next = firstPauseMs)),
          (error) =>
            lost(error).pipe(Effect.andThen(pause(pauseMs)), Effect.andThen(Effect.suspend(() => listenForEver(next))))
        )
      })

    engine.hooks.onChange = (change) => {
      const share = toShare(change)
      if (share !== undefined) offer(change.circuit.key, share.state, share.remainingMs)
    }
    yield* Effect.forkScoped(
      Effect.forever(Effect.flatMap(Queue.take(outgoing), (item) => publishAtLast(item, firstPauseMs)))
    )
    yield* Effect.forkScoped(listenForEver(firstPauseMs))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        engine.hooks.onChange = undefined
      })
    )
  })
