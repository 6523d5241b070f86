/** Errors in Anthropic's words. */
import type { LLMError } from "@breakwater/core"
import type { Problem } from "../../internal/Problem.ts"
import { failureOf, type Kind, type WireError } from "../Status.ts"

const types: { readonly [K in Kind]: string } = {
  "invalid-request": "invalid_request_error",
  unauthenticated: "authentication_error",
  forbidden: "permission_error",
  "not-found": "not_found_error",
  "method-not-allowed": "invalid_request_error",
  timeout: "timeout_error",
  "too-large": "request_too_large",
  "unsupported-media-type": "invalid_request_error",
  "rate-limited": "rate_limit_error",
  "headers-too-large": "request_too_large",
  internal: "api_error",
  overloaded: "overloaded_error",
  quota: "billing_error",
  budget: "rate_limit_error",
  "model-not-found": "not_found_error",
  "context-length": "invalid_request_error",
  content: "invalid_request_error",
  upstream: "api_error",
  "upstream-auth": "api_error",
  "upstream-timeout": "timeout_error"
}

/** This wire's own numbers, where they are not everybody's. */
const statuses: { readonly [K in Kind]?: number } = { overloaded: 529, quota: 402 }

/** A failure as status, headers and body. */
export const encodeError = (error: LLMError.LLMError | Problem, requestId: string): WireError => {
  const { headers, kind, message, status } = failureOf(error)
  return {
    status: statuses[kind] ?? status,
    headers,
    body: JSON.stringify({ type: "error", error: { type: types[kind], message }, request_id: requestId })
  }
}
