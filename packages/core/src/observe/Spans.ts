/**
 * Spans of a call, by the OpenTelemetry conventions for generative AI: one for the request, and below it one for
 * each attempt. Prompts and answers are never part of a span.
 *
 * Tokens stand on the attempts only, so that adding up spans counts them once. Attempts after the first are linked
 * to the one they follow.
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
import type { Usage } from "../domain/Usage.ts"
import type { AttemptObserver, CallEnd } from "../domain/Observer.ts"

/** What the request span says from the start. */
export interface RequestSpanOptions {
  readonly operation: "generate" | "stream" | "embed"
  readonly requestId: string
  readonly provider: string
  readonly model: string
}

/** The spans of one call. */
export interface CallSpans {
  readonly attempt: (call: AttemptCall) => AttemptObserver
  readonly end: (end: CallEnd) => void
}

const operationName = (operation: RequestSpanOptions["operation"]): string =>
  operation === "embed" ? "embeddings" : "chat"

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
  request.attribute("gen_ai.provider.name", options.provider)
  request.attribute("gen_ai.request.model", options.model)
  request.attribute("breakwater.request.id", options.requestId)
  request.attribute("breakwater.operation", options.operation)

  let previous: Tracer.Span | undefined
  return {
    attempt: (call) => {
      const span = attemptSpan(tracer, clock, name, request, previous, call)
      previous = span
      return {
        within: Effect.provideService(Tracer.ParentSpan, span),
        firstToken: (afterMs) => span.attribute("gen_ai.response.time_to_first_chunk", afterMs / 1000),
        end: (outcome, model) => endAttempt(span, clock, outcome, model)
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
      request.end(clock.currentTimeNanosUnsafe(), end.exit)
    }
  }
}

const attemptSpan = (
  tracer: Tracer.Tracer,
  clock: Clock.Clock,
  name: string,
  request: Tracer.Span,
  previous: Tracer.Span | undefined,
  call: AttemptCall
): Tracer.Span => {
  const span = tracer.span({
    name: `${name} ${call.model}`,
    parent: Option.some(request),
    annotations: Context.empty(),
    links: previous === undefined ? [] : [{ span: previous, attributes: { "breakwater.link": "previous attempt" } }],
    startTime: clock.currentTimeNanosUnsafe(),
    kind: "client",
    root: false,
    sampled: request.sampled
  })
  span.attribute("gen_ai.operation.name", name)
  span.attribute("gen_ai.provider.name", call.provider)
  span.attribute("gen_ai.request.model", call.model)
  span.attribute("breakwater.request.id", call.requestId)
  span.attribute("breakwater.attempt", call.attempt)
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
  model: string | undefined
): void => {
  if (model !== undefined) span.attribute("gen_ai.response.model", model)
  if (outcome._tag !== "unsent" && outcome.usage !== undefined) usageAttributes(span, outcome.usage)
  if (outcome._tag === "failure") {
    const { error } = outcome
    span.attribute("error.type", error._tag)
    if (error.status !== undefined) span.attribute("http.response.status_code", error.status)
    if (error.requestId !== undefined) span.attribute("breakwater.provider.request.id", error.requestId)
  }
  const exit =
    outcome._tag === "failure"
      ? Exit.fail(outcome.error)
      : outcome._tag === "interrupted"
        ? Exit.interrupt()
        : Exit.void
  span.end(clock.currentTimeNanosUnsafe(), exit)
}
