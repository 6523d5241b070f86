/** Errors in OpenAI's words. */
import type { LLMError } from "@breakwater/core"
import type { Problem } from "../../internal/Problem.ts"
import { failureOf, type Kind, type WireError } from "../Status.ts"

const words: { readonly [K in Kind]: readonly [type: string, code: string | null] } = {
  "invalid-request": ["invalid_request_error", null],
  unauthenticated: ["invalid_request_error", "invalid_api_key"],
  forbidden: ["invalid_request_error", "insufficient_permissions"],
  "not-found": ["invalid_request_error", "not_found"],
  "method-not-allowed": ["invalid_request_error", "method_not_allowed"],
  timeout: ["invalid_request_error", "request_timeout"],
  "too-large": ["invalid_request_error", "request_too_large"],
  "unsupported-media-type": ["invalid_request_error", "unsupported_media_type"],
  "rate-limited": ["rate_limit_error", "rate_limit_exceeded"],
  "headers-too-large": ["invalid_request_error", "headers_too_large"],
  internal: ["server_error", "internal_error"],
  overloaded: ["server_error", "overloaded"],
  quota: ["insufficient_quota", "insufficient_quota"],
  budget: ["insufficient_quota", "budget_exceeded"],
  "model-not-found": ["invalid_request_error", "model_not_found"],
  "context-length": ["invalid_request_error", "context_length_exceeded"],
  content: ["invalid_request_error", "content_filter"],
  upstream: ["server_error", "upstream_error"],
  "upstream-auth": ["server_error", "upstream_authentication_error"],
  "upstream-timeout": ["server_error", "upstream_timeout"]
}

/** A failure as status, headers and body. */
export const encodeError = (error: LLMError.LLMError | Problem): WireError => {
  const { code, headers, kind, message, param, status } = failureOf(error)
  const [type, usual] = words[kind]
  return {
    status,
    headers,
    body: JSON.stringify({ error: { message, type, param: param ?? null, code: code ?? usual } })
  }
}
