/** OpenAI's wire: chat completions and embeddings. */
import { vectorOf } from "../../internal/parts.ts"
import type { Answer, Finish } from "./answer.ts"
import type { Ask } from "./Ask.ts"
import { type Frame, id, type Problem, type Reply, type Stamp, type Wire } from "./wire.ts"

const finishReasons: { readonly [F in Finish]: string } = {
  stop: "stop",
  length: "length",
  "tool-calls": "tool_calls",
  "content-filter": "content_filter"
}

const usage = (answer: Answer) => ({
  prompt_tokens: answer.inputTokens,
  completion_tokens: answer.outputTokens,
  total_tokens: answer.inputTokens + answer.outputTokens,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0
  }
})

const message = (answer: Answer, stamp: Stamp) => ({
  role: "assistant",
  content: answer.tool === undefined ? answer.text : null,
  ...(answer.tool === undefined
    ? {}
    : {
        tool_calls: [
          {
            id: id("call_", stamp),
            type: "function",
            function: { name: answer.tool.name, arguments: answer.tool.args }
          }
        ]
      }),
  refusal: null,
  annotations: []
})

const completion = (ask: Ask, answer: Answer, stamp: Stamp): string =>
  JSON.stringify({
    id: id("chatcmpl-", stamp),
    object: "chat.completion",
    created: stamp.seconds,
    model: ask.model,
    choices: [
      {
        index: 0,
        message: message(answer, stamp),
        logprobs: null,
        finish_reason: finishReasons[answer.finish]
      }
    ],
    usage: usage(answer),
    service_tier: "default",
    system_fingerprint: null
  })

const base64 = (vector: ReadonlyArray<number>): string =>
  Buffer.from(new Float32Array(vector).buffer).toString("base64")

const embeddings = (ask: Ask, answer: Answer): string =>
  JSON.stringify({
    object: "list",
    data: ask.input.map((text, index) => {
      const vector = vectorOf(text, ask.dimensions ?? 64)
      return { object: "embedding", index, embedding: ask.base64 ? base64(vector) : vector }
    }),
    model: ask.model,
    usage: { prompt_tokens: answer.inputTokens, total_tokens: answer.inputTokens }
  })

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

const frames = (ask: Ask, answer: Answer, stamp: Stamp): ReadonlyArray<Frame> => {
  const chunk = (choices: ReadonlyArray<unknown>, extra: object = {}): string =>
    event({
      id: id("chatcmpl-", stamp),
      object: "chat.completion.chunk",
      created: stamp.seconds,
      model: ask.model,
      service_tier: "default",
      system_fingerprint: null,
      choices,
      ...(ask.includeUsage ? { usage: null } : {}),
      ...extra
    })
  const delta = (value: unknown, finish: string | null = null): string =>
    chunk([{ index: 0, delta: value, logprobs: null, finish_reason: finish }])
  const tool = answer.tool
  const head =
    tool === undefined
      ? { role: "assistant", content: "", refusal: null }
      : {
          role: "assistant",
          content: null,
          tool_calls: [
            { index: 0, id: id("call_", stamp), type: "function", function: { name: tool.name, arguments: "" } }
          ],
          refusal: null
        }
  return [
    { kind: "head", bytes: delta(head) },
    ...answer.chunks.map((text): Frame => ({
      kind: "content",
      bytes: delta(
        tool === undefined ? { content: text } : { tool_calls: [{ index: 0, function: { arguments: text } }] }
      )
    })),
    { kind: "finish", bytes: delta({}, finishReasons[answer.finish]) },
    ...(ask.includeUsage ? [{ kind: "finish" as const, bytes: chunk([], { usage: usage(answer) }) }] : []),
    { kind: "done", bytes: "data: [DONE]\n\n" }
  ]
}

interface ErrorBody {
  readonly message: string
  readonly type: string | null
  readonly param: string | null
  readonly code: string | null
}

const errors: {
  readonly [P in Problem]: (model: string, detail: string) => readonly [status: number, body: ErrorBody]
} = {
  "rate-limit": (model, detail) => [
    429,
    {
      message:
        `Rate limit reached for ${model} in organization org-test on requests per min (RPM): Limit 3, Used 3, ` +
        `Requested 1. Please try again in ${detail}s.`,
      type: "requests",
      param: null,
      code: "rate_limit_exceeded"
    }
  ],
  "rate-limit-no-hint": (model) => [
    429,
    {
      message: `Rate limit reached for ${model} in organization org-test on requests per min (RPM): Limit 3, Used 3, Requested 1.`,
      type: "requests",
      param: null,
      code: "rate_limit_exceeded"
    }
  ],
  "rate-limit-body-hint": (model) => [
    429,
    {
      message:
        `Rate limit reached for ${model} in organization org-test on tokens per min (TPM): Limit 30000, Used 29500, ` +
        "Requested 817. Please try again in 634ms.",
      type: "tokens",
      param: null,
      code: "rate_limit_exceeded"
    }
  ],
  quota: () => [
    429,
    {
      message: "You exceeded your current quota, please check your plan and billing details.",
      type: "insufficient_quota",
      param: null,
      code: "insufficient_quota"
    }
  ],
  server: () => [
    500,
    {
      message: "The server had an error while processing your request.",
      type: "server_error",
      param: null,
      code: null
    }
  ],
  "overloaded-503": () => [
    503,
    {
      message: "The engine is currently overloaded, please try again later.",
      type: "server_error",
      param: null,
      code: null
    }
  ],
  "overloaded-529": () => [529, { message: "Overloaded", type: "overloaded_error", param: null, code: null }],
  "context-length": () => [
    400,
    {
      message:
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9021 tokens. " +
        "Please reduce the length of the messages.",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded"
    }
  ],
  "content-filter": () => [
    400,
    {
      message: "Your request was rejected by the safety system.",
      type: "invalid_request_error",
      param: null,
      code: "content_policy_violation"
    }
  ],
  prefill: () => [
    400,
    {
      message: "Assistant message prefill is not supported by this model: the last message must be a user message.",
      type: "invalid_request_error",
      param: "messages",
      code: null
    }
  ],
  auth: () => [
    401,
    {
      message: "Incorrect API key provided.",
      type: "invalid_request_error",
      param: null,
      code: "invalid_api_key"
    }
  ],
  "not-found": (model) => [
    404,
    {
      message: `The model \`${model}\` does not exist or you do not have access to it.`,
      type: "invalid_request_error",
      param: null,
      code: "model_not_found"
    }
  ],
  "bad-request": (_, detail) => [400, { message: detail, type: "invalid_request_error", param: null, code: null }]
}

const limitHeaders = (remaining: number, reset: string) => ({
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-remaining-requests": String(remaining),
  "x-ratelimit-reset-requests": reset,
  "x-ratelimit-limit-tokens": "200000",
  "x-ratelimit-remaining-tokens": "199950",
  "x-ratelimit-reset-tokens": "15ms"
})

const base = (stamp: Stamp) => ({
  "x-request-id": id("req_", stamp),
  "openai-processing-ms": "12",
  "openai-version": "2020-10-01"
})

const problem: Wire["problem"] = (name, ask, stamp, detail = "1"): Reply => {
  const [status, error] = errors[name](ask.model, detail)
  const hint = name === "rate-limit" ? { "retry-after": detail, ...limitHeaders(0, `${detail}s`) } : {}
  return {
    status,
    headers: { "content-type": "application/json", ...base(stamp), ...hint },
    body: JSON.stringify({ error })
  }
}

export const openai: Wire = {
  headers: (stamp) => ({ ...base(stamp), ...limitHeaders(9_999, "6ms") }),
  whole: (ask, answer, stamp) =>
    ask.operation === "embeddings" ? embeddings(ask, answer) : completion(ask, answer, stamp),
  frames,
  problem,
  errorFrame: event({
    error: {
      message: "The server had an error while processing your request.",
      type: "server_error",
      param: null,
      code: null
    }
  }),
  malformedFrame: 'data: {"id":"chatcmpl-0","choices":[{"index":0,"del\n\n',
  keepAlive: ": keep-alive\n\n"
}
