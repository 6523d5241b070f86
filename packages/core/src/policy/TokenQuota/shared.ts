/**
 * A quota whose limits and pauses are shared with other processes: this process's quota decides first, then the store.
 *
 * Both count every call, so that nothing has to be carried over when the store is lost: the quota of this process goes
 * on by itself.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { AttemptCall, AttemptOutcome, Settle } from "../../domain/Attempt.ts"
import type { StoreError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { millisOf, optionError, validate } from "../../internal/options.ts"
import {
  makeQuotaState,
  type Need,
  neverFits,
  paceTake,
  paceWait,
  quotaPausedUntil,
  quotaSettle,
  type QuotaState,
  quotaTake,
  quotaWait,
  type Reservation,
  scopes
} from "../../internal/quotaState.ts"
import { StoreWatch } from "../../internal/storeWatch.ts"
import { clockOf, monotonicMs } from "../../internal/time.ts"
import type { Gate } from "../../internal/waitLine.ts"
import { defaults as lossDefaults } from "../../store/FallbackLimiterStore.ts"
import type { Decision, Grant, PerKind, QuotaStoreService, SharedQuotas } from "../../store/QuotaStore.ts"
import type { SharedOptions, Snapshot, TokenQuotaService } from "../TokenQuota.ts"
import { sharedDefaults } from "./defaults.ts"
import { type AnyFiber, type Claim, type From, limiter, Quota, type QuotaError, snapshotOf } from "./quota.ts"
import { settingsOf, type Settings } from "./rules.ts"
import { settlementOf } from "./settlement.ts"

type Mode = NonNullable<SharedOptions["onStoreError"]>

const nothing: Need = { inputTokens: 0, outputTokens: 0 }
const none: PerKind<number> = [0, 0, 0, 0]
/** Longer than a store's own wait for an answer. */
const closingMs = 2_000

const amounts = ({ inputTokens, outputTokens }: Need, calls: number): PerKind<number> => [
  calls,
  inputTokens + outputTokens,
  inputTokens,
  outputTokens
]

const finite = (amount: number): number => (Number.isFinite(amount) ? amount : 0)

class SharedQuota extends Quota {
  private readonly store: string
  private readonly shared: SharedQuotas
  private readonly mode: Mode
  private readonly watch: StoreWatch
  /** What the store granted for a reservation. One without was let go while the store was lost. */
  private readonly grants = new WeakMap<Reservation, { readonly grant: Grant; readonly need: Need }>()
  /** Reservations that were not counted here, while everything went. */
  private readonly uncounted = new WeakSet<Reservation>()
  /** Claims that the line has got through, and not handed over yet. */
  private readonly through = new Set<Claim>()
  /** Questions and news under way. */
  private readonly pending = new Set<AnyFiber>()

  constructor(settings: Settings, store: QuotaStoreService, name: string, mode: Mode) {
    super(settings)
    this.store = store.name
    this.shared = store.open(name)
    this.mode = mode
    this.watch = new StoreWatch({
      store: store.name,
      mode,
      firstMs: millisOf(lossDefaults.firstProbe)!,
      longestMs: millisOf(lossDefaults.longestProbe)!
    })
  }

  override readonly snapshot = (key: string): Effect.Effect<Snapshot | undefined> =>
    Effect.withFiber((fiber) => {
      const now = monotonicMs(clockOf(fiber))
      const known = this.states.get(key, now)
      const state = known ?? makeQuotaState(this.settings.rulesOf(key, key), now)
      const look = this.guard("snapshot", this.shared.reserve(key, state.meters, none))
      return Effect.map(
        Effect.catch(look, () => Effect.succeed(undefined)),
        (decision): Snapshot | undefined => {
          const here = snapshotOf(state, now, this.lines.get(key)?.size ?? 0)
          if (decision === undefined) return known === undefined ? undefined : here
          return together(here, decision)
        }
      )
    })

  override readonly reset = (key: string): Effect.Effect<void> =>
    Effect.andThen(Effect.ignore(this.guard("forget", this.shared.forget(key))), this.resetHere(key))

  /** Waits for what is still being told to the store, so that nothing granted is lost with this quota. */
  get closing(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.close()
      for (const claim of this.through) this.giveUp(claim)
      const left = Array.from(this.pending)
      if (left.length === 0) return Effect.void
      return Effect.timeoutOrElse(Effect.asVoid(Fiber.awaitAll(left)), {
        duration: closingMs,
        orElse: () => Effect.asVoid(Fiber.interruptAll(left))
      })
    })
  }

  protected override enter(
    fiber: AnyFiber,
    key: string,
    target: string,
    need: Need,
    priority: number,
    now: number,
    maxWaitMs: number,
    call: AttemptCall | undefined
  ): Effect.Effect<Settle, QuotaError> {
    const state = this.stateOf(key, target, now)
    const line = this.lines.get(key)
    const before = line?.weightBefore(priority, now) ?? 0
    // The store may answer when the fiber has ended, and lost its context.
    const from = { context: fiber.context }
    const claim: Claim = { key, need, state, fiber: from, call, held: undefined, toldUntilMs: 0, toldScope: undefined }
    const leastMs = this.waitHere(state, need, 1 + before, now)
    if (before > 0 || leastMs > 0) return this.wait(claim, line, priority, now, maxWaitMs, leastMs)
    return Effect.uninterruptible(
      Effect.flatMap(this.admitFar(claim, now), (waitMs) => {
        if (waitMs === 0) return Effect.succeed(this.settleOf(fiber, key, state, claim.held!, call))
        const later = monotonicMs(clockOf(fiber))
        claim.toldUntilMs = later + waitMs
        return this.wait(claim, this.lines.get(key), priority, later, maxWaitMs - (later - now), waitMs)
      })
    )
  }

  protected override readonly gate: Gate<Claim, QuotaError> = {
    attempt: (claim, now) => {
      const never = neverFits(claim.state, claim.need)
      if (never !== undefined) return Effect.fail(this.tooLarge(claim, never))
      const toldMs = claim.toldUntilMs - now
      claim.toldUntilMs = 0
      if (toldMs > 0) return toldMs
      const waitMs = this.waitHere(claim.state, claim.need, 1, now)
      if (waitMs > 0) return waitMs
      return Effect.uninterruptible(
        Effect.tap(this.admitFar(claim, now), (left) =>
          Effect.sync(() => {
            if (left === 0) this.through.add(claim)
          })
        )
      )
    },
    release: (claim) =>
      Effect.sync(() => {
        this.giveUp(claim)
        this.lines.get(claim.key)?.wake()
      }),
    expired: (claim, waitedMs, retryMs) => {
      const now = monotonicMs(clockOf(claim.fiber))
      return this.rejected(claim, waitedMs, retryMs > 0 ? retryMs : quotaWait(claim.state, claim.need, 1, now), now)
    }
  }

  protected override settle(
    from: From,
    key: string,
    state: QuotaState,
    held: Reservation,
    outcome: AttemptOutcome,
    now: number
  ): void {
    const pausedUntilMs = state.pausedUntilMs
    if (this.uncounted.has(held)) this.adapt(from, key, state, held, outcome, now)
    else super.settle(from, key, state, held, outcome, now)
    if (state.pausedUntilMs > pausedUntilMs) {
      this.tell(from, "pause", this.shared.pause(key, state.pausedUntilMs - now))
    }
    const { actual, called } = settlementOf(outcome, this.grants.get(held)?.need ?? held)
    this.correct(from, key, state, held, actual, called)
  }

  protected override handedOver(claim: Claim): void {
    this.through.delete(claim)
  }

  /** Whether the limits of this process hold: not while everything goes. */
  private get countsHere(): boolean {
    return !(this.mode === "fail-open" && this.watch.isLost)
  }

  private waitHere(state: QuotaState, need: Need, calls: number, now: number): number {
    return this.countsHere ? quotaWait(state, need, calls, now) : paceWait(state, now)
  }

  private takeHere(claim: Claim, now: number): Reservation {
    if (this.countsHere) return quotaTake(claim.state, claim.need, now)
    const held = paceTake(claim.state, now)
    this.uncounted.add(held)
    return held
  }

  /**
   * Takes here, and asks the store: 0 for a grant, or the milliseconds to wait. Its question can be interrupted, and
   * then, or if the answer is no, nothing stays taken anywhere.
   */
  private admitFar(claim: Claim, now: number): Effect.Effect<number, QuotaError> {
    claim.held = this.takeHere(claim, now)
    return Effect.matchCauseEffect(this.ask(claim, claim.held), {
      onFailure: (cause): Effect.Effect<number, QuotaError> => {
        this.giveUp(claim)
        return Effect.failCause(cause)
      },
      onSuccess: (decision): Effect.Effect<number, QuotaError> => {
        if (decision === undefined || decision.granted) return Effect.succeed(0)
        this.giveUp(claim)
        if (decision.pausedMs > 0) {
          quotaPausedUntil(claim.state, monotonicMs(clockOf(claim.fiber)) + decision.pausedMs)
        }
        const kind = decision.kind ?? 0
        claim.toldScope = scopes[kind]
        if (decision.waitMs !== Infinity) return Effect.succeed(decision.waitMs)
        const limit = decision.remaining[kind]! + decision.grant.used[kind]!
        return Effect.fail(this.tooLarge(claim, scopes[kind]!, limit))
      }
    })
  }

  /** The store's answer; nothing when it is lost. The question goes on when nobody waits for it any more. */
  private ask(claim: Claim, held: Reservation): Effect.Effect<Decision | undefined, StoreError> {
    const { fiber, key, need, state } = claim
    return Effect.interruptible(
      Effect.callback<Decision | undefined, StoreError>((resume) => {
        let waiting = true
        const question = this.guard("reserve", this.shared.reserve(key, state.meters, amounts(need, 1)))
        // Known before anybody can be interrupted on the way to it.
        this.fork(fiber, question, (exit) => {
          const decision = exit._tag === "Success" ? exit.value : undefined
          if (decision?.granted === true) this.grants.set(held, { grant: decision.grant, need })
          if (waiting) resume(exit)
          else this.correct(fiber, key, state, held, nothing, false)
        })
        return Effect.sync(() => {
          waiting = false
        })
      })
    )
  }

  /** Gives back what a claim holds, here and in the store. */
  private giveUp(claim: Claim): void {
    const { fiber, held, key, state } = claim
    this.through.delete(claim)
    claim.held = undefined
    if (held === undefined) return
    if (!this.uncounted.has(held)) quotaSettle(state, held, nothing, false, monotonicMs(clockOf(fiber)))
    this.correct(fiber, key, state, held, nothing, false)
  }

  /** Tells the store what a grant of its was worth in the end; once. */
  private correct(from: From, key: string, state: QuotaState, held: Reservation, actual: Need, called: boolean): void {
    const granted = this.grants.get(held)
    if (granted === undefined) return
    this.grants.delete(held)
    const { grant, need } = granted
    const inputTokens = finite(actual.inputTokens - need.inputTokens)
    const outputTokens = finite(actual.outputTokens - need.outputTokens)
    if (called && inputTokens === 0 && outputTokens === 0) return
    const correction = amounts({ inputTokens, outputTokens }, called ? 0 : -1)
    this.tell(from, "settle", this.shared.settle(key, state.meters, grant, correction))
  }

  private tell(from: From, operation: string, news: Effect.Effect<void, StoreError>): void {
    this.fork(from, Effect.ignore(this.guard(operation, news)), () => {})
  }

  private fork<A, E>(from: From, effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    const fiber = Effect.runForkWith(from.context)(effect)
    this.pending.add(fiber)
    fiber.addObserver((exit) => {
      this.pending.delete(fiber)
      done(exit)
    })
  }

  /** The answer, or `undefined` when the store is lost and the mode has an answer for that. */
  private guard<A>(
    operation: string,
    question: Effect.Effect<A, StoreError>
  ): Effect.Effect<A | undefined, StoreError> {
    return this.watch.ask<A | undefined>(question, (error) =>
      Effect.withFiber((fiber) => {
        const handled = this.mode
        emit(fiber, () => ({ type: "limit-store-failed", limiter, store: this.store, operation, handled }))
        return handled === "fail-closed" ? Effect.fail(error) : Effect.succeed(undefined)
      })
    )
  }
}

const kinds = ["requests", "tokens", "inputTokens", "outputTokens"] as const

/** What is left here and in the store: the lower of both. */
const together = (here: Snapshot, there: Decision): Snapshot => {
  const merged: Record<string, unknown> = { ...here, pausedMs: Math.max(here.pausedMs, there.pausedMs) }
  kinds.forEach((kind, i) => {
    const mine = here[kind]
    if (mine !== undefined) merged[kind] = { ...mine, remaining: Math.min(mine.remaining, there.remaining[i]!) }
  })
  return merged as unknown as Snapshot
}

const modes: ReadonlyArray<Mode> = ["fail-closed", "fail-open", "local"]

/** Builds a quota on a store. */
export const makeSharedQuota = (
  options: SharedOptions,
  store: QuotaStoreService
): Effect.Effect<TokenQuotaService, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function* () {
    const name = options.name ?? sharedDefaults.name
    const mode = options.onStoreError ?? sharedDefaults.onStoreError
    const settings = yield* settingsOf(options)
    yield* validate([
      name.length > 0 ? undefined : optionError("name", name, "a text that is not empty"),
      modes.includes(mode) ? undefined : optionError("onStoreError", mode, modes.join(", "))
    ])
    return yield* Effect.acquireRelease(
      Effect.sync(() => new SharedQuota(settings, store, name, mode)),
      (quota) => quota.closing
    )
  })
