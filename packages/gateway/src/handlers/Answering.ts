/** What chat completions and messages have in common: both ask the service, whole or as a stream. */
import { type Call, Events, type LLMError } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { controlsOf } from "../internal/Controls.ts"
import type { ClientGone, Exchange } from "../internal/Exchange.ts"
import { isPriced } from "../config/build/Money.ts"
import { isProblem, type Problem, problem, wrong } from "../internal/Problem.ts"
import { choose, type Chosen } from "../internal/Targets.ts"
import type { Asked } from "../wire/Asked.ts"
import { dollars, failuresOf, headerText, moneyOf } from "../wire/Finished.ts"
import type { Naming } from "../wire/openai/Encode.ts"

export type HandlerError = Problem | LLMError.LLMError | ClientGone

/** How one wire puts answers into words. */
export interface Voice {
  readonly whole: (answer: Call.LLMResponse, naming: Naming) => string
  readonly encoder: (naming: Naming, asked: Asked) => { readonly part: (part: Call.LLMStreamPart) => string }
  /** An error in the middle of a stream, and its end. */
  readonly broken: (error: LLMError.LLMError | Problem) => string
}

/** Headers that tell how an answer came about. */
export const provenance = (exchange: Exchange, answer: Call.EmbedResponse | Call.LLMResponse): void => {
  const failures = failuresOf(answer.attempts)
  const { budgetRemaining, budgetWarning, cost, saved } = moneyOf(answer)
  exchange.target = answer.target
  exchange.attempts = answer.attempts.length
  exchange.set({
    "x-breakwater-target": headerText(answer.target),
    "x-breakwater-attempts": String(answer.attempts.length),
    "x-breakwater-cache": ("cached" in answer ? answer.cached?.source : undefined) ?? "miss",
    ...(failures.length === 0 ? {} : { "x-breakwater-failures": failures.join(", ") }),
    ...(cost === undefined ? {} : { "x-breakwater-cost": cost }),
    ...(saved === undefined ? {} : { "x-breakwater-saved": saved }),
    ...(budgetRemaining === undefined ? {} : { "x-breakwater-budget-remaining": budgetRemaining }),
    ...(budgetWarning === undefined ? {} : { "x-breakwater-budget-warning": listText(budgetWarning) })
  })
}

/** Text with spaces that may stand in a header. */
const listText = (value: string): string => value.replace(/[^\x20-\x7e]/g, "?").slice(0, 500)

/** Headers that tell how a call failed. */
export const failed = (exchange: Exchange, failures: ReadonlyArray<string>): void => {
  exchange.attempts = failures.length
  exchange.set({
    "x-breakwater-attempts": String(failures.length),
    ...(failures.length === 0 ? {} : { "x-breakwater-failures": failures.join(", ") })
  })
}

/** Notes the failed attempts of an effect's call as they happen, and how it ended. */
export const noting = <A, E, R>(
  exchange: Exchange,
  effect: Effect.Effect<A, E, R>,
  failures: Array<string>
): Effect.Effect<A, E, R> =>
  Events.listen((event) => {
    if (event.type === "attempt-failed")
      failures.push(headerText(`${event.target.replace(/[,=]/g, "?")}=${event.error._tag}`))
    else if (event.type === "request-finished") exchange.finished = event
  })(effect)

const naming = (exchange: Exchange): Effect.Effect<Naming> =>
  Effect.map(Clock.currentTimeMillis, (nowMs) => ({
    requestId: exchange.requestId,
    created: Math.floor(nowMs / 1_000)
  }))

/**
 * What is left of the tightest budget that the call drew on, where the answer does not say it: a store that is far away
 * is asked. A stream does not wait for it.
 */
const remaining = (
  exchange: Exchange,
  call: Call.GenerateOptions,
  { remainingNanos, target }: Call.LLMResponse
): Effect.Effect<void> => {
  const { engine, principal } = exchange
  if (engine.config.budgets === undefined || remainingNanos !== undefined) return Effect.void
  const context = { tenant: principal!.tenant, ...call.context }
  return Effect.match(engine.budget.snapshot(context, [target]), {
    onFailure: () => {},
    onSuccess: (accounts) => {
      const left = accounts.flatMap((account) => (account.remaining === undefined ? [] : [account.remaining]))
      if (left.length === 0) return
      const least = left.reduce((a, b) => (b < a ? b : a))
      exchange.set({ "x-breakwater-budget-remaining": dollars(least) })
    }
  })
}

const answerWhole = (
  exchange: Exchange,
  chosen: Chosen,
  call: Call.GenerateOptions,
  voice: Voice
): Effect.Effect<void, HandlerError> =>
  Effect.suspend(() => {
    const failures: Array<string> = []
    return noting(exchange, chosen.llm.generate(call), failures).pipe(
      Effect.tapError(() => Effect.sync(() => failed(exchange, failures))),
      Effect.tap((answer) => remaining(exchange, call, answer)),
      Effect.flatMap((answer) =>
        Effect.map(naming(exchange), (names) => {
          provenance(exchange, answer)
          exchange.sendNow(200, voice.whole(answer, names))
        })
      )
    )
  })

/** Headers of a stream: what is known when its first content goes out. */
const beginStream = (exchange: Exchange, attempt: number, failures: ReadonlyArray<string>): void => {
  exchange.attempts = attempt
  exchange.set({
    ...(exchange.target === undefined ? {} : { "x-breakwater-target": headerText(exchange.target) }),
    "x-breakwater-attempts": String(attempt),
    "x-breakwater-cache": attempt === 0 ? "hit" : "miss",
    ...(failures.length === 0 ? {} : { "x-breakwater-failures": failures.join(", ") })
  })
  exchange.begin()
}

const errorOf = (cause: Cause.Cause<LLMError.LLMError | ClientGone>): LLMError.LLMError | ClientGone | Problem =>
  cause.reasons.find((reason) => reason._tag === "Fail")?.error ?? problem("internal", "The gateway failed.")

const answerStream = (
  exchange: Exchange,
  chosen: Chosen,
  asked: Asked,
  call: Call.StreamOptions,
  voice: Voice
): Effect.Effect<void, HandlerError> =>
  Effect.gen(function* () {
    const failures: Array<string> = []
    const encoder = voice.encoder(yield* naming(exchange), asked)
    let attempt = 0
    const run = Stream.runForEachArray(chosen.llm.stream(call), (parts) => {
      let text = ""
      for (const part of parts) {
        if (part.type === "target") {
          attempt = part.attempt
          exchange.target = part.target
        } else if (part.type === "finish") {
          attempt = part.attempts.length
          exchange.target = part.target
          exchange.attempts = attempt
        }
        text += encoder.part(part)
      }
      if (text.length === 0) return Effect.void
      if (!exchange.begun) beginStream(exchange, attempt, failures)
      return exchange.write(text)
    })
    const exit = yield* Effect.exit(noting(exchange, run, failures))
    if (Exit.isSuccess(exit)) return exchange.end()
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
    const error = errorOf(exit.cause)
    if (error._tag === "ClientGone") return yield* Effect.fail(error)
    if (!exchange.begun) {
      failed(exchange, failures)
      return yield* Effect.fail(error)
    }
    exchange.error = error._tag
    yield* exchange.write(voice.broken(error))
    exchange.end()
  })

const unbound = wrong("models", "a provider's own choice can be neither checked nor priced; name them in fallbacks")

/** Looks up the targets of a request, asks the service, and answers. */
export const answer = (
  exchange: Exchange,
  asked: Asked,
  chosen: Chosen,
  voice: Voice
): Effect.Effect<void, HandlerError> =>
  Effect.suspend(() => {
    const controls = controlsOf(exchange, chosen.totalMs)
    if (isProblem(controls)) return Effect.fail(controls)
    // OpenRouter's list of models to choose among: a way around the models of a key, and around prices.
    const isBound = exchange.principal!.models !== undefined || isPriced(exchange.engine.config)
    if (isBound && asked.call.extra?.["models"] !== undefined) return Effect.fail(unbound)
    const { streamPolicy, ...rest } = controls
    const call = { ...asked.call, ...rest, model: chosen.model, fallbacks: chosen.fallbacks }
    return asked.stream
      ? answerStream(exchange, chosen, asked, streamPolicy === undefined ? call : { ...call, streamPolicy }, voice)
      : answerWhole(exchange, chosen, call, voice)
  })

/** {@link choose} for the caller of an exchange. */
export const chosenFor = (
  exchange: Exchange,
  asked: Pick<Asked, "model" | "fallbacks">
): Effect.Effect<Chosen, Problem> => choose(exchange.engine, exchange.principal!, asked.model, asked.fallbacks)
