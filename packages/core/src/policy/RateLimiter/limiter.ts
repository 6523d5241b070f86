/**
 * The limiter itself: a decision on the hot path, a line for each key that has waiters.
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { RateLimitError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import type { WindowOptions } from "../../internal/limitRules.ts"
import { wholeMs } from "../../internal/limitRule.ts"
import type { Decision } from "../../internal/limitTable.ts"
import { millisOf, optionError, positiveDuration, validate, wholeInRange } from "../../internal/options.ts"
import { rejection } from "../../internal/rejection.ts"
import { clockOf, monotonicMs } from "../../internal/time.ts"
import { type Gate, WaitLine } from "../../internal/waitLine.ts"
import { type LimiterStoreService, makeMemory } from "../../store/LimiterStore.ts"
import type {
  AcquireOptions,
  ConsumeOptions,
  Grant,
  LimiterError,
  Options,
  RateLimiterService,
  Snapshot
} from "../RateLimiter.ts"
import { defaults } from "./defaults.ts"
import { invalid, type Plan, Plans } from "./plans.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** What a waiter wants, and what it got. */
interface Claim {
  readonly key: string
  readonly weight: number
  readonly plan: string | undefined
  readonly fiber: AnyFiber
  decision: Decision | undefined
}

interface Settings {
  readonly name: string
  readonly maxWaitMs: number
  readonly maxWaiting: number
  readonly patienceMs: number
}

const weightOf = (options: number | ConsumeOptions | undefined): number =>
  typeof options === "number" ? options : (options?.weight ?? 1)

const planOf = (options: number | ConsumeOptions | undefined): string | undefined =>
  typeof options === "object" ? options.plan : undefined

class Limiter implements RateLimiterService {
  readonly name: string
  private readonly settings: Settings
  private readonly plans: Plans
  private readonly lines = new Map<string, WaitLine<Claim, LimiterError>>()
  private closed = false

  constructor(settings: Settings, plans: Plans) {
    this.name = settings.name
    this.settings = settings
    this.plans = plans
  }

  readonly consume = (key: string, options?: number | ConsumeOptions): Effect.Effect<Decision, LimiterError> =>
    Effect.withFiber((fiber) => {
      const weight = weightOf(options)
      const plan = this.plans.get(planOf(options))
      if (plan === undefined || !(weight > 0 && weight <= plan.capacity) || key.length === 0) {
        return Effect.fail(this.wrong(fiber, key, weight, planOf(options), plan))
      }
      const local = plan.limits.local
      if (local === undefined) return this.consumeFar(fiber, plan, key, weight)
      const now = monotonicMs(clockOf(fiber))
      const before = this.before(key, 0, now)
      if (before > 0) {
        return Effect.fail(this.rejected(fiber, plan, key, weight, 0, local.horizon(key, before + weight, now)))
      }
      const decision = local.decide(key, weight, now, true)
      return decision.allowed
        ? Effect.succeed(decision)
        : Effect.fail(this.rejected(fiber, plan, key, weight, 0, decision.waitMs, decision.limit))
    })

  readonly acquire = (key: string, options?: AcquireOptions): Effect.Effect<Grant, LimiterError> =>
    Effect.withFiber((fiber) => {
      const weight = weightOf(options)
      const plan = this.plans.get(options?.plan)
      const priority = options?.priority ?? 0
      if (plan === undefined || !(weight > 0 && weight <= plan.capacity) || key.length === 0) {
        return Effect.fail(this.wrong(fiber, key, weight, options?.plan, plan))
      }
      if (!Number.isFinite(priority)) return Effect.fail(invalid("priority", "the priority is not a finite number"))
      const maxWaitMs = options?.maxWait === undefined ? this.settings.maxWaitMs : waitOf(options.maxWait)
      if (maxWaitMs === undefined) return Effect.fail(invalid("maxWait", "maxWait is not a duration of at least 0"))
      const claim: Claim = { key, weight, plan: options?.plan, fiber, decision: undefined }
      const now = monotonicMs(clockOf(fiber))
      const before = this.before(key, priority, now)
      const local = plan.limits.local
      if (local !== undefined) {
        if (before === 0) {
          const decision = local.decide(key, weight, now, true)
          if (decision.allowed) return Effect.succeed(grantOf(claim, plan, decision, 0))
        }
        return this.wait(claim, plan, priority, now, maxWaitMs, local.horizon(key, before + weight, now))
      }
      if (before > 0) return this.wait(claim, plan, priority, now, maxWaitMs, 0)
      return this.acquireFar(claim, plan, priority, now, maxWaitMs)
    })

  readonly check = (key: string, options?: number | ConsumeOptions): Effect.Effect<Decision, LimiterError> =>
    Effect.withFiber<Decision, LimiterError>((fiber) => {
      const weight = weightOf(options)
      const plan = this.plans.get(planOf(options))
      if (plan === undefined || !(weight > 0) || key.length === 0) {
        return Effect.fail(this.wrong(fiber, key, weight, planOf(options), plan))
      }
      const now = monotonicMs(clockOf(fiber))
      const before = this.before(key, 0, now)
      const local = plan.limits.local
      if (local === undefined) return plan.limits.check(key, weight)
      const decision = local.decide(key, weight, now, false)
      if (before === 0 || decision.waitMs === Infinity) return Effect.succeed(decision)
      return Effect.succeed({
        ...decision,
        allowed: false,
        waitMs: Math.max(1, local.horizon(key, before + weight, now))
      })
    })

  readonly refund = (grant: Grant) =>
    Effect.suspend(() => {
      const plan = this.plans.get(grant.plan)
      if (plan === undefined) return Effect.void
      return Effect.andThen(plan.limits.give(grant.key, grant.weight, grant.at), () =>
        Effect.sync(() => this.lines.get(grant.key)?.wake())
      )
    })

  readonly setLimits = (
    windows: WindowOptions | ReadonlyArray<WindowOptions>,
    plan?: string
  ): Effect.Effect<void, Config.ConfigError> =>
    Effect.suspend(() =>
      Effect.map(this.plans.replace(plan, "limit" in windows ? [windows] : windows), () => {
        for (const line of Array.from(this.lines.values())) line.wake()
      })
    )

  readonly snapshot = (key: string, planName?: string): Effect.Effect<Snapshot, LimiterError> =>
    Effect.withFiber((fiber): Effect.Effect<Snapshot, LimiterError> => {
      const plan = this.plans.get(planName)
      if (plan === undefined) return Effect.fail(this.plans.unknown(planName))
      return Effect.map(plan.limits.check(key, Number.MIN_VALUE), ({ limit, remaining }) => {
        const windows = plan.limits.local?.windows?.(key, monotonicMs(clockOf(fiber)))
        const waiting = this.lines.get(key)?.size ?? 0
        return { remaining, limit, waiting, ...(windows === undefined ? undefined : { windows }) }
      })
    })

  readonly reset = (key: string, planName?: string): Effect.Effect<void, LimiterError> =>
    Effect.suspend((): Effect.Effect<void, LimiterError> => {
      const plan = this.plans.get(planName)
      if (plan === undefined) return Effect.fail(this.plans.unknown(planName))
      return Effect.map(plan.limits.forget(key), () => this.lines.get(key)?.wake())
    })

  close(): void {
    this.closed = true
    for (const line of this.lines.values()) line.close()
    this.lines.clear()
  }

  /** The weight that goes before a newcomer: 0 when nobody waits. */
  private before(key: string, priority: number, now: number): number {
    if (this.lines.size === 0) return 0
    return this.lines.get(key)?.weightBefore(priority, now) ?? 0
  }

  private consumeFar(fiber: AnyFiber, plan: Plan, key: string, weight: number): Effect.Effect<Decision, LimiterError> {
    if (this.before(key, 0, monotonicMs(clockOf(fiber))) > 0) {
      return Effect.flatMap(plan.limits.check(key, weight), (decision) =>
        Effect.fail(this.rejected(fiber, plan, key, weight, 0, decision.waitMs, decision.limit))
      )
    }
    return Effect.flatMap(plan.limits.take(key, weight), (decision) =>
      decision.allowed
        ? Effect.succeed(decision)
        : Effect.fail(this.rejected(fiber, plan, key, weight, 0, decision.waitMs, decision.limit))
    )
  }

  private acquireFar(claim: Claim, plan: Plan, priority: number, now: number, maxWaitMs: number) {
    return Effect.flatMap(plan.limits.take(claim.key, claim.weight), (decision) =>
      decision.allowed
        ? Effect.succeed(grantOf(claim, plan, decision, 0))
        : this.wait(claim, plan, priority, now, maxWaitMs, decision.waitMs)
    )
  }

  /** Joins the line, unless it is known already that the wait would be too long. */
  private wait(
    claim: Claim,
    plan: Plan,
    priority: number,
    now: number,
    maxWaitMs: number,
    leastMs: number
  ): Effect.Effect<Grant, LimiterError> {
    const { fiber, key, weight } = claim
    let line = this.lines.get(key)
    if (leastMs > maxWaitMs || maxWaitMs === 0 || (line?.size ?? 0) >= this.settings.maxWaiting) {
      return Effect.fail(this.rejected(fiber, plan, key, weight, 0, leastMs))
    }
    if (line === undefined) {
      line = new WaitLine(this.gate, this.settings.patienceMs, () => this.lines.delete(key))
      if (this.closed) line.close()
      else this.lines.set(key, line)
    }
    const deadlineMs = now + maxWaitMs
    // Only the wait itself is interruptible, so that no grant is lost on the way out.
    return Effect.uninterruptible(
      Effect.map(line.join(claim, { priority, weight, deadlineMs }), (waitedMs) => {
        emit(fiber, () => ({ type: "limit-waited", limiter: this.name, key, weight, waitedMs }))
        return grantOf(claim, plan, claim.decision!, waitedMs)
      })
    )
  }

  private readonly gate: Gate<Claim, LimiterError> = {
    attempt: (claim, now) => {
      const plan = this.plans.get(claim.plan)!
      const local = plan.limits.local
      if (local !== undefined) return this.note(claim, local.decide(claim.key, claim.weight, now, true))
      return Effect.flatMap(plan.limits.take(claim.key, claim.weight), (decision) => {
        const waitMs = this.note(claim, decision)
        return typeof waitMs === "number" ? Effect.succeed(waitMs) : waitMs
      })
    },
    release: (claim) => Effect.ignore(this.refund(grantOf(claim, this.plans.get(claim.plan)!, claim.decision!, 0))),
    expired: (claim, waitedMs, retryMs) =>
      this.rejected(claim.fiber, this.plans.get(claim.plan)!, claim.key, claim.weight, waitedMs, retryMs)
  }

  private note(claim: Claim, decision: Decision): number | Effect.Effect<never, LimiterError> {
    claim.decision = decision
    if (decision.waitMs !== Infinity) return decision.waitMs
    // The limit was lowered below the weight while it waited. It must not block those behind it.
    const plan = this.plans.get(claim.plan)!
    return Effect.fail(this.rejected(claim.fiber, plan, claim.key, claim.weight, 0, Infinity))
  }

  private rejected(
    fiber: AnyFiber,
    plan: Plan,
    key: string,
    weight: number,
    waitedMs: number,
    waitMs: number,
    limit = plan.capacity
  ): RateLimitError {
    emit(fiber, () => ({ type: "limit-rejected", limiter: this.name, key, weight, waitedMs, retryMs: waitMs }))
    const never = waitMs === Infinity
    const retryMs = wholeMs(never ? plan.longestMs : waitMs)
    const message = never
      ? `a weight of ${weight} is above what the limit ever lets go at once (${plan.capacity})`
      : `over the limit of ${limit}; there is room in ${retryMs} ms`
    const fields = {
      message,
      source: "local" as const,
      scope: "requests" as const,
      key,
      limit,
      retryAfter: Duration.millis(retryMs)
    }
    return rejection(RateLimitError, "RateLimitError", never ? { ...fields, shouldRetry: false } : fields)
  }

  private wrong(fiber: AnyFiber, key: string, weight: number, planName: string | undefined, plan: Plan | undefined) {
    if (plan === undefined) return this.plans.unknown(planName)
    if (key.length === 0) return invalid("key", "the key is empty")
    if (!(weight > 0)) return invalid("weight", `the weight is ${weight}; allowed: a number above 0`)
    return this.rejected(fiber, plan, key, weight, 0, Infinity)
  }
}

/** Milliseconds of a wait; `Infinity` is allowed. */
const waitOf = (input: Duration.Input): number | undefined => {
  if (input === Infinity) return Infinity
  if (Duration.isDuration(input) && !Duration.isFinite(input)) return Infinity
  return millisOf(input)
}

const grantOf = (claim: Claim, plan: Plan, decision: Decision, waitedMs: number): Grant => ({
  allowed: true,
  waitMs: 0,
  remaining: decision.remaining,
  limit: decision.limit,
  at: decision.at,
  key: claim.key,
  weight: claim.weight,
  plan: plan.name,
  waitedMs
})

const storeErrors = ["fail-closed", "fail-open", "local"] as const

/** Builds a limiter on a store, or on a memory of its own. */
export const makeLimiter = (
  options: Options,
  given: LimiterStoreService | undefined
): Effect.Effect<RateLimiterService, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const name = options.name ?? defaults.name
    const maxWait = waitOf(options.maxWait ?? defaults.maxWait)
    const maxWaiting = options.maxWaiting ?? defaults.maxWaiting
    const patience = options.patience ?? defaults.patience
    const onStoreError = options.onStoreError ?? defaults.onStoreError
    yield* validate([
      name.length > 0 ? undefined : optionError("name", name, "a text that is not empty"),
      maxWait !== undefined ? undefined : optionError("maxWait", options.maxWait, "a duration of at least 0"),
      wholeInRange("maxWaiting", maxWaiting, 1),
      positiveDuration("patience", patience),
      storeErrors.includes(onStoreError) ? undefined : optionError("onStoreError", onStoreError, storeErrors.join(", "))
    ])
    const store = given ?? (yield* makeMemory())
    const fallback = given !== undefined && onStoreError === "local" ? yield* makeMemory() : undefined
    const plans = yield* Plans.make(options, { name, store, fallback, onStoreError })
    const limiter = new Limiter({ name, maxWaitMs: maxWait!, maxWaiting, patienceMs: millisOf(patience)! }, plans)
    yield* Effect.addFinalizer(() => Effect.sync(() => limiter.close()))
    return limiter
  })
