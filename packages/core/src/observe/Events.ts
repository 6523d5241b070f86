/**
 * Subscriptions to what the policies do.
 */
import type * as Cause from "effect/Cause"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { EventSink, type PolicyEvent, PromptHash } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { validate, validateOrThrow, wholeInRange } from "../internal/options.ts"
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
 * Runs an effect beside a stream of its events. The stream holds `capacity` events (1 to 1,000,000, default 1,024) and
 * drops the oldest when its reader is too slow: it never holds up a call. It ends with the effect.
 *
 * Throws a `ConfigError` for a wrong capacity.
 */
export const withStream = <A, E, R, B, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  consume: (events: Stream.Stream<PolicyEvent>) => Effect.Effect<B, E2, R2>,
  options: { readonly capacity?: number } = {}
): Effect.Effect<readonly [A, B], E | E2, R | R2> => {
  const { capacity = 1024 } = options
  validateOrThrow([wholeInRange("capacity", capacity, 1, 1_000_000)])
  return Effect.gen(function* () {
    const queue = yield* Queue.sliding<PolicyEvent, Cause.Done>(capacity)
    const run = effect.pipe(
      listen((event) => {
        Queue.offerUnsafe(queue, event)
      }),
      Effect.ensuring(Queue.end(queue))
    )
    return yield* Effect.all([run, consume(Stream.fromQueue(queue))], { concurrency: 2 })
  })
}

/** An event as a reader of {@link stream} gets it. */
export interface Heard {
  readonly event: PolicyEvent
  /** Events that this reader has lost so far, because it was too slow. */
  readonly dropped: number
}

/** The events of a program, for any number of readers. */
export class EventStream extends Context.Service<EventStream, { readonly stream: Stream.Stream<Heard> }>()(
  "@breakwater/core/EventStream"
) {}

/** One reader: its queue, and how much did not fit. */
class Reader {
  readonly queue: Queue.Queue<PolicyEvent, Cause.Done>
  private readonly capacity: number
  private dropped = 0

  constructor(queue: Queue.Queue<PolicyEvent, Cause.Done>, capacity: number) {
    this.queue = queue
    this.capacity = capacity
  }

  offer(event: PolicyEvent): void {
    if (Queue.sizeUnsafe(this.queue) >= this.capacity) this.dropped += 1
    Queue.offerUnsafe(this.queue, event)
  }

  /** What is dropped is always older than what is read. */
  get stream(): Stream.Stream<Heard> {
    return Stream.map(Stream.fromQueue(this.queue), (event) => ({ event, dropped: this.dropped }))
  }
}

/**
 * Keeps the events of everything that is given this Layer for those who read {@link stream}. Each reader has a queue of
 * `capacity` events (1 to 1,000,000, default 1,024) that drops the oldest when it is full: no call waits for a reader.
 * The streams end with the Layer. Another listener that is already in place goes on hearing the events.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const layerStream = (
  options: { readonly capacity?: number } = {}
): Layer.Layer<EventStream, Config.ConfigError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { capacity = 1024 } = options
      yield* validate([wholeInRange("capacity", capacity, 1, 1_000_000)])
      const outer = yield* EventSink
      const readers = new Set<Reader>()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const { queue } of readers) Queue.endUnsafe(queue)
        })
      )
      const subscribe = Effect.acquireRelease(
        Effect.map(Queue.sliding<PolicyEvent, Cause.Done>(capacity), (queue) => {
          const reader = new Reader(queue, capacity)
          readers.add(reader)
          return reader
        }),
        (reader) => Effect.sync(() => readers.delete(reader))
      )
      const stream = Stream.unwrap(Effect.map(subscribe, (reader) => reader.stream))
      const listen = (event: PolicyEvent): void => {
        for (const reader of readers) reader.offer(event)
      }
      return Context.make(EventStream, { stream }).pipe(Context.add(EventSink, joined(listen, outer)))
    })
  )

/** The events from now on, of the {@link layerStream} in the context. */
export const stream: Stream.Stream<Heard, never, EventStream> = Stream.unwrap(
  Effect.map(EventStream, (events) => events.stream)
)

/**
 * Gives the events of calls a `promptHash`: SHA-256 over all messages, as 43 characters of base64url. Calls that ask the
 * same have the same. Who can guess a prompt can check the guess, unless the hash is made with a `key` of one's own.
 */
export const layerPromptHash = (options: { readonly key?: string } = {}): Layer.Layer<never> => {
  const { key = "" } = options
  return Layer.succeed(PromptHash, (messages) => sha256(`${key.length}:${key}${messages}`))
}
