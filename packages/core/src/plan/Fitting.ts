/**
 * The context step of one call: what is sent to a target is fitted to the target's window.
 *
 * It is the outermost admission of an attempt. A prompt that cannot fit is refused there, before anything is reserved
 * or sent, and the plan goes on to a target with a larger window. What was found for a target is remembered for its
 * later attempts, so that nothing is counted or summarised twice.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Admit, AttemptCall, Settle } from "../domain/Attempt.ts"
import type { CallObserver } from "../domain/Observer.ts"
import type { ProviderRequest } from "../domain/Request.ts"
import { type AttemptError, DeadlineExceededError } from "../errors/LLMError.ts"
import { changed, type ContextWindowService, type FitResult } from "../policy/ContextWindow.ts"
import * as Timeout from "../policy/Timeout.ts"
import type { PlanTarget } from "./Run.ts"

export interface FittingOptions {
  readonly context: ContextWindowService
  readonly requestId: string
  readonly targets: ReadonlyArray<PlanTarget>
  readonly observer: CallObserver | undefined
  readonly clock: Clock.Clock
  readonly totalMs: number
}

type Fitted = { readonly request: ProviderRequest } | { readonly error: AttemptError }

/** The call as the admissions see it; its request is replaced here, and nowhere else. */
type Replaceable = { -readonly [K in keyof AttemptCall]: AttemptCall[K] }

export class Fitting {
  private readonly options: FittingOptions
  private readonly found = new Map<string, Fitted>()
  /** What was sent to each target last. */
  private readonly sent = new Map<string, ProviderRequest>()
  private readonly repaired = new Set<string>()
  private readonly startedMs: number

  constructor(options: FittingOptions) {
    this.options = options
    this.startedMs = this.now()
  }

  /** Fits the request of an attempt, or refuses it. */
  readonly admit: Admit = (call) => {
    if (!("messages" in call.request)) return nothing
    const asked = call.request
    // A continued stream has its answer so far as a last message, which must stay the last.
    const prefill = asked.prefill === true ? asked.messages[asked.messages.length - 1] : undefined
    const base = prefill === undefined ? asked : { ...asked, messages: asked.messages.slice(0, -1) }
    return Effect.flatMap(Effect.interruptible(this.fitted(call.target, base)), (fitted) => {
      if ("error" in fitted) return Effect.fail(fitted.error)
      const request = fitted.request
      this.sent.set(call.target, request)
      const replaced =
        prefill === undefined ? request : { ...request, messages: [...request.messages, prefill], prefill: true }
      const replaceable: Replaceable = call
      replaceable.request = replaced
      const settle: Settle = (outcome) => {
        if (outcome._tag === "success") this.options.context.learn(replaced, outcome.usage)
      }
      return Effect.succeed(settle)
    })
  }

  /** The request as the first target would get it, for those who stand before the plan; as it is if it does not fit. */
  first(request: ProviderRequest): Effect.Effect<ProviderRequest> {
    return Effect.map(this.fitted(this.options.targets[0]!.id, request), (fitted) =>
      "error" in fitted ? request : fitted.request
    )
  }

  /** Whether a provider's error has a smaller request as its answer: once for each target. */
  repair(target: string, error: AttemptError): boolean {
    const request = this.sent.get(target)
    if (error._tag !== "ContextLengthError" || request === undefined || this.repaired.has(target)) return false
    this.repaired.add(target)
    const smaller = this.options.context.repair(request, error)
    if (smaller === undefined) return false
    this.found.set(target, { request: smaller })
    this.options.observer?.emit({
      type: "context-repaired",
      requestId: this.options.requestId,
      target,
      droppedMessages: request.messages.length - smaller.messages.length,
      ...(smaller.maxTokens === undefined ? undefined : { maxTokens: smaller.maxTokens })
    })
    return true
  }

  private fitted(id: string, request: ProviderRequest): Effect.Effect<Fitted> {
    return Effect.suspend(() => {
      const found = this.found.get(id)
      if (found !== undefined) return Effect.succeed(found)
      const target = this.options.targets.find((each) => each.id === id)!
      const { contextWindow, maxOutputTokens } = target.provider.capabilities(target.model)
      const fit = this.options.context.fit(
        { ...request, model: target.model },
        {
          model: target.model,
          provider: target.provider.name,
          window: contextWindow,
          maxOutput: maxOutputTokens
        }
      )
      return Effect.map(
        Effect.match(this.inTime(fit), {
          onFailure: (error): Fitted => ({ error }),
          onSuccess: (result): Fitted => {
            this.tell(id, result)
            return { request: result.request }
          }
        }),
        (fitted) => {
          this.found.set(id, fitted)
          return fitted
        }
      )
    })
  }

  /** Counting takes no time to speak of; a summary may. */
  private inTime(fit: Effect.Effect<FitResult, AttemptError>): Effect.Effect<FitResult, AttemptError> {
    const { totalMs } = this.options
    if (totalMs === Infinity) return fit
    const left = totalMs - (this.now() - this.startedMs)
    const late = (): Effect.Effect<never, AttemptError> =>
      Effect.suspend(() =>
        Effect.fail(
          new DeadlineExceededError({
            message: "The time for the call was over before its prompt had been fitted to the window",
            elapsed: Duration.millis(this.now() - this.startedMs),
            limit: Duration.millis(totalMs)
          })
        )
      )
    return left <= 0 ? late() : Timeout.timeoutOrElse(fit, { duration: left, orElse: late })
  }

  private now(): number {
    return Number(this.options.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private tell(target: string, result: FitResult): void {
    if (!changed(result)) return
    this.options.observer?.emit({
      type: "context-fitted",
      requestId: this.options.requestId,
      target,
      window: result.window!,
      inputTokens: result.inputTokens,
      droppedMessages: result.dropped.messages,
      droppedTokens: result.dropped.tokens,
      compactedCharacters: result.compactedCharacters,
      summary: result.summary
    })
  }
}

const nothing = Effect.succeed<Settle>(() => {})
