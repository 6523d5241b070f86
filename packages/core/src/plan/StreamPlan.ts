/**
 * The plan for streamed calls.
 *
 * Until the first content has been handed on, a failed attempt is replaced like any other. That content is the
 * commit point: from there on only the stream policy may put another attempt in its place. A stream succeeds
 * only by a `finish` part; one that just ends has been cut.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CompletePart, LLMStreamPart, Progress, StreamPolicy } from "../domain/Call.ts"
import { charactersOf } from "../domain/Message.ts"
import type { AttemptObserver } from "../domain/Observer.ts"
import type { RateLimits } from "../domain/RateLimits.ts"
import type { ProviderRequest } from "../domain/Request.ts"
import { type FinishPart, isContent, type StreamPart } from "../domain/Response.ts"
import { estimateTokens, type Usage } from "../domain/Usage.ts"
import { disposition } from "../errors/disposition.ts"
import { type AttemptError, type LLMError, RequestTimeoutError, StreamInterruptedError } from "../errors/LLMError.ts"
import * as Continuation from "../internal/continuation.ts"
import * as ProgressTracker from "../internal/progress.ts"
import * as PullWatch from "../internal/pullWatch.ts"
import { admit, attemptLimitMs, errorOf, totalTimeout } from "./AttemptRun.ts"
import { raceHedged } from "./raceHedged.ts"
import { type ActiveAttempt, nowMs, type PlanTarget, type Run } from "./Run.ts"

/** What a streamed call needs beside its run. */
export interface StreamPlanOptions {
  readonly run: Run
  readonly policy: StreamPolicy
  readonly requestFor: (target: PlanTarget) => ProviderRequest
  readonly onProgress: ((progress: Progress) => void) | undefined
}

type Parts = readonly [LLMStreamPart, ...Array<LLMStreamPart>]
type Upstream = Pull.Pull<ReadonlyArray<StreamPart>, AttemptError>

/**
 * How long the connection is listened to after the answer is whole, in milliseconds: long enough for the rest
 * of the body to arrive, so that the connection can be used again, and no longer.
 */
const drainMs = 50

/**
 * Runs attempts until one finishes, handing its parts on as they come.
 *
 * What `Stream.transformPullBracket` does, but that a pull that succeeds pays for one frame and nothing else.
 */
export const runStream = (make: () => StreamPlanOptions): Stream.Stream<LLMStreamPart, LLMError> =>
  Stream.fromChannel(
    Channel.fromTransform((_upstream: Pull.Pull<unknown, unknown, unknown>, outer) =>
      Effect.suspend(() => {
        const state = new StreamRun(make())
        const scope = Scope.forkUnsafe(outer)
        const closeAll = (exit: Exit.Exit<unknown, LLMError>): Effect.Effect<void> =>
          Effect.andThen(
            Scope.close(scope, exit),
            Effect.sync(() => state.tellEnd(exit))
          )
        const close = (exit: Exit.Exit<unknown, LLMError | Cause.Done>): Effect.Effect<void> | undefined =>
          exit._tag === "Success" ? undefined : closeAll(Pull.doneExitFromCause(exit.cause))
        return Effect.as(
          Scope.addFinalizerExit(scope, (exit) => state.abandon(exit)),
          Effect.onExitPrimitive(state.pull, close)
        )
      })
    )
  )

/** Thoughts without words: the signature of those before it, or sealed ones. The provider wants them back as they were. */
const isMark = (part: StreamPart): part is Extract<StreamPart, { type: "reasoning-delta" }> =>
  part.type === "reasoning-delta" && part.metadata !== undefined

/** One attempt of a stream, from its admission to its end. */
interface OpenAttempt {
  readonly active: ActiveAttempt
  readonly scope: Scope.Closeable
  /** The target's place among those of the call. */
  readonly index: number
  watch: PullWatch.PullWatch<AttemptError>
  upstream: Upstream
  /** One pull of `upstream`, watched, and what follows from its end. Built once: it is run for every pull. */
  next: Pull.Pull<Parts, LLMError>
  /** How the attempt came to go on from an earlier one, if it did. */
  readonly method: "prefill" | "restart" | undefined
  readonly joiner: Continuation.Joiner | undefined
  metadata: Extract<StreamPart, { type: "response-metadata" }> | undefined
  limits: RateLimits | undefined
  /** Characters of content this attempt has produced. */
  characters: number
  /** Whether the reader knows that this target writes now. */
  announced: boolean
}

/** A broken attempt, which has been ended, and why. */
interface Broken {
  readonly open: OpenAttempt
  readonly error: AttemptError
}

/** An attempt that was the first to have content, and its parts so far. */
interface Ahead {
  readonly open: OpenAttempt
  readonly parts: ReadonlyArray<StreamPart>
}

class StreamRun {
  readonly pull: Pull.Pull<Parts, LLMError>
  private readonly options: StreamPlanOptions
  private readonly run: Run
  private index = 0
  private open: OpenAttempt | undefined
  /** Every attempt that holds something: the one above, and a hedge beside it. */
  private readonly holding = new Set<OpenAttempt>()
  private finished = false
  private committed = false
  private toolBegun = false
  /** Everything handed on, for the error that says so, and for the attempt that goes on from it. */
  private readonly handedOn: Array<StreamPart> = []
  private text = ""
  /** Parts held back until the answer is whole; only with the policy `buffer`. */
  private held: Array<LLMStreamPart> = []
  /** Why the first committed attempt broke. */
  private firstBreak: AttemptError | undefined
  /** Targets that refused to go on from a prefill. */
  private readonly refusedPrefill = new Set<string>()
  private readonly progress: ProgressTracker.Tracker | undefined

  constructor(options: StreamPlanOptions) {
    this.options = options
    this.run = options.run
    this.progress =
      options.onProgress === undefined ? undefined : ProgressTracker.make({ startedMs: this.run.startedMs })
    this.pull = Effect.suspend(() => this.step())
  }

  /** Ends what is under way when the reader is gone. */
  abandon(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (this.holding.size === 0) return Effect.void
    return Effect.forEach(Array.from(this.holding), (open) => this.leave(open, exit), { discard: true })
  }

  /** Ends an attempt that nobody waits for any more. */
  private leave(open: OpenAttempt, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.run.end(
        open.active,
        {
          _tag: "interrupted",
          tookMs: this.run.tookMs(open.active),
          ...this.produced(open)
        },
        open.metadata
      )
      return this.close(open, exit)
    })
  }

  private step(): Pull.Pull<Parts, LLMError> {
    if (this.finished) return this.drain()
    const open = this.open
    if (open !== undefined) return open.next
    const delayMs = this.committed ? undefined : this.run.hedgeDelayMs(this.index)
    return delayMs === undefined ? Effect.flatMap(this.start(), () => this.pull) : this.startHedged(delayMs)
  }

  private start(): Effect.Effect<void, LLMError> {
    return Effect.matchEffect(this.begin(this.index, false), {
      onSuccess: (open) =>
        Effect.sync(() => {
          this.open = open
        }),
      onFailure: ({ error, open }) => this.choose(open, error)
    })
  }

  // --- hedging ------------------------------------------------------------------------------------------------

  /** Begins an attempt, and another one beside it if its first content is late. The first to have content stays. */
  private startHedged(delayMs: number): Pull.Pull<Parts, LLMError> {
    const contender = (index: number, hedge: boolean): Effect.Effect<Ahead, Broken> =>
      Effect.flatMap(this.begin(index, hedge), (open) => this.untilContent(open))
    const race = raceHedged(contender(this.index, false), delayMs, () => {
      const other = this.run.startHedge(this.index, delayMs)
      return other === undefined ? undefined : contender(other, true)
    })
    return Effect.matchEffect(race, {
      onSuccess: ({ open, parts }) => {
        this.open = open
        this.index = open.index
        return this.accept(open, parts)
      },
      onFailure: ({ error, open }) => {
        this.index = open.index
        return Effect.flatMap(this.choose(open, error), () => this.pull)
      }
    })
  }

  /** Pulls until there is content or the end. What breaks, or is interrupted, is ended here. */
  private untilContent(open: OpenAttempt): Effect.Effect<Ahead, Broken> {
    const parts: Array<StreamPart> = []
    const pull: Effect.Effect<Ahead, Broken> = Effect.suspend(() =>
      open.watch.runTo(open.upstream, (exit): Effect.Effect<Ahead, Broken> => {
        if (exit._tag === "Failure") {
          const error = brokenBy(exit.cause, "", parts)
          return error === undefined
            ? Effect.failCause(exit.cause as Cause.Cause<never>)
            : this.breakOff(open, this.run.located(open.active, error))
        }
        for (const part of exit.value) parts.push(part)
        return exit.value.some((part) => part.type === "finish" || isContent(part))
          ? Effect.succeed({ open, parts })
          : pull
      })
    )
    return Effect.onExitPrimitive(pull, (exit) =>
      exit._tag === "Failure" && this.holding.has(open) ? this.leave(open, exit) : undefined
    )
  }

  /** What follows from the end of a pull. */
  private pulled(
    open: OpenAttempt,
    exit: Exit.Exit<ReadonlyArray<StreamPart>, AttemptError | Cause.Done>
  ): Pull.Pull<Parts, LLMError> {
    if (exit._tag === "Success") return this.accept(open, exit.value)
    const error = brokenBy(exit.cause, this.text, this.handedOn)
    return error === undefined ? Effect.failCause(exit.cause as Cause.Cause<never>) : this.recover(open, error)
  }

  // --- opening an attempt -------------------------------------------------------------------------------------

  /** Begins an attempt: admitted, and with its stream ready to be pulled. One that is refused has been ended. */
  private begin(index: number, hedge: boolean): Effect.Effect<OpenAttempt, Broken> {
    return Effect.suspend(() => {
      const { run } = this
      const target = run.options.targets[index]!
      const { joiner, method, request } = this.prepare(target)
      const active = run.begin(index, request, hedge)
      if (method !== undefined) this.tellContinued(active, method)
      const open: OpenAttempt = {
        active,
        index,
        scope: Scope.makeUnsafe(),
        watch: PullWatch.none,
        upstream: Effect.never,
        next: Effect.never,
        method,
        joiner,
        metadata: undefined,
        limits: undefined,
        characters: 0,
        announced: false
      }
      // Known before anything is acquired, so that an interruption finds what to give back.
      this.holding.add(open)
      const send = Effect.suspend(() => {
        const totalMs = attemptLimitMs(run, active, "stream")
        if (totalMs <= 0) return Effect.fail(run.deadlineExceeded())
        active.sent = true
        open.watch = this.watchFor(active, totalMs)
        open.upstream = connect(target.provider.stream(active.call.request as ProviderRequest), open.scope, active)
        open.next = open.watch.runTo(open.upstream, (exit) => this.pulled(open, exit))
        return Effect.succeed(open)
      })
      const admitted =
        run.options.settings.admits.length === 0
          ? send
          : Effect.uninterruptible(Effect.flatMap(admit(run, active), () => send))
      return Effect.catch(admitted, (error) => this.breakOff(open, run.located(active, error)))
    })
  }

  private tellContinued(active: ActiveAttempt, method: "prefill" | "restart"): void {
    this.run.options.observer?.emit({
      type: "stream-continued",
      requestId: this.run.options.requestId,
      attempt: active.call.attempt,
      target: active.target.id,
      method,
      characters: this.text.length
    })
  }

  private watchFor(active: ActiveAttempt, totalMs: number): PullWatch.PullWatch<AttemptError> {
    const limits = this.run.options.settings.limits
    return PullWatch.make({
      firstTokenMs: limits.firstToken,
      idleMs: limits.idle,
      totalMs,
      onTimeout: (phase, limitMs) =>
        phase === "total" ? totalTimeout(this.run, active, limitMs) : silent(active, phase, limitMs)
    })
  }

  /** The request for a target: as the caller made it, or so that it goes on from what was handed on. */
  private prepare(target: PlanTarget): Pick<OpenAttempt, "joiner" | "method"> & { readonly request: ProviderRequest } {
    const request = this.options.requestFor(target)
    if (!this.committed) return { request, method: undefined, joiner: undefined }
    const prefill = Continuation.prefillText(this.text)
    if (
      prefill.length > 0 &&
      !this.refusedPrefill.has(target.id) &&
      target.provider.capabilities(target.model).prefill === true
    ) {
      return {
        method: "prefill",
        joiner: Continuation.afterPrefill(this.text),
        request: {
          ...request,
          messages: [...request.messages, { role: "assistant", content: prefill }],
          prefill: true
        }
      }
    }
    return { request, method: "restart", joiner: Continuation.afterRestart(this.text) }
  }

  // --- parts --------------------------------------------------------------------------------------------------

  private accept(open: OpenAttempt, parts: ReadonlyArray<StreamPart>): Pull.Pull<Parts, LLMError> {
    const out: Array<LLMStreamPart> = this.options.policy === "buffer" ? this.held : []
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!
      if (part.type === "text-delta" && part.delta.length > 0) {
        this.content(open, part.delta.length)
        if (!this.handOnText(open, part, out)) return this.disagreed(open)
      } else if (part.type === "finish") {
        return this.finish(open, part, out)
      } else if (part.type === "response-metadata") {
        open.metadata = part
        if (part.limits !== undefined) open.limits = part.limits
        // Held back until the target is announced; after that it goes its way.
        if (open.announced) out.push(part)
      } else if (isContent(part)) {
        this.content(open, part.type === "reasoning-delta" || part.type === "tool-params-delta" ? part.delta.length : 1)
        if (!this.handOnOther(open, part, out)) return this.disagreed(open)
      } else if (isMark(part)) {
        open.watch.content()
        this.handOnOther(open, part, out)
      }
    }
    if (out.length === 0 || this.options.policy === "buffer") return this.pull
    this.report()
    return Effect.succeed(out as unknown as Parts)
  }

  tellEnd(exit: Exit.Exit<unknown, LLMError>): void {
    this.run.onStreamEnd?.(exit)
  }

  /** Content arrived: the clocks of the attempt start again. */
  private content(open: OpenAttempt, characters: number): void {
    if (open.characters === 0) {
      const tookMs = this.run.tookMs(open.active)
      open.active.firstTokenMs = tookMs
      open.active.observer?.firstToken(tookMs)
    }
    open.characters += characters
    open.watch.content()
  }

  private handOnText(
    open: OpenAttempt,
    part: Extract<StreamPart, { type: "text-delta" }>,
    out: Array<LLMStreamPart>
  ): boolean {
    if (open.joiner === undefined) {
      this.text += part.delta
      this.handOn(open, part, out)
      return true
    }
    const joined = open.joiner.push(part.delta)
    if (joined._tag === "disagrees") return false
    if (joined.text.length > 0) {
      this.text += joined.text
      this.handOn(open, { type: "text-delta", delta: joined.text }, out)
    }
    return true
  }

  /** Reasoning of a continuing attempt is not handed on: the reader has had the reasoning of the first. */
  private handOnOther(open: OpenAttempt, part: Exclude<StreamPart, FinishPart>, out: Array<LLMStreamPart>): boolean {
    if (open.joiner !== undefined) {
      if (part.type === "reasoning-delta") return true
      if (!open.joiner.caughtUp()) return false
    }
    if (part.type !== "reasoning-delta") this.toolBegun = true
    this.handOn(open, part, out)
    return true
  }

  private handOn(open: OpenAttempt, part: Exclude<StreamPart, FinishPart>, out: Array<LLMStreamPart>): void {
    if (!open.announced) this.announce(open, out)
    this.handedOn.push(part)
    this.progress?.add(part)
    out.push(part)
  }

  /** Says which target writes from here on. The first announcement is the commit point. */
  private announce(open: OpenAttempt, out: Array<LLMStreamPart>): void {
    open.announced = true
    const { attempt, target } = open.active.call
    out.push({ type: "target", target, attempt, continues: open.method !== undefined })
    if (open.metadata !== undefined) out.push(open.metadata)
    if (this.committed || this.options.policy === "buffer") return
    this.committed = true
    this.run.firstContent(open.active)
    const { observer, requestId } = this.run.options
    observer?.emit({ type: "stream-committed", requestId, attempt, target })
  }

  private finish(open: OpenAttempt, part: FinishPart, out: Array<LLMStreamPart>): Pull.Pull<Parts, LLMError> {
    if (open.joiner !== undefined && !open.joiner.caughtUp()) return this.disagreed(open)
    const { run } = this
    if (!open.announced) this.announce(open, out)
    run.end(
      open.active,
      {
        _tag: "success",
        usage: part.usage,
        tookMs: run.tookMs(open.active),
        ...(open.active.firstTokenMs === undefined ? undefined : { firstTokenMs: open.active.firstTokenMs }),
        ...(open.limits === undefined ? undefined : { limits: open.limits })
      },
      open.active.observer === undefined ? undefined : { ...open.metadata, finishReason: part.reason }
    )
    this.finished = true
    const complete: CompletePart = {
      ...part,
      ...run.provenance(open.active.target),
      ...run.standing?.(run.records)
    }
    out.push(complete)
    run.options.settings.dynamic?.learn(
      open.active.target.id,
      part.usage.outputTokens,
      run.tookMs(open.active) - (open.active.firstTokenMs ?? 0)
    )
    this.report()
    return Effect.succeed(out as unknown as Parts)
  }

  private report(): void {
    if (this.progress === undefined) return
    this.options.onProgress!(this.progress.snapshot(nowMs(this.run.options.clock), undefined))
  }

  /** Listens to the connection for a moment more, so that it can be used again, and closes the attempt. */
  private drain(): Pull.Pull<never> {
    const open = this.open
    if (open === undefined) return Cause.done()
    return Effect.flatMap(Effect.exit(PullWatch.within(drainMs, open.upstream)), () =>
      Effect.andThen(this.close(open, Exit.void), Cause.done())
    )
  }

  // --- failures -----------------------------------------------------------------------------------------------

  private produced(open: OpenAttempt): { readonly usage?: Usage } {
    if (open.characters === 0) return {}
    const request = open.active.call.request
    const input =
      "messages" in request ? request.messages.reduce((total, message) => total + charactersOf(message), 0) : 0
    return {
      usage: {
        inputTokens: estimateTokens(input),
        outputTokens: estimateTokens(open.characters),
        estimated: true
      }
    }
  }

  private close(open: OpenAttempt, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.suspend(() => {
        if (this.open === open) this.open = undefined
        this.holding.delete(open)
        return Effect.andThen(open.watch.stop, Scope.close(open.scope, exit))
      })
    )
  }

  private recover(open: OpenAttempt, raw: AttemptError): Pull.Pull<Parts, LLMError> {
    return Effect.flatMap(
      Effect.catch(this.breakOff(open, this.run.located(open.active, raw)), ({ error }) => this.choose(open, error)),
      () => this.pull
    )
  }

  /** Ends a broken attempt, gives back what it held, and fails with it. */
  private breakOff(open: OpenAttempt, error: AttemptError): Effect.Effect<never, Broken> {
    return Effect.suspend(() => {
      this.run.end(
        open.active,
        {
          _tag: "failure",
          error,
          tookMs: this.run.tookMs(open.active),
          ...(open.active.firstTokenMs === undefined ? undefined : { firstTokenMs: open.active.firstTokenMs }),
          ...this.produced(open)
        },
        open.metadata
      )
      return Effect.andThen(this.close(open, Exit.fail(error)), Effect.fail({ open, error }))
    })
  }

  /** Finds the next attempt after a broken one, or fails with the error of the call. */
  private choose(open: OpenAttempt, error: AttemptError): Effect.Effect<void, LLMError> {
    this.held = []
    const goTo = (index: number): void => {
      this.index = index
    }
    if (!this.committed) {
      // What was held back of this attempt is no part of the next one's answer.
      this.text = ""
      this.handedOn.length = 0
      return Effect.map(this.run.afterFailure(error, open.index), goTo)
    }
    if (open.method === "prefill" && open.characters === 0 && error._tag === "InvalidRequestError") {
      this.refusedPrefill.add(open.active.target.id)
      return this.run.mayRepeat() ? Effect.void : Effect.fail(this.interrupted())
    }
    this.firstBreak ??= error
    if (!disposition(error).failover && error._tag !== "StreamInterruptedError") {
      return Effect.fail(open.method === undefined ? error : this.interrupted())
    }
    if (this.options.policy === "fail" || this.toolBegun) return Effect.fail(this.interrupted())
    return Effect.mapBoth(this.run.afterFailure(error, open.index, true), {
      onFailure: () => this.interrupted(),
      onSuccess: goTo
    })
  }

  private disagreed(open: OpenAttempt): Pull.Pull<never, LLMError> {
    return Effect.suspend(() => {
      const error = this.interrupted()
      this.run.end(
        open.active,
        {
          _tag: "failure",
          error,
          tookMs: this.run.tookMs(open.active),
          ...this.produced(open)
        },
        open.metadata
      )
      return Effect.andThen(this.close(open, Exit.fail(error)), Effect.fail(error))
    })
  }

  /** The error for an answer that stays in pieces: everything handed on, and why it broke first. */
  private interrupted(): StreamInterruptedError {
    const cause = this.firstBreak
    return new StreamInterruptedError({
      message:
        cause === undefined
          ? "The stream broke off before its end"
          : `The stream broke off before its end: ${cause.message}`,
      partialText: this.text,
      parts: this.handedOn.slice(),
      ...(cause === undefined
        ? undefined
        : {
            cause,
            ...(cause.provider === undefined ? undefined : { provider: cause.provider }),
            ...(cause.model === undefined ? undefined : { model: cause.model }),
            ...(cause.attempt === undefined ? undefined : { attempt: cause.attempt })
          })
    })
  }
}

/** Lets the observer hear the parts, if it wants to. */
const told = (upstream: Upstream, { parts: hear }: AttemptObserver): Upstream =>
  hear === undefined
    ? upstream
    : Effect.map(upstream, (parts) => {
        hear(parts)
        return parts
      })

/** The first pull opens the provider's stream; the following ones go straight to it. */
const connect = (
  stream: Stream.Stream<StreamPart, AttemptError>,
  scope: Scope.Scope,
  active: ActiveAttempt
): Upstream => {
  let pull: Upstream | undefined
  const opened = Effect.flatMap(Channel.toPullScoped(Stream.toChannel(stream), scope), (opened) => {
    pull = active.observer === undefined ? opened : active.observer.within(told(opened, active.observer))
    return pull
  })
  const first = active.observer === undefined ? opened : active.observer.within(opened)
  return Effect.suspend(() => pull ?? first)
}

/** The error behind a pull that ended without a `finish`, or `undefined` for a defect or an interruption. */
const brokenBy = (
  cause: Cause.Cause<AttemptError | Cause.Done>,
  partialText: string,
  parts: ReadonlyArray<StreamPart>
): AttemptError | undefined => {
  if (cause.reasons.some((reason) => reason._tag === "Fail" && Cause.isDone(reason.error))) {
    return new StreamInterruptedError({
      message: "The stream ended before its finish part",
      partialText,
      parts: parts.slice()
    })
  }
  return errorOf(cause as Cause.Cause<AttemptError>)
}

const silent = (active: ActiveAttempt, phase: "firstToken" | "idle", limitMs: number): AttemptError =>
  new RequestTimeoutError({
    message:
      phase === "firstToken"
        ? `${active.target.id} sent nothing of its answer within ${Math.round(limitMs)} ms`
        : `${active.target.id} went silent for ${Math.round(limitMs)} ms in the middle of its answer`,
    phase,
    limit: Duration.millis(limitMs),
    provider: active.target.provider.name,
    model: active.target.model,
    attempt: active.call.attempt
  })
