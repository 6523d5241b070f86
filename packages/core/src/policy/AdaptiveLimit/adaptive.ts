/**
 * The adaptive limit itself: a count and a limit for each target, and a line where there are waiters.
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { AttemptCall, AttemptOutcome, Settle } from "../../domain/Attempt.ts"
import { RateLimitError } from "../../errors/LLMError.ts"
import {
  type ConcurrencyOptions,
  type ConcurrencyState,
  makeConcurrency,
  type Sample,
  updateConcurrency
} from "../../internal/adaptiveConcurrency.ts"
import { emit } from "../../internal/emit.ts"
import { ofCall } from "../../internal/ofCall.ts"
import { IdleMap } from "../../internal/idleMap.ts"
import { inRange, millisOf, optionError, positiveDuration, validate, wholeInRange } from "../../internal/options.ts"
import { rejection } from "../../internal/rejection.ts"
import { clockOf, monotonicMs } from "../../internal/time.ts"
import { type Gate, WaitLine } from "../../internal/waitLine.ts"
import type { AdaptiveLimitService, LimitOptions, Options, Snapshot } from "../AdaptiveLimit.ts"
import { defaults } from "./defaults.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

interface Target extends ConcurrencyState {
  readonly key: string
  inFlight: number
  line: WaitLine<Claim, RateLimitError> | undefined
}

interface Claim {
  readonly target: Target
  readonly fiber: AnyFiber
  /** The attempt, where there is one. */
  readonly call: AttemptCall | undefined
}

/** A place that was taken; `release` gives it back with what was learned. */
interface Place {
  readonly startedAtMs: number
  readonly release: (sample: Pick<Sample, "latencyMs" | "outcome">) => void
}

interface Settings extends ConcurrencyOptions {
  readonly maxWaitMs: number
  readonly maxWaiting: number
  readonly patienceMs: number
  readonly maxKeys: number
}

const limiter = "adaptive-limit"
const day = 86_400_000

class Adaptive implements AdaptiveLimitService {
  private readonly settings: Settings
  private readonly targets: IdleMap<Target>
  private readonly lines = new Set<WaitLine<Claim, RateLimitError>>()
  private closed = false

  constructor(settings: Settings) {
    this.settings = settings
    this.targets = new IdleMap({ idleMs: day, maxKeys: settings.maxKeys })
  }

  readonly admit = (call: AttemptCall): Effect.Effect<Settle, RateLimitError> =>
    Effect.withFiber((fiber) => {
      const now = monotonicMs(clockOf(fiber))
      const maxWaitMs = Math.min(this.settings.maxWaitMs, call.deadlineMs - now)
      const priority = call.context.priority === "batch" ? 0 : 1
      return this.enter(fiber, call.target, priority, now, maxWaitMs, settleOf, call)
    })

  readonly limit = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: LimitOptions<E>
  ): Effect.Effect<A, E | RateLimitError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const clock = clockOf(fiber)
        const now = monotonicMs(clock)
        return Effect.flatMap(
          this.enter(
            fiber,
            options.key,
            options.priority ?? 0,
            now,
            this.settings.maxWaitMs,
            (place) => place,
            undefined
          ),
          ({ release, startedAtMs }) =>
            Effect.onExit(restore(self), (exit) =>
              Effect.sync(() => {
                if (exit._tag === "Success")
                  return release({ latencyMs: monotonicMs(clock) - startedAtMs, outcome: "ok" })
                const refused = exit.cause.reasons.some(
                  (reason) => reason._tag === "Fail" && options.refused?.(reason.error) === true
                )
                release({ outcome: refused ? "refused" : "unknown" })
              })
            )
        )
      })
    )

  readonly snapshot = (key: string): Effect.Effect<Snapshot | undefined> =>
    Effect.withFiber((fiber) => {
      const target = this.targets.get(key, monotonicMs(clockOf(fiber)))
      return Effect.succeed(
        target === undefined
          ? undefined
          : {
              limit: target.limit,
              inFlight: target.inFlight,
              waiting: target.line?.size ?? 0,
              latencyMs: target.longMs
            }
      )
    })

  close(): void {
    this.closed = true
    for (const line of this.lines) line.close()
    this.lines.clear()
  }

  private enter<A>(
    fiber: AnyFiber,
    key: string,
    priority: number,
    now: number,
    maxWaitMs: number,
    f: (place: Place) => A,
    call: AttemptCall | undefined
  ): Effect.Effect<A, RateLimitError> {
    let target = this.targets.get(key, now)
    if (target === undefined) {
      target = { ...makeConcurrency(this.settings), key, inFlight: 0, line: undefined }
      this.targets.set(key, target, now)
    }
    const before = target.line?.weightBefore(priority, now) ?? 0
    if (before === 0 && target.inFlight < Math.floor(target.limit)) {
      target.inFlight++
      return Effect.succeed(f(this.placeOf(fiber, target, now, call)))
    }
    if (maxWaitMs <= 0 || (target.line?.size ?? 0) >= this.settings.maxWaiting) {
      return Effect.fail(this.rejected({ target, fiber, call }, 0))
    }
    return this.wait({ target, fiber, call }, priority, now + maxWaitMs, f)
  }

  private wait<A>(claim: Claim, priority: number, deadlineMs: number, f: (place: Place) => A) {
    const { call, fiber, target } = claim
    const line = (target.line ??= this.openLine(target))
    // Only the wait itself is interruptible, so that no place is lost on the way out.
    return Effect.uninterruptible(
      Effect.map(line.join(claim, { priority, weight: 1, deadlineMs }), (waitedMs) => {
        emit(fiber, () => ({ type: "limit-waited", limiter, key: target.key, weight: 1, waitedMs, ...ofCall(call) }))
        return f(this.placeOf(fiber, target, monotonicMs(clockOf(fiber)), call))
      })
    )
  }

  private openLine(target: Target): WaitLine<Claim, RateLimitError> {
    const line: WaitLine<Claim, RateLimitError> = new WaitLine(this.gate, this.settings.patienceMs, () => {
      this.lines.delete(line)
      target.line = undefined
    })
    if (this.closed) line.close()
    else this.lines.add(line)
    return line
  }

  private readonly gate: Gate<Claim, RateLimitError> = {
    attempt: ({ target }) => {
      if (target.inFlight >= Math.floor(target.limit)) return Infinity
      target.inFlight++
      return 0
    },
    release: ({ target }) =>
      Effect.sync(() => {
        target.inFlight--
        target.line?.wake()
      }),
    expired: (claim, waitedMs) => this.rejected(claim, waitedMs)
  }

  private placeOf(fiber: AnyFiber, target: Target, startedAtMs: number, call: AttemptCall | undefined): Place {
    const clock = clockOf(fiber)
    const from = { context: fiber.context }
    const inFlight = target.inFlight
    let open = true
    return {
      startedAtMs,
      release: (learned) => {
        if (!open) return
        open = false
        target.inFlight--
        const before = target.limit
        const sample: Sample = { ...learned, inFlight, startedAtMs, nowMs: monotonicMs(clock) }
        if (updateConcurrency(this.settings, target, sample) && Math.floor(before) !== Math.floor(target.limit)) {
          emit(from, () => ({
            type: "limit-adapted",
            limiter,
            key: target.key,
            unit: "concurrent-calls",
            from: Math.floor(before),
            to: Math.floor(target.limit),
            ...ofCall(call)
          }))
        }
        target.line?.wake()
      }
    }
  }

  private rejected({ call, fiber, target }: Claim, waitedMs: number): RateLimitError {
    // A place comes free with the next answer; the first token's time is the best guess there is.
    const retryMs = Math.max(1, Math.ceil(target.longMs > 0 ? target.longMs : 1_000))
    emit(fiber, () => ({
      type: "limit-rejected",
      limiter,
      key: target.key,
      weight: 1,
      waitedMs,
      retryMs,
      ...ofCall(call)
    }))
    return rejection(RateLimitError, "RateLimitError", {
      message: `${target.inFlight} calls are under way, and the target bears ${Math.floor(target.limit)}`,
      source: "local",
      scope: "concurrent",
      key: target.key,
      limit: Math.floor(target.limit),
      retryAfter: Duration.millis(retryMs)
    })
  }
}

const settleOf =
  ({ release }: Place): Settle =>
  (outcome) =>
    release(sampleOf(outcome))

/** What an attempt says of its target's load. */
const sampleOf = (outcome: AttemptOutcome): Pick<Sample, "latencyMs" | "outcome"> => {
  const latency =
    "firstTokenMs" in outcome && outcome.firstTokenMs !== undefined ? { latencyMs: outcome.firstTokenMs } : {}
  if (outcome._tag !== "failure") return { ...latency, outcome: outcome._tag === "success" ? "ok" : "unknown" }
  const { error } = outcome
  const refused =
    error._tag === "RateLimitError"
      ? error.source === "provider"
      : error._tag === "ModelOverloadError" ||
        (error._tag === "RequestTimeoutError" && (error.phase === "firstToken" || error.phase === "connect"))
  return { ...latency, outcome: refused ? "refused" : "unknown" }
}

const settingsOf = (options: Options): Effect.Effect<Settings, Config.ConfigError> =>
  Effect.suspend(() => {
    const set = { ...defaults, ...options }
    const maxWaitMs = millisOf(set.maxWait)
    const checks = [
      set.algorithm === "gradient2" || set.algorithm === "aimd"
        ? undefined
        : optionError("algorithm", set.algorithm, "gradient2, aimd"),
      wholeInRange("min", set.min, 1, 1_000_000),
      wholeInRange("max", set.max, set.min, 1_000_000),
      wholeInRange("initial", set.initial, set.min, set.max),
      inRange("smoothing", set.smoothing, 0.001, 1),
      wholeInRange("longWindow", set.longWindow, 10),
      inRange("tolerance", set.tolerance, 1, 100),
      inRange("queueSize", set.queueSize, 0.1, 1_000),
      inRange("backoff", set.backoff, 0.1, 0.99),
      positiveDuration("slow", set.slow),
      maxWaitMs === undefined ? optionError("maxWait", set.maxWait, "a duration of at least 0") : undefined,
      wholeInRange("maxWaiting", set.maxWaiting, 1),
      positiveDuration("patience", set.patience),
      wholeInRange("maxKeys", set.maxKeys, 1)
    ]
    return Effect.map(validate(checks), () => ({
      ...set,
      slowMs: millisOf(set.slow)!,
      maxWaitMs: maxWaitMs!,
      patienceMs: millisOf(set.patience)!
    }))
  })

/** Builds an adaptive limit from its options. */
export const makeAdaptive = (options: Options): Effect.Effect<AdaptiveLimitService, Config.ConfigError, Scope.Scope> =>
  Effect.flatMap(settingsOf(options), (settings) =>
    Effect.acquireRelease(
      Effect.sync(() => new Adaptive(settings)),
      (adaptive) => Effect.sync(() => adaptive.close())
    )
  )
