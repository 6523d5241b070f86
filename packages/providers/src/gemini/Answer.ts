/**
 * Whole answers with a good status: a turn or vectors, or the error they turn out to be.
 */
import type { LLMError, Request, Response } from "@breakwater/core"
import { type HttpAnswer, invalidResponse, originOf, type Target } from "../internal/Failure.ts"
import { asRecord, parseJson } from "../internal/Json.ts"
import * as Codec from "./Codec.ts"
import * as ErrorMap from "./ErrorMap.ts"

/** Reads an answer. `seed` stands in for the id of a response that has none. */
export const decode = (target: Target, answer: HttpAnswer, seed: string): Response.Turn | LLMError.AttemptError => {
  const body = asRecord(parseJson(answer.text))
  const { text, ...head } = answer
  const origin = originOf(target, head)
  if (body === undefined) return invalidResponse(origin, "The answer is empty or no object.", text)
  if (body["error"] !== undefined) return ErrorMap.fromBody(originOf(target, answer, body), body, answer.text)
  const candidate = Codec.candidateOf(body)
  const failed =
    candidate === undefined
      ? ErrorMap.fromPromptFeedback(origin, body["promptFeedback"])
      : ErrorMap.fromCandidate(origin, candidate)
  return failed ?? Codec.decodeTurn(body, seed) ?? invalidResponse(origin, "The answer holds no candidate.", text)
}

/** Reads the vectors of a batch. */
export const decodeEmbeddings = (
  target: Target,
  answer: HttpAnswer,
  request: Request.ProviderEmbedRequest
): Response.Embeddings | LLMError.AttemptError => {
  const body = asRecord(parseJson(answer.text))
  if (body?.["error"] !== undefined) return ErrorMap.fromBody(originOf(target, answer, body), body, answer.text)
  return (
    Codec.decodeEmbeddings(body, request) ??
    invalidResponse(
      originOf(target, { status: answer.status, headers: answer.headers, nowMs: answer.nowMs }),
      `The answer does not hold a vector of numbers for each of the ${request.input.length} texts.`,
      answer.text
    )
  )
}
