/**
 * A whole answer with a good status: a turn, or the error it turns out to be.
 */
import type { LLMError, Response } from "@breakwater/core"
import { type HttpAnswer, invalidResponse, originOf, type Target } from "../internal/Failure.ts"
import { asRecord, parseJson } from "../internal/Json.ts"
import { rateLimits } from "../internal/RateLimitHeaders.ts"
import * as Codec from "./Codec.ts"
import * as ErrorMap from "./ErrorMap.ts"

/** Reads an answer. `trimmed` are the blanks cut off a prefill. */
export const decode = (target: Target, answer: HttpAnswer, trimmed: string): Response.Turn | LLMError.AttemptError => {
  const body = asRecord(parseJson(answer.text))
  const { text, ...head } = answer
  const origin = originOf(target, head)
  if (body === undefined) return invalidResponse(origin, "The answer is empty or no object.", text)
  if (body["type"] === "error" || asRecord(body["error"]) !== undefined) {
    return ErrorMap.fromEvent(originOf(target, answer, body), body, text)
  }
  const failed = ErrorMap.fromStopReason(origin, body["stop_reason"], body["stop_details"])
  if (failed !== undefined) return failed
  const turn = Codec.decodeTurn(body, trimmed)
  if (turn === undefined) return invalidResponse(origin, "The answer holds no content.", text)
  const limits = rateLimits(answer.headers, answer.nowMs)
  return limits === undefined ? turn : { ...turn, limits }
}
