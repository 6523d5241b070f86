/**
 * Limits in time: for a connection, for the first token, for silence between two, for an attempt, for a call.
 *
 * `timeoutOrElse` bounds any Effect, and `stream` any Stream, both without a timer where nothing has to wait.
 * A timeout interrupts what it bounds and waits until that is gone. The caller's own interruption goes before a
 * timeout.
 */
import * as Channel from "effect/Channel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { RequestTimeoutError, withoutStack } from "../errors/LLMError.ts"
import { checkDynamic, type DynamicOptions } from "../internal/dynamicTimeout.ts"
import { type Check, millisOf, optionError, positiveDuration, validateOrThrow } from "../internal/options.ts"
import * as Progress_ from "../internal/progress.ts"
import * as PullWatch from "../internal/pullWatch.ts"
import { timeLimit } from "../internal/timeLimit.ts"

// ---------------------------------------------------------------------------------------------------------------
// limits
// ---------------------------------------------------------------------------------------------------------------

/** Limits as they are written down. What is left out is taken from the default preset. `Duration.infinity`: none. */
export interface Options {
  /** Until the connection is made. */
  readonly connect?: Duration.Input
  /** From the start of a streamed attempt to its first content. */
  readonly firstToken?: Duration.Input
  /** Waiting for the next content of a stream. Keep-alives and empty deltas are not content. */
  readonly idle?: Duration.Input
  /**
   * One attempt that answers as a whole, from its start to its end. A new attempt begins anew. A stream shows that it
   * is alive, and is bounded by `firstToken`, `idle` and `total` instead.
   */
  readonly attempt?: Duration.Input
  /** The whole call: all attempts and waits. */
  readonly total?: Duration.Input
  /** Takes the limit of an attempt from the answer that is expected, instead of `attempt`. Default: off. */
  readonly dynamic?: DynamicOptions
}

/** Validated limits, in milliseconds; `Infinity` for none. */
export interface Limits {
  readonly connect: number
  readonly firstToken: number
  readonly idle: number
  readonly attempt: number
  readonly total: number
  readonly dynamic: DynamicOptions | undefined
}

const seconds = (connect: number, firstToken: number, idle: number, attempt: number, total: number) => ({
  connect: Duration.seconds(connect),
  firstToken: Duration.seconds(firstToken),
  idle: Duration.seconds(idle),
  attempt: Duration.seconds(attempt),
  total: Duration.seconds(total)
})

/** The limits with a name. */
export const presets = {
  default: seconds(10, 30, 30, 120, 300),
  /** Somebody is waiting. */
  interactive: seconds(10, 15, 15, 60, 180),
  highThroughput: seconds(10, 30, 30, 120, 300),
  /** Nobody is waiting. */
  batch: seconds(10, 120, 60, 600, 3600)
} satisfies Record<string, Options>

const isInfinite = (value: Duration.Input): boolean => Duration.isDuration(value) && !Duration.isFinite(value)

const checkLimit = (name: string, value: Duration.Input): Check =>
  isInfinite(value) ? undefined : positiveDuration(name, value)

const limitMs = (value: Duration.Input): number => (isInfinite(value) ? Infinity : millisOf(value)!)

const names = ["connect", "firstToken", "idle", "attempt", "total"] as const

/** Checks and completes limits. Throws a `ConfigError` for a wrong one. */
export const make = (options: Options = {}): Limits => {
  const all = { ...presets.default, ...options }
  validateOrThrow([...names.map((name) => checkLimit(name, all[name])), ...checkDynamic(options.dynamic ?? {})])
  return {
    connect: limitMs(all.connect),
    firstToken: limitMs(all.firstToken),
    idle: limitMs(all.idle),
    attempt: limitMs(all.attempt),
    total: limitMs(all.total),
    dynamic: options.dynamic
  }
}

const inSeconds = (ms: number): string => (ms === Infinity ? "none" : `${Math.round(ms / 100) / 10} s`)

/** The limits in a line. */
export const describe = (limits: Limits): string => {
  const attempt = limits.dynamic === undefined ? inSeconds(limits.attempt) : "by the length of the answer"
  return (
    `connect ${inSeconds(limits.connect)}, first token ${inSeconds(limits.firstToken)}, ` +
    `idle ${inSeconds(limits.idle)}, attempt ${attempt}, total ${inSeconds(limits.total)}`
  )
}

// ---------------------------------------------------------------------------------------------------------------
// effects
// ---------------------------------------------------------------------------------------------------------------

const limitOf = (duration: Duration.Input): number => {
  if (isInfinite(duration)) return Infinity
  const millis = millisOf(duration)
  if (millis === undefined) throw optionError("duration", duration, "a duration of at least zero")
  return millis
}

/**
 * Bounds an effect in time, and goes on with `orElse` where it takes longer.
 *
 * The effect runs in a fiber of its own, started at once; if it needs no waiting no timer is made. When the time is
 * over it is interrupted and awaited; a result that is there in that moment counts, and a defect of its finalizers is
 * passed on. Throws a `ConfigError` for a duration that is none.
 */
export const timeoutOrElse: {
  <B, E2, R2>(options: {
    readonly duration: Duration.Input
    readonly orElse: () => Effect.Effect<B, E2, R2>
  }): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | B, E | E2, R | R2>
  <A, E, R, B, E2, R2>(
    self: Effect.Effect<A, E, R>,
    options: { readonly duration: Duration.Input; readonly orElse: () => Effect.Effect<B, E2, R2> }
  ): Effect.Effect<A | B, E | E2, R | R2>
} = dual(
  2,
  <A, E, R, B, E2, R2>(
    self: Effect.Effect<A, E, R>,
    options: { readonly duration: Duration.Input; readonly orElse: () => Effect.Effect<B, E2, R2> }
  ): Effect.Effect<A | B, E | E2, R | R2> => timeLimit(self, limitOf(options.duration), options.orElse)
)

// ---------------------------------------------------------------------------------------------------------------
// streams
// ---------------------------------------------------------------------------------------------------------------

export type Phase = PullWatch.WatchPhase

export interface StreamOptions<in A, out E> {
  /** Until the first content. Default: no limit. */
  readonly firstToken?: Duration.Input
  /** Waiting for the next content. Time the reader takes does not count. Default: no limit. */
  readonly idle?: Duration.Input
  /** From the first pull to the end, the reader's time included. Default: no limit. */
  readonly total?: Duration.Input
  /** Whether an element is content; those that are not do not end a silence. Default: every element is. */
  readonly isContent?: (element: A) => boolean
  /** The error for a limit that was passed. Default: `RequestTimeoutError`. */
  readonly onTimeout?: (phase: Phase, limit: Duration.Duration) => E
}

const says: Record<Phase, string> = {
  firstToken: "No content came within",
  idle: "The stream went silent for",
  total: "The stream did not end within"
}

const timeoutError = (phase: Phase, limit: Duration.Duration): RequestTimeoutError =>
  withoutStack(() => new RequestTimeoutError({ message: `${says[phase]} ${Duration.format(limit)}`, phase, limit }))

const streamLimit = (name: string, value: Duration.Input | undefined): number => {
  if (value === undefined) return Infinity
  validateOrThrow([checkLimit(name, value)])
  return limitMs(value)
}

type Parts<A> = readonly [A, ...Array<A>]

const watched = <A, E, R, E2>(
  channel: Channel.Channel<Parts<A>, E, void, unknown, unknown, unknown, R>,
  scope: Scope.Scope,
  watch: PullWatch.PullWatch<E2>,
  isContent: ((element: A) => boolean) | undefined
): Pull.Pull<Parts<A>, E | E2, void, R> => {
  let upstream: Pull.Pull<Parts<A>, E, void, R> | undefined
  // Opening the stream is part of the wait for its first content.
  const open = Effect.flatMap(Channel.toPullScoped(channel, scope), (pull) => {
    upstream = pull
    return pull
  })
  return watch.runTo(
    Effect.suspend(() => upstream ?? open),
    (exit) => {
      if (exit._tag === "Success" && (isContent === undefined || exit.value.some(isContent))) watch.content()
      return exit
    }
  )
}

/**
 * Bounds the waits of a stream. Passing a limit fails the stream, also in the middle of a pull, which is interrupted
 * and awaited; the stream never ends as a success by it. Throws a `ConfigError` for a wrong limit.
 */
export const stream: {
  <A, E2 = RequestTimeoutError>(
    options: StreamOptions<A, E2>
  ): <E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | E2, R>
  <A, E, R, E2 = RequestTimeoutError>(
    self: Stream.Stream<A, E, R>,
    options: StreamOptions<A, E2>
  ): Stream.Stream<A, E | E2, R>
} = dual(2, <A, E, R, E2>(self: Stream.Stream<A, E, R>, options: StreamOptions<A, E2>): Stream.Stream<A, E | E2, R> => {
  const fail = (options.onTimeout ?? timeoutError) as (phase: Phase, limit: Duration.Duration) => E2
  const settings: PullWatch.WatchOptions<E2> = {
    firstTokenMs: streamLimit("firstToken", options.firstToken),
    idleMs: streamLimit("idle", options.idle),
    totalMs: streamLimit("total", options.total),
    onTimeout: (phase, limitMs) => fail(phase, Duration.millis(limitMs))
  }
  return Stream.fromChannel(
    Channel.fromTransform<Parts<A>, E | E2, void, unknown, unknown, unknown, never, R, never>((_upstream, scope) => {
      const watch = PullWatch.make(settings)
      return Effect.as(
        Scope.addFinalizer(scope, watch.stop),
        watched(Stream.toChannel(self), scope, watch, options.isContent)
      )
    })
  ) as Stream.Stream<A, E | E2, R>
})

// ---------------------------------------------------------------------------------------------------------------
// progress
// ---------------------------------------------------------------------------------------------------------------

/** Turns the parts of a running answer into figures of its progress. */
export type Tracker = Progress_.Tracker

/** A tracker for an answer that began at `startedMs` of the monotonic clock. */
export const progress = (options: { readonly startedMs: number }): Tracker => Progress_.make(options)
