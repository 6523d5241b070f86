/**
 * Tells somebody of alerts, in order and behind the calls: what is to be told waits in a bounded queue, of which the
 * oldest goes when it is full. Telling never waits and never fails.
 */
import { Options, Retry } from "@breakwater/core"
import type * as Cause from "effect/Cause"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Incident } from "./Incident.ts"
import type { Alert } from "./internal/evaluator.ts"

/** What is told. */
export interface Notification {
  /** The same for the same thing told twice: one who receives it can leave out what they have. */
  readonly id: string
  /** `reminder`: it fires still. */
  readonly status: "firing" | "reminder" | "resolved"
  /** Milliseconds since 1970. */
  readonly at: number
  readonly alert: Alert
  /** The incident that it is part of, as it is now. */
  readonly incident?: Incident
}

/** Telling failed. `retryable` says whether the same may be told again. */
export class NotifyError extends Schema.TaggedError<NotifyError>("@breakwater/alerts/NotifyError")("NotifyError", {
  message: Schema.String,
  retryable: Schema.Boolean,
  retryAfter: Schema.optionalKey(Schema.Duration)
}) {}

/** What became of the notifications so far. */
export interface Stats {
  readonly name: string
  readonly queued: number
  readonly delivered: number
  /** Given up after all tries. */
  readonly failed: number
  /** Pushed out of a full queue. */
  readonly dropped: number
  readonly lastError?: string
}

export interface Notifier {
  readonly name: string
  /** Never waits, never throws. */
  readonly notify: (notification: Notification) => void
  readonly stats: () => Stats
}

/** How long things may take, and how many may wait. */
export interface Bounds {
  /** Notifications that wait at most, 1 to 100,000. Default 256. */
  readonly capacity?: number
  /** The first wait before another try; it doubles, with full jitter. Default 1 second. */
  readonly retryBase?: Duration.Input
  /** The longest wait between two tries. Default 1 minute. */
  readonly retryCap?: Duration.Input
  /** All tries and waits for one notification. Default 10 minutes. */
  readonly giveUpAfter?: Duration.Input
  /** How long the end of the scope waits for what is queued. Default 2 seconds. */
  readonly farewell?: Duration.Input
}

export interface Options extends Bounds {
  readonly name: string
  readonly send: (notification: Notification) => Effect.Effect<void, NotifyError>
}

/** Defaults of {@link make}. */
export const defaults = {
  capacity: 256,
  retryBase: "1 second",
  retryCap: "1 minute",
  giveUpAfter: "10 minutes",
  farewell: "2 seconds"
} as const satisfies Bounds

/**
 * A notifier that sends by a function, one at a time. Tries what may be tried again by an exponential schedule with full
 * jitter, raised to a `retryAfter`; then gives it up and goes on with the next.
 *
 * Fails with a `ConfigError` for a wrong option. The scope ends it: what is queued has `farewell` to go.
 */
export const make = (options: Options): Effect.Effect<Notifier, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const settings = { ...defaults, ...options }
    yield* Options.validate([
      Options.wholeInRange("capacity", settings.capacity, 1, 100_000),
      Options.positiveDuration("retryBase", settings.retryBase),
      Options.positiveDuration("retryCap", settings.retryCap),
      Options.positiveDuration("giveUpAfter", settings.giveUpAfter),
      Options.positiveDuration("farewell", settings.farewell)
    ])
    const queue = yield* Queue.sliding<Notification, Cause.Done>(settings.capacity)
    const counts = { delivered: 0, failed: 0, dropped: 0, lastError: undefined as string | undefined }
    const schedule = Retry.exponential({ base: settings.retryBase, cap: settings.retryCap, jitter: "full" }).pipe(
      Retry.honourHint({ maxHint: settings.giveUpAfter })
    )
    const noteFailure = (error: { readonly message: string }): void => {
      counts.lastError = error.message
    }
    const deliver = (notification: Notification): Effect.Effect<void> =>
      Effect.suspend(() => settings.send(notification)).pipe(
        Effect.tapError((error) => Effect.sync(() => noteFailure(error))),
        Effect.retry({ schedule, while: (error) => error.retryable }),
        Effect.timeout(settings.giveUpAfter),
        Effect.exit,
        Effect.map((exit) => {
          if (exit._tag === "Success") counts.delivered++
          else counts.failed++
        })
      )
    const worker = yield* Effect.forkScoped(Effect.ignore(Effect.forever(Effect.flatMap(Queue.take(queue), deliver))))
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Queue.end(queue),
        Effect.timeoutOrElse(Effect.asVoid(Fiber.await(worker)), {
          duration: settings.farewell,
          orElse: () => Effect.void
        })
      )
    )
    return {
      name: settings.name,
      notify: (notification) => {
        if (Queue.isFullUnsafe(queue)) counts.dropped++
        Queue.offerUnsafe(queue, notification)
      },
      stats: () => {
        const { lastError, ...rest } = counts
        return {
          name: settings.name,
          queued: Queue.sizeUnsafe(queue),
          ...rest,
          ...(lastError === undefined ? {} : { lastError })
        }
      }
    }
  })
