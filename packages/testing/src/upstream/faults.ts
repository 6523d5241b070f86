/**
 * The models of the misbehaving upstream. Each behaves in one way, on both wires; a model with another name
 * behaves as `good`.
 */
import type { FaultName } from "./internal/behaviours.ts"

/** A model and what it does. */
export interface Fault {
  readonly model: FaultName
  readonly what: string
  /** What a number after the model's name means: `slow-first-token:800`. */
  readonly parameter?: string
}

/**
 * All of them.
 *
 * Any model takes `?after=N` (good for its first N calls) and `?times=N` (faulty N times, then good):
 * `silence?after=2`, `cut-stream?after=1&times=2`. The counts are the server's, by the whole name of the model.
 */
export const faults: ReadonlyArray<Fault> = [
  { model: "good", what: "answers: the same question always gets the same 40 to 60 words" },
  { model: "rate-limit", what: "429 with Retry-After, always", parameter: "the Retry-After in seconds (1)" },
  { model: "rate-limit-no-hint", what: "429 that says nothing of when" },
  { model: "rate-limit-once", what: "429 with Retry-After: 1, then good", parameter: "how many calls fail (1)" },
  { model: "rate-limit-body-hint", what: '429 with "try again in 634ms" in the text, and no header' },
  {
    model: "quota-exhausted",
    what: "429 insufficient_quota (OpenAI), 402 billing_error (Anthropic): waiting does not help"
  },
  { model: "error-500-once", what: "500, then good", parameter: "how many calls fail (1)" },
  { model: "error-500", what: "500, always" },
  { model: "overloaded-503", what: "503, always" },
  { model: "overloaded-529", what: "529, always" },
  { model: "reset-before-headers", what: "resets the connection before it answers" },
  { model: "silence", what: "accepts the request and never answers" },
  {
    model: "slow-first-token",
    what: "sends the headers, and the first token late",
    parameter: "milliseconds until then (5000)"
  },
  {
    model: "cut-stream",
    what: "the socket is destroyed in the middle of the answer",
    parameter: "pieces before that (half)"
  },
  { model: "cut-stream-once", what: "cut once, then good", parameter: "pieces before that (half)" },
  {
    model: "end-without-done-mid",
    what: "the stream ends properly in the middle, without finish reason",
    parameter: "pieces before that (half)"
  },
  {
    model: "stalled-stream",
    what: "stops in the middle; only keep-alive comments continue",
    parameter: "milliseconds between them (1000)"
  },
  { model: "malformed-event", what: "one event that is no JSON in the middle of a good stream" },
  { model: "malformed-events", what: "garbage from the second piece to the end", parameter: "how many bad events (5)" },
  { model: "missing-done", what: "finish reason, but no [DONE] or message_stop; the connection is closed" },
  { model: "missing-done-open", what: "finish reason, but no [DONE] or message_stop; the connection is left open" },
  { model: "context-overflow", what: "400: the prompt is too long, with the numbers in the text" },
  { model: "content-filter", what: "400: the prompt is refused for its content" },
  { model: "content-filter-output", what: "stops in the middle with finish reason content_filter, or refusal" },
  { model: "prefill-refused", what: "400 if the last message is the assistant's, good otherwise" },
  { model: "prefill-ok", what: "goes on from a last message of the assistant's with the rest of the good answer" },
  { model: "flapping", what: "every second call fails with 503", parameter: "every how many-th call fails (2)" },
  { model: "wrong-content-type", what: "200 with a page of HTML" },
  { model: "huge-event", what: "an event of more than 1 MiB", parameter: "characters of text in it (1114112)" },
  { model: "slow-drip", what: "one byte at a time", parameter: "milliseconds for the whole answer (2000)" },
  {
    model: "error-in-stream",
    what: "an error event in the middle of a 200 stream; 200 with an error body otherwise",
    parameter: "pieces before that (half)"
  },
  { model: "empty-200", what: "200 with no body" },
  { model: "invalid-json-200", what: "200 with the first half of a JSON body" },
  { model: "auth-401", what: "401: the key is not accepted" },
  { model: "not-found-404", what: "404: no such model" },
  {
    model: "recovering",
    what: "503 after the server's start, or after POST /_control/outage; good from then on",
    parameter: "milliseconds it is down (5000)"
  }
]
