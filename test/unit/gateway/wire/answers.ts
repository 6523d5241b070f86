/** Answers of the service to be put into the words of a wire. */
import type { Call } from "@breakwater/core"

const usage = { inputTokens: 3, outputTokens: 2 }

export const answerOf = (fields: Partial<Call.LLMResponse> = {}): Call.LLMResponse => ({
  content: [{ type: "text", text: "Hello" }],
  text: "Hello",
  finishReason: "stop",
  usage,
  id: "x1",
  model: "m-1",
  requestId: "r1",
  target: "p/m",
  attempts: [],
  ...fields
})

export const finish = (fields: Partial<Call.CompletePart> = {}): Call.CompletePart => ({
  type: "finish",
  reason: "stop",
  usage,
  requestId: "r1",
  target: "p/m",
  attempts: [{ attempt: 1, target: "p/m", outcome: "success", startedAt: 0, tookMs: 1, waitedMs: 0 }],
  ...fields
})
