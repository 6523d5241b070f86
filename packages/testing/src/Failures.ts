/**
 * The errors an attempt can meet, in short: `ScriptedProvider.fail(Failures.rateLimit("2 seconds"))`.
 *
 * They carry the statuses providers send. `provider` and `model` are left out; whoever raises them fills them in.
 */
import { LLMError } from "@breakwater/core"
import * as Duration from "effect/Duration"

/** The kinds {@link make} knows, each a way a provider fails in the wild. */
export const kinds = [
  "rate-limit",
  "quota",
  "overload",
  "server",
  "transport",
  "timeout",
  "invalid-response",
  "context-length",
  "content-filter",
  "authentication",
  "model-not-found",
  "invalid-request"
] as const
export type Kind = (typeof kinds)[number]

const hint = (retryAfter: Duration.Input | undefined) =>
  retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) }

/** 429, with or without a hint. */
export const rateLimit = (retryAfter?: Duration.Input): LLMError.RateLimitError =>
  new LLMError.RateLimitError({
    message: "too many requests",
    status: 429,
    source: "provider",
    scope: "requests",
    ...hint(retryAfter)
  })

/** 429 for an account with nothing left. */
export const quota = (): LLMError.QuotaExhaustedError =>
  new LLMError.QuotaExhaustedError({ message: "the quota is used up", status: 429 })

/** 503 or 529: no capacity at the moment. */
export const overload = (retryAfter?: Duration.Input, status: 503 | 529 = 503): LLMError.ModelOverloadError =>
  new LLMError.ModelOverloadError({ message: "the model is overloaded", status, ...hint(retryAfter) })

/** 500 and its like. */
export const server = (status = 500): LLMError.ServerError =>
  new LLMError.ServerError({ message: "the provider failed inside", status })

/** The connection failed. Default phase: `reset`. */
export const transport = (phase: LLMError.TransportError["phase"] = "reset"): LLMError.TransportError =>
  new LLMError.TransportError({ message: `the connection failed (${phase})`, phase })

/** A wait was too long. Defaults: no first token in 30 seconds. */
export const timeout = (
  phase: LLMError.RequestTimeoutError["phase"] = "firstToken",
  limit: Duration.Input = "30 seconds"
): LLMError.RequestTimeoutError =>
  new LLMError.RequestTimeoutError({
    message: `nothing in time (${phase})`,
    phase,
    limit: Duration.fromInputUnsafe(limit)
  })

/** The answer is not an answer. */
export const invalidResponse = (excerpt = "<html>"): LLMError.InvalidResponseError =>
  new LLMError.InvalidResponseError({ message: "the answer cannot be read", status: 200, excerpt })

/** Prompt and answer do not fit the window. */
export const contextLength = (maxTokens = 8_192, requestedTokens = 9_021): LLMError.ContextLengthError =>
  new LLMError.ContextLengthError({ message: "the prompt is too long", status: 400, maxTokens, requestedTokens })

/** The prompt was refused, or the answer cut off, for its content. */
export const contentFilter = (stage: LLMError.ContentFilterError["stage"] = "input"): LLMError.ContentFilterError =>
  new LLMError.ContentFilterError({ message: "refused for its content", status: 400, stage })

/** 401: the key is not accepted. */
export const authentication = (): LLMError.AuthenticationError =>
  new LLMError.AuthenticationError({ message: "the key is not accepted", status: 401, kind: "invalid" })

/** 404: no such model. */
export const modelNotFound = (): LLMError.ModelNotFoundError =>
  new LLMError.ModelNotFoundError({ message: "no such model", status: 404 })

/** 400: the request is wrong. */
export const invalidRequest = (parameter = "messages"): LLMError.InvalidRequestError =>
  new LLMError.InvalidRequestError({ message: `${parameter} is wrong`, status: 400, parameter })

const byKind: { readonly [K in Kind]: (retryAfter?: Duration.Input) => LLMError.AttemptError } = {
  "rate-limit": rateLimit,
  quota: quota,
  overload: (retryAfter) => overload(retryAfter),
  server: () => server(),
  transport: () => transport(),
  timeout: () => timeout(),
  "invalid-response": () => invalidResponse(),
  "context-length": () => contextLength(),
  "content-filter": () => contentFilter(),
  authentication: authentication,
  "model-not-found": modelNotFound,
  "invalid-request": () => invalidRequest()
}

/** The error of a kind, with its defaults. `retryAfter` counts for `rate-limit` and `overload` only. */
export const make = (kind: Kind, retryAfter?: Duration.Input): LLMError.AttemptError => byKind[kind](retryAfter)
