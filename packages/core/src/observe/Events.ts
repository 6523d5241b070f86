/**
 * Subscriptions to what the policies do.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { EventSink, type PolicyEvent, PromptHash } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { sha256 } from "../internal/sha256.ts"

/** Calls `handler` for every event of the effect. The handler is called synchronously: it should be quick. */
export const listen =
  (handler: (event: PolicyEvent) => void) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(effect, EventSink, (outer) => joined(handler, outer))

/**
 * Calls `handler` for every event of the program that is given this Layer. Another listener that is already in place goes
 * on hearing the events.
 */
export const layer = (handler: (event: PolicyEvent) => void): Layer.Layer<never> =>
  Layer.effect(
    EventSink,
    Effect.map(EventSink, (outer) => joined(handler, outer))
  )

/**
 * Several listeners at once: `Metrics.layer`, `Logs.layer()`, `Summary.layer`, `Events.layer(…)`. There is one place for a
 * listener, and each of them passes on to the one that was there before: built one upon the other, as here, all of them
 * hear everything. `Layer.mergeAll` builds them side by side, and only the last one would be heard.
 */
export const layerAll = <const Layers extends readonly [Layer.Any, ...Array<Layer.Any>]>(
  ...layers: Layers
): Layer.Layer<Layer.Success<Layers[number]>, Layer.Error<Layers[number]>, Layer.Services<Layers[number]>> =>
  (layers as unknown as ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>).reduce((below, next) =>
    Layer.provideMerge(next, below)
  ) as never

/**
 * Runs an effect beside a stream of its events. The stream holds `capacity` events (default 1,024) and drops the
 * oldest when its reader is too slow: it never holds up a call. It ends with the effect.
 */
export const withStream = <A, E, R, B, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  consume: (events: Stream.Stream<PolicyEvent>) => Effect.Effect<B, E2, R2>,
  options?: { readonly capacity?: number }
): Effect.Effect<readonly [A, B], E | E2, R | R2> =>
  Effect.gen(function* () {
    const queue = yield* Queue.sliding<PolicyEvent, Cause.Done>(options?.capacity ?? 1024)
    const run = effect.pipe(
      listen((event) => {
        Queue.offerUnsafe(queue, event)
      }),
      Effect.ensuring(Queue.end(queue))
    )
    return yield* Effect.all([run, consume(Stream.fromQueue(queue))], { concurrency: 2 })
  })

/**
 * Gives the events of calls a `promptHash`: SHA-256 over all messages, as 43 characters of base64url. Calls that ask the
 * same have the same. Who can guess a prompt can check the guess, unless the hash is made with a `key` of one's own.
 */
export const layerPromptHash = (options: { readonly key?: string } = {}): Layer.Layer<never> => {
  const { key = "" } = options
  return Layer.succeed(PromptHash, (messages) => sha256(`${key.length}:${key}${messages}`))
}
