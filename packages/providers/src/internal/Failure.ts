/**
 * The parts of an error that every codec fills in the same way.
 */
import { LLMError, type Response } from "@breakwater/core"
import type * as Duration from "effect/Duration"
import { type DelayHintInput, delayHint, type ResponseHeaders } from "./DelayHint.ts"
import { excerptOf, parseJson } from "./Json.ts"

/** Where a call was sent. */
export interface Target {
  readonly provider: string
  readonly model: string
}

/** An answer that was read to its end. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: ResponseHeaders
  readonly text: string
  /** When it was read, in milliseconds since 1970. */
  readonly nowMs: number
}

/** The fields of an error that say where it came from and what to do next. */
export interface Origin extends Target {
  readonly status?: number
  readonly requestId?: string
  readonly retryAfter?: Duration.Duration
  readonly shouldRetry?: boolean
}

const requestIdHeaders = ["x-request-id", "request-id", "apim-request-id", "x-generation-id", "cf-ray"]

/** The provider's id of a request, from the headers. */
const requestIdOf = (headers: ResponseHeaders): string | undefined => {
  for (const name of requestIdHeaders) {
    const value = headers[name]
    if (value !== undefined && value.length > 0) return value
  }
  return undefined
}

/** The origin of a failed answer, with the provider's hints. `body` is the parsed body, if the caller has it. */
export const originOf = (
  target: Target,
  answer: Omit<HttpAnswer, "text"> & { readonly text?: string },
  body: unknown = answer.text === undefined ? undefined : parseJson(answer.text)
): Origin => {
  const requestId = requestIdOf(answer.headers)
  const input: DelayHintInput = {
    headers: answer.headers,
    body,
    nowMs: answer.nowMs,
    ...(answer.text === undefined ? {} : { text: answer.text })
  }
  return {
    provider: target.provider,
    model: target.model,
    status: answer.status,
    ...(requestId === undefined ? {} : { requestId }),
    ...delayHint(input)
  }
}

/** An answer that is none. The excerpt is at most 500 characters. */
export const invalidResponse = (origin: Origin, message: string, text?: string): LLMError.InvalidResponseError =>
  new LLMError.InvalidResponseError({
    ...origin,
    message,
    ...(text === undefined || text.length === 0 ? {} : { excerpt: excerptOf(text) })
  })

/** A stream that broke off, with what had arrived. */
export const interrupted = (
  origin: Origin,
  parts: ReadonlyArray<Response.StreamPart>,
  message: string,
  cause?: unknown
): LLMError.StreamInterruptedError => {
  let partialText = ""
  for (const part of parts) {
    if (part.type === "text-delta") partialText += part.delta
  }
  return new LLMError.StreamInterruptedError({
    ...origin,
    message,
    partialText,
    parts: parts.slice(),
    ...(cause === undefined ? {} : { cause })
  })
}
