/** Anthropic's wire: messages. */
import type { Answer, Finish } from "./answer.ts"
import type { Ask } from "./Ask.ts"
import { type Frame, id, type Problem, type Reply, type Stamp, type Wire } from "./wire.ts"

const stopReasons: { readonly [F in Finish]: string } = {
  stop: "end_turn",
  length: "max_tokens",
  "tool-calls": "tool_use",
  "content-filter": "refusal"
}

const inputUsage = (answer: Answer) => ({
  input_tokens: answer.inputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  service_tier: "standard"
})

const envelope = (ask: Ask, stamp: Stamp) => ({
  id: id("msg_", stamp),
  type: "message",
  role: "assistant",
  model: ask.model
})

const whole = (ask: Ask, answer: Answer, stamp: Stamp): string =>
  JSON.stringify({
    ...envelope(ask, stamp),
    content:
      answer.tool === undefined
        ? [{ type: "text", text: answer.text }]
        : [{ type: "tool_use", id: id("toolu_", stamp), name: answer.tool.name, input: JSON.parse(answer.tool.args) }],
    stop_reason: stopReasons[answer.finish],
    stop_sequence: null,
    usage: { ...inputUsage(answer), output_tokens: answer.outputTokens }
  })

const event = (type: string, fields: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

const frames = (ask: Ask, answer: Answer, stamp: Stamp): ReadonlyArray<Frame> => {
  const tool = answer.tool
  const start = event("message_start", {
    message: {
      ...envelope(ask, stamp),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...inputUsage(answer), output_tokens: 1 }
    }
  })
  const block = event("content_block_start", {
    index: 0,
    content_block:
      tool === undefined
        ? { type: "text", text: "" }
        : { type: "tool_use", id: id("toolu_", stamp), name: tool.name, input: {} }
  })
  const delta = (text: string) =>
    tool === undefined ? { type: "text_delta", text } : { type: "input_json_delta", partial_json: text }
  return [
    { kind: "head", bytes: start + block + event("ping", {}) },
    ...answer.chunks.map((text): Frame => ({
      kind: "content",
      bytes: event("content_block_delta", { index: 0, delta: delta(text) })
    })),
    {
      kind: "finish",
      bytes:
        event("content_block_stop", { index: 0 }) +
        event("message_delta", {
          delta: { stop_reason: stopReasons[answer.finish], stop_sequence: null },
          usage: { output_tokens: answer.outputTokens }
        })
    },
    { kind: "done", bytes: event("message_stop", {}) }
  ]
}

const errors: {
  readonly [P in Problem]: (model: string, detail: string) => readonly [status: number, type: string, message: string]
} = {
  "rate-limit": () => [
    429,
    "rate_limit_error",
    "This request would exceed your organization's rate limit of 50 requests per minute."
  ],
  "rate-limit-no-hint": () => [
    429,
    "rate_limit_error",
    "This request would exceed your organization's rate limit of 50 requests per minute."
  ],
  "rate-limit-body-hint": () => [
    429,
    "rate_limit_error",
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute. Please try again in 634ms."
  ],
  quota: () => [402, "billing_error", "Your account has no credit left for this request."],
  server: () => [500, "api_error", "Internal server error"],
  "overloaded-503": () => [503, "overloaded_error", "Overloaded"],
  "overloaded-529": () => [529, "overloaded_error", "Overloaded"],
  "context-length": () => [400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"],
  "content-filter": () => [400, "invalid_request_error", "Output blocked by content filtering policy"],
  prefill: () => [
    400,
    "invalid_request_error",
    "This model does not support assistant message prefill. The conversation must end with a user message."
  ],
  auth: () => [401, "authentication_error", "invalid x-api-key"],
  "not-found": (model) => [404, "not_found_error", `model: ${model}`],
  "bad-request": (_, detail) => [400, "invalid_request_error", detail]
}

const limitHeaders = (stamp: Stamp, remaining: number, seconds: number) => {
  const reset = new Date((stamp.seconds + seconds) * 1000).toISOString().replace(".000Z", "Z")
  const headers: Record<string, string> = {}
  for (const [kind, limit] of [
    ["requests", 50],
    ["tokens", 50_000],
    ["input-tokens", 40_000],
    ["output-tokens", 10_000]
  ] as const) {
    headers[`anthropic-ratelimit-${kind}-limit`] = String(limit)
    headers[`anthropic-ratelimit-${kind}-remaining`] = String(kind === "requests" ? remaining : limit - 100)
    headers[`anthropic-ratelimit-${kind}-reset`] = reset
  }
  return headers
}

const base = (stamp: Stamp) => ({ "request-id": id("req_", stamp), "anthropic-organization-id": "org-test" })

const problem: Wire["problem"] = (name, ask, stamp, detail = "1"): Reply => {
  const [status, type, message] = errors[name](ask.model, detail)
  const hint = name === "rate-limit" ? { "retry-after": detail, ...limitHeaders(stamp, 0, Number(detail)) } : {}
  const retry = name === "server" || name.startsWith("overloaded") || name.startsWith("rate-limit")
  return {
    status,
    headers: { "content-type": "application/json", "x-should-retry": String(retry), ...base(stamp), ...hint },
    body: JSON.stringify({ type: "error", error: { type, message }, request_id: id("req_", stamp) })
  }
}

export const anthropic: Wire = {
  headers: (stamp) => ({ ...base(stamp), ...limitHeaders(stamp, 49, 1) }),
  whole,
  frames,
  problem,
  errorFrame: event("error", { error: { type: "overloaded_error", message: "Overloaded" } }),
  malformedFrame: 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"del\n\n',
  keepAlive: event("ping", {})
}
