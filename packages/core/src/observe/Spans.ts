/**
 * Spans of a call, by the OpenTelemetry conventions for generative AI: one for the request, and below it one for
 * each attempt. Prompts and answers are part of a span only where `Telemetry.layerContent` says so.
 *
 * Tokens stand on the attempts only, so that adding up spans counts them once. Attempts after the first are linked
 * to the one they follow, and the link says why: `retry`, `failover` or `hedge`.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { AttemptCall, AttemptOutcome } from "../domain/Attempt.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { Usage } from "../domain/Usage.ts"
import type { AttemptAnswer, AttemptKind, AttemptObserver, CallEnd } from "../domain/Observer.ts"
import { operationName, providerName } from "../internal/genAi.ts"
import { tellable } from "../internal/logError.ts"
import { type ContentSettings, inputMessages, Output, systemInstructions } from "../internal/spanContent.ts"
import { Content } from "./Telemetry.ts"

/** What the request span says from the start. */
export interface RequestSpanOptions {
  readonly operation: "generate" | "stream" | "embed"
  readonly requestId: string
  readonly provider: string
  readonly model: string
}

/** The spans of one call. */
export interface CallSpans {
  readonly attempt: (call: AttemptCall, kind: AttemptKind) => AttemptObserver
  readonly end: (end: CallEnd) => void
}

/** Opens the request span, or answers `undefined` when no tracer but Effect's default is in place. */
export const open = (
  fiber: Fiber.Fiber<unknown, unknown>,
  clock: Clock.Clock,
  options: RequestSpanOptions
): CallSpans | undefined => {
  const tracer = fiber.getRef(Tracer.Tracer)
  if (tracer === Tracer.nativeTracer || !fiber.getRef(References.TracerEnabled)) return undefined
  const name = operationName(options.operation)
  const parent = Context.getOption(fiber.context, Tracer.ParentSpan)
  const request = tracer.span({
    name: `${name} ${options.model}`,
    parent,
    annotations: Context.empty(),
    links: [],
    startTime: clock.currentTimeNanosUnsafe(),
    kind: "internal",
    root: Option.isNone(parent),
    sampled: Option.isNone(parent) || parent.value.sampled
  })
  for (const [key, value] of Object.entries(fiber.getRef(References.TracerSpanAnnotations))) {
    request.attribute(key, value)
  }
  request.attribute("gen_ai.operation.name", name)
  request.attribute("gen_ai.provider.name", providerName(options.provider))
  request.attribute("gen_ai.request.model", options.model)
  request.attribute("breakwater.request.id", options.requestId)
  request.attribute("breakwater.operation", options.operation)

  const content = options.operation === "embed" ? undefined : fiber.getRef(Content)
  const streamed = options.operation === "stream"
  let previous: Tracer.Span | undefined
  return {
    attempt: (call, kind) => {
      const span = attemptSpan({ tracer, clock, name, request, previous, call, kind, streamed })
      previous = span
      if (content !== undefined) inputAttributes(span, call.request, content)
      const output = content === undefined ? undefined : new Output(content)
      return {
        within: inside(span),
        firstToken: (afterMs) => span.attribute("gen_ai.response.time_to_first_chunk", afterMs / 1000),
        parts: streamed ? output?.add : undefined,
        end: (outcome, answer) => {
          if (output !== undefined) outputAttributes(span, output, answer)
          endAttempt(span, clock, outcome, answer)
        }
      }
    },
    end: (end) => {
      const answer = end.answer
      request.attribute("breakwater.attempts", end.attempts.length)
      const last = end.attempts[end.attempts.length - 1]
      if (last !== undefined) request.attribute("breakwater.target", last.target)
      if (answer?.id !== undefined) request.attribute("gen_ai.response.id", answer.id)
      if (answer?.model !== undefined) request.attribute("gen_ai.response.model", answer.model)
      if (answer?.finishReason !== undefined) {
        request.attribute("gen_ai.response.finish_reasons", [answer.finishReason])
      }
      if (end.error !== undefined) request.attribute("error.type", end.error._tag)
      request.end(clock.currentTimeNanosUnsafe(), end.error === undefined ? withoutValue(end.exit) : told(end.error))
    }
  }
}

/** A span has no business with the answer. */
const withoutValue = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<void, unknown> =>
  Exit.isSuccess(exit) ? Exit.void : exit

const told = (error: LLMError): Exit.Exit<never, Error> => Exit.fail(tellable(error))

interface AttemptSpanOptions {
  readonly tracer: Tracer.Tracer
  readonly clock: Clock.Clock
  readonly name: string
  readonly request: Tracer.Span
  readonly previous: Tracer.Span | undefined
  readonly call: AttemptCall
  readonly kind: AttemptKind
  readonly streamed: boolean
}

const attemptSpan = (options: AttemptSpanOptions): Tracer.Span => {
  const { call, clock, kind, name, previous, request, streamed, tracer } = options
  const span = tracer.span({
    name: `${name} ${call.model}`,
    parent: Option.some(request),
    annotations: Context.empty(),
    links: previous === undefined ? [] : [{ span: previous, attributes: { "breakwater.link": kind } }],
    startTime: clock.currentTimeNanosUnsafe(),
    kind: "client",
    root: false,
    sampled: request.sampled
  })
  span.attribute("gen_ai.operation.name", name)
  span.attribute("gen_ai.provider.name", providerName(call.provider))
  span.attribute("gen_ai.request.model", call.model)
  span.attribute("breakwater.request.id", call.requestId)
  span.attribute("breakwater.attempt", call.attempt)
  if (kind !== "first") span.attribute("breakwater.attempt.kind", kind)
  if (streamed) span.attribute("gen_ai.request.stream", true)
  requestAttributes(span, call.request)
  return span
}

const requestAttributes = (span: Tracer.Span, request: ProviderRequest | ProviderEmbedRequest): void => {
  const set = (key: string, value: unknown): void => {
    if (value !== undefined) span.attribute(key, value)
  }
  if (!("messages" in request)) {
    set("gen_ai.embeddings.dimension.count", request.dimensions)
    return
  }
  set("gen_ai.request.temperature", request.temperature)
  set("gen_ai.request.top_p", request.topP)
  set("gen_ai.request.top_k", request.topK)
  set("gen_ai.request.max_tokens", request.maxTokens)
  set("gen_ai.request.stop_sequences", request.stop)
  set("gen_ai.request.seed", request.seed)
  set("gen_ai.request.presence_penalty", request.presencePenalty)
  set("gen_ai.request.frequency_penalty", request.frequencyPenalty)
  if (request.responseFormat !== undefined) set("gen_ai.output.type", request.responseFormat.type)
}

/**
 * Runs effects below a span. A stream is pulled thousands of times in the same context: the one with the span is made
 * once for it, and not at every pull.
 */
const inside = (span: Tracer.Span): AttemptObserver["within"] => {
  let outer: Context.Context<never> | undefined
  let inner: Context.Context<never> | undefined
  const add = (context: Context.Context<never>): Context.Context<never> => {
    if (context !== outer || inner === undefined) {
      outer = context
      inner = Context.add(context, Tracer.ParentSpan, span) as Context.Context<never>
    }
    return inner
  }
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateContext(effect, add as unknown as (context: Context.Context<R>) => Context.Context<R>)
}

const inputAttributes = (
  span: Tracer.Span,
  request: ProviderRequest | ProviderEmbedRequest,
  settings: ContentSettings
): void => {
  if (!("messages" in request)) return
  const system = systemInstructions(request.messages, settings)
  const input = inputMessages(request.messages, settings)
  if (system.json !== undefined) span.attribute("gen_ai.system_instructions", system.json)
  if (input.json !== undefined) span.attribute("gen_ai.input.messages", input.json)
  if (system.truncated || input.truncated) span.attribute("breakwater.content.truncated", true)
}

const outputAttributes = (span: Tracer.Span, output: Output, answer: AttemptAnswer | undefined): void => {
  const { json, truncated } = output.end(answer?.content, answer?.finishReason)
  if (json !== undefined) span.attribute("gen_ai.output.messages", json)
  if (truncated) span.attribute("breakwater.content.truncated", true)
}

const usageAttributes = (span: Tracer.Span, usage: Usage): void => {
  span.attribute("gen_ai.usage.input_tokens", usage.inputTokens)
  span.attribute("gen_ai.usage.output_tokens", usage.outputTokens)
  if (usage.cachedInputTokens !== undefined) {
    span.attribute("gen_ai.usage.cache_read.input_tokens", usage.cachedInputTokens)
  }
  if (usage.cacheWriteTokens !== undefined) {
    span.attribute("gen_ai.usage.cache_creation.input_tokens", usage.cacheWriteTokens)
  }
  if (usage.reasoningTokens !== undefined) {
    span.attribute("gen_ai.usage.reasoning.output_tokens", usage.reasoningTokens)
  }
}

const endAttempt = (
  span: Tracer.Span,
  clock: Clock.Clock,
  outcome: AttemptOutcome,
  answer: AttemptAnswer | undefined
): void => {
  if (answer?.id !== undefined) span.attribute("gen_ai.response.id", answer.id)
  if (answer?.model !== undefined) span.attribute("gen_ai.response.model", answer.model)
  if (answer?.finishReason !== undefined) span.attribute("gen_ai.response.finish_reasons", [answer.finishReason])
  if (outcome._tag !== "unsent" && outcome.usage !== undefined) usageAttributes(span, outcome.usage)
  if (outcome._tag === "failure") {
    const { error } = outcome
    span.attribute("error.type", error._tag)
    if (error.status !== undefined) span.attribute("http.response.status_code", error.status)
    if (error.requestId !== undefined) span.attribute("breakwater.provider.request.id", error.requestId)
  }
  const exit =
    outcome._tag === "failure" ? told(outcome.error) : outcome._tag === "interrupted" ? Exit.interrupt() : Exit.void
  span.end(clock.currentTimeNanosUnsafe(), exit)
}
