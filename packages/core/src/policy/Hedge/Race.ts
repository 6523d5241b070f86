/**
 * One hedged call: attempts that are started one after the other, of which the first to commit wins.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { isLLMError } from "../../errors/LLMError.ts"
import { emit } from "../../internal/emit.ts"
import { clockOf, monotonicMs } from "../../internal/time.ts"
import type { HedgeService } from "../Hedge.ts"

/** An attempt that did not win, when it is gone. */
export interface Loser<A, E> {
  /** Counted from 1. */
  readonly attempt: number
  /** Milliseconds from its start until another attempt won. */
  readonly tookMs: number
  /** How it ended: usually interrupted; a success came too late. */
  readonly exit: Exit.Exit<A, E>
}

export interface RaceOptions<A, E> {
  /** What the hedge goes by: delay and budget belong to it. */
  readonly key: string
  /** Asked before every extra attempt: false when quota or money is short. Default: always. */
  readonly allow?: (() => boolean) | undefined
  /** Whether another attempt could do better after this error. Default: unless the error says it is not retryable. */
  readonly again?: ((error: E) => boolean) | undefined
  /** Called when a loser is gone, so that it can be billed. */
  readonly onLoser?: ((loser: Loser<A, E>) => void) | undefined
}

/** Lets go of what an attempt committed to in the same moment as the winner. */
type Dispose<A> = (value: A) => Effect.Effect<void>

interface Runner<A, E> {
  readonly attempt: number
  readonly startedMs: number
  readonly fiber: Fiber.Fiber<A, E>
}

const worthTrying = (error: unknown): boolean => !isLLMError(error) || error.isRetryable

/** Bugs of callbacks stay their own. */
const guarded = (callback: () => void): void => {
  try {
    callback()
  } catch {
    // What the race decided stands.
  }
}

/** A predicate that throws says no. */
const granted = (predicate: () => boolean): boolean => {
  try {
    return predicate()
  } catch {
    return false
  }
}

class Race<A, E, R> {
  private readonly running = new Set<Runner<A, E>>()
  private readonly run: <B, E2>(effect: Effect.Effect<B, E2, R>) => Fiber.Fiber<B, E2>
  private readonly clock: Clock.Clock
  private started = 0
  private startedMs = 0
  private over = false
  private timer: Fiber.Fiber<void> | undefined = undefined
  private readonly hedge: HedgeService
  private readonly parent: Fiber.Fiber<unknown, unknown>
  private readonly make: (attempt: number) => Effect.Effect<A, E, R>
  private readonly delayMs: number
  private readonly options: RaceOptions<A, E>
  private readonly resume: (exit: Exit.Exit<A, E>) => void
  private readonly dispose: Dispose<A> | undefined

  constructor(
    hedge: HedgeService,
    parent: Fiber.Fiber<unknown, unknown>,
    make: (attempt: number) => Effect.Effect<A, E, R>,
    delayMs: number,
    options: RaceOptions<A, E>,
    resume: (exit: Exit.Exit<A, E>) => void,
    dispose: Dispose<A> | undefined
  ) {
    this.hedge = hedge
    this.parent = parent
    this.make = make
    this.delayMs = delayMs
    this.options = options
    this.resume = resume
    this.dispose = dispose
    this.run = Effect.runForkWith(parent.context as Context.Context<R>)
    this.clock = clockOf(parent)
  }

  begin(): void {
    this.startedMs = this.now()
    this.start()
    this.arm()
  }

  /** The caller goes away: everything ends, and is awaited. */
  readonly abandon = Effect.suspend(() => {
    this.over = true
    this.disarm()
    return Fiber.interruptAll(Array.from(this.running, (runner) => runner.fiber))
  })

  private now(): number {
    return monotonicMs(this.clock)
  }

  private start(): void {
    const attempt = ++this.started
    const startedMs = this.now()
    const fiber = this.run(Effect.suspend(() => this.make(attempt)))
    if (this.over) {
      // Its own first step ended the race, or cancelled the caller.
      this.hedge.adopt(fiber)
      return fiber.interruptUnsafe(this.parent.id)
    }
    const runner = { attempt, startedMs, fiber }
    this.running.add(runner)
    fiber.addObserver((exit) => this.ended(runner, exit))
  }

  /** Starts another attempt, if there may be one. */
  private next(reason: "slow" | "failed"): boolean {
    const { allow, key } = this.options
    const nowMs = this.now()
    if (this.over || this.started > this.hedge.maxHedges) return false
    if (allow !== undefined && !granted(allow)) return false
    if (!this.hedge.tryStart(key, nowMs)) return false
    const attempt = this.started + 1
    emit(this.parent, () => ({ type: "hedge-started", key, attempt, reason, afterMs: nowMs - this.startedMs }))
    this.disarm()
    this.start()
    this.arm()
    return true
  }

  private ended(runner: Runner<A, E>, exit: Exit.Exit<A, E>): void {
    this.running.delete(runner)
    if (this.over) return
    if (exit._tag === "Success") return this.win(runner, exit)
    if (this.couldDoBetter(exit.cause) && this.next("failed")) return
    if (this.running.size > 0) return
    this.over = true
    this.disarm()
    this.resume(exit)
  }

  /** Defects are bugs, and interruptions are meant: neither is tried again. */
  private couldDoBetter(cause: Cause.Cause<E>): boolean {
    if (!cause.reasons.every(Cause.isFailReason)) return false
    const { again = worthTrying } = this.options
    return granted(() => cause.reasons.every((reason) => again((reason as Cause.Fail<E>).error)))
  }

  private win(runner: Runner<A, E>, exit: Exit.Exit<A, E>): void {
    this.over = true
    this.disarm()
    const nowMs = this.now()
    const { key } = this.options
    const tookMs = nowMs - runner.startedMs
    this.hedge.observe(key, tookMs, nowMs)
    if (runner.attempt > 1) emit(this.parent, () => ({ type: "hedge-won", key, attempt: runner.attempt, tookMs }))
    const losers = Array.from(this.running)
    this.running.clear()
    for (const loser of losers) this.lose(loser, nowMs)
    this.resume(exit)
  }

  /** The winner does not wait for losers: they clean up on their own, and the hedge's scope waits for them. */
  private lose(loser: Runner<A, E>, nowMs: number): void {
    const { key, onLoser } = this.options
    const { attempt, fiber } = loser
    const tookMs = nowMs - loser.startedMs
    // All that is known of it is a lower bound. Without it the slow ones would never be seen, and the delay would sink.
    if (tookMs >= this.delayMs) this.hedge.observe(key, tookMs, nowMs)
    emit(this.parent, () => ({ type: "hedge-lost", key, attempt, tookMs }))
    this.hedge.adopt(fiber)
    fiber.addObserver((exit) => {
      if (exit._tag === "Success" && this.dispose !== undefined) this.hedge.adopt(this.run(this.dispose(exit.value)))
      guarded(() => onLoser?.({ attempt, tookMs, exit }))
    })
    fiber.interruptUnsafe(this.parent.id)
  }

  private arm(): void {
    // The first attempt may have failed, and the next have been started, before this is reached.
    if (this.over || this.timer !== undefined || this.started > this.hedge.maxHedges) return
    const timer = this.run(this.clock.sleep(Duration.millis(Math.ceil(this.delayMs))))
    this.timer = timer
    timer.addObserver((slept) => {
      if (slept._tag === "Failure" || this.timer !== timer) return
      this.timer = undefined
      this.next("slow")
    })
    // Starting a fiber runs others, if the scheduler so decides: the race may be over.
    if (this.over) this.disarm()
  }

  private disarm(): void {
    const timer = this.timer
    this.timer = undefined
    timer?.interruptUnsafe()
  }
}

/**
 * Runs a call with hedging. Without a delay (too little is known yet) it is the plain effect, observed; otherwise
 * attempts run in fibers of their own.
 */
export const race = <A, E, R>(
  hedge: HedgeService,
  make: (attempt: number) => Effect.Effect<A, E, R>,
  options: RaceOptions<A, E>,
  dispose?: Dispose<A>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const clock = clockOf(fiber)
    const { key } = options
    const startedMs = monotonicMs(clock)
    hedge.onCall(key, startedMs)
    const delayMs = hedge.delayMs(key, startedMs)
    if (delayMs === undefined) {
      return Effect.onExitPrimitive(make(1), (exit) => {
        if (exit._tag === "Success") {
          const nowMs = monotonicMs(clock)
          hedge.observe(key, nowMs - startedMs, nowMs)
        }
        return undefined
      })
    }
    // From the first start to the finalizer is one step of the caller: no interruption can come between them.
    return Effect.callback<A, E, R>((resume) => {
      const call = new Race(hedge, fiber as Fiber.Fiber<unknown, unknown>, make, delayMs, options, resume, dispose)
      call.begin()
      return call.abandon
    })
  })
