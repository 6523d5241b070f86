import { LLMError } from "@breakwater/core"
import { assert, describe, it } from "@effect/vitest"
import { isProblem } from "../../../../packages/gateway/src/internal/Problem.ts"
import { decodeMessages } from "../../../../packages/gateway/src/wire/anthropic/Decode.ts"
import type { Spoken } from "../../../../packages/gateway/src/wire/Asked.ts"
import { encodeMessage, MessageStreamEncoder } from "../../../../packages/gateway/src/wire/anthropic/Encode.ts"
import { encodeError } from "../../../../packages/gateway/src/wire/anthropic/Errors.ts"
import { answerOf, finish } from "./answers.ts"

const decoded = (body: Record<string, unknown>, spoken: Spoken = "anthropic") => {
  const asked = decodeMessages(
    { model: "p/m", max_tokens: 10, messages: [{ role: "user", content: "Hi" }], ...body },
    spoken
  )
  if (isProblem(asked)) throw new Error(asked.message)
  return asked.call
}

describe("decoding messages", () => {
  it("parts results of tools from what the user says", () => {
    const { prompt } = decoded({
      system: "Be brief.",
      messages: [
        { role: "user", content: "Look" },
        { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "look", input: { at: 1 } }] },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "a cat" }], is_error: true },
            { type: "text", text: "And?" }
          ]
        }
      ]
    })
    assert.deepStrictEqual(prompt, [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Look" },
      { role: "assistant", content: [{ type: "tool-call", id: "t1", name: "look", params: { at: 1 } }] },
      { role: "tool", content: [{ type: "tool-result", id: "t1", name: "look", isFailure: true, result: "a cat" }] },
      { role: "user", content: [{ type: "text", text: "And?" }] }
    ])
  })

  it("says thoughts in the wire's words to its own provider, and as an effort to others", () => {
    const thinking = { type: "enabled", budget_tokens: 5_000 }
    assert.deepStrictEqual(decoded({ thinking }).extra, { thinking })
    assert.deepStrictEqual(decoded({ thinking }, "other").reasoning, { effort: "medium" })
    assert.isUndefined(decoded({ thinking }, "other").extra)
  })

  it("reads choices, formats and the provider's own tools", () => {
    const tools = [{ name: "a", input_schema: { type: "object" } }]
    assert.strictEqual(decoded({ tools, tool_choice: { type: "any" } }).toolChoice, "required")
    assert.deepStrictEqual(decoded({ tools, tool_choice: { type: "tool", name: "a" } }).toolChoice, { tool: "a" })
    const own = [{ type: "web_search_20250305", name: "web_search" }]
    assert.deepStrictEqual(decoded({ tools: own }).extra, { tools: own })
    const format = { type: "json_schema", schema: { type: "object" } }
    const call = decoded({ output_config: { format, effort: "low" } })
    assert.deepStrictEqual(call.responseFormat, { type: "json", name: "answer", schema: { type: "object" } })
    assert.deepStrictEqual(call.extra, { output_config: { effort: "low" } })
  })
})

interface Event {
  readonly type: string
  readonly index?: number
  readonly delta?: Record<string, unknown>
  readonly content_block?: Record<string, unknown>
}

const eventsOf = (text: string): ReadonlyArray<Event> =>
  text
    .split("\n\n")
    .filter((each) => each !== "")
    .map((each) => JSON.parse(each.slice(each.indexOf("data: ") + 6)) as Event)

describe("encoding messages", () => {
  it("leaves what came from the cache out of the count of the prompt", () => {
    const body = JSON.parse(
      encodeMessage(
        answerOf({ usage: { inputTokens: 10, outputTokens: 2, cachedInputTokens: 4, cacheWriteTokens: 1 } }),
        {
          requestId: "r1",
          created: 0
        }
      )
    )
    assert.deepStrictEqual(body.usage, {
      input_tokens: 5,
      cache_creation_input_tokens: 1,
      cache_read_input_tokens: 4,
      output_tokens: 2
    })
    assert.deepStrictEqual(body.content, [{ type: "text", text: "Hello" }])
    assert.strictEqual(body.stop_reason, "end_turn")
  })

  it("never lets two blocks overlap, and loses nothing of either", () => {
    const encoder = new MessageStreamEncoder({ requestId: "r1", created: 0 })
    const events = eventsOf(
      [
        encoder.part({ type: "target", target: "p/m", attempt: 1, continues: false }),
        encoder.part({ type: "reasoning-delta", delta: "Hm." }),
        encoder.part({ type: "reasoning-delta", delta: "", metadata: { anthropic: { signature: "s" } } }),
        encoder.part({ type: "text-delta", delta: "Hi" }),
        encoder.part({ type: "tool-params-start", id: "a", name: "one" }),
        encoder.part({ type: "tool-params-start", id: "b", name: "two" }),
        encoder.part({ type: "tool-params-delta", id: "b", delta: '{"b":' }),
        encoder.part({ type: "tool-params-delta", id: "a", delta: '{"a":1}' }),
        encoder.part({ type: "tool-params-delta", id: "b", delta: "2}" }),
        encoder.part({ type: "tool-call", id: "a", name: "one", params: { a: 1 } }),
        encoder.part({ type: "tool-call", id: "b", name: "two", params: { b: 2 } }),
        encoder.part(finish({ reason: "tool-calls" }))
      ].join("")
    )
    let open: number | undefined
    let next = 0
    const json = new Map<number, string>()
    for (const event of events) {
      if (event.type === "content_block_start") {
        assert.isUndefined(open)
        assert.strictEqual(event.index, next++)
        open = event.index
      } else if (event.type === "content_block_delta") {
        assert.strictEqual(event.index, open)
        const part = event.delta!["partial_json"]
        if (typeof part === "string") json.set(open!, (json.get(open!) ?? "") + part)
      } else if (event.type === "content_block_stop") {
        assert.strictEqual(event.index, open)
        open = undefined
      }
    }
    assert.deepStrictEqual([...json.values()], ['{"a":1}', '{"b":2}'])
    assert.deepStrictEqual(
      events.filter(({ type }) => type === "content_block_start").map(({ content_block }) => content_block!["type"]),
      ["thinking", "text", "tool_use", "tool_use"]
    )
    assert.deepStrictEqual(
      events.map(({ type }) => type).filter((type) => !type.startsWith("content_block")),
      ["message_start", "message_delta", "message_stop"]
    )
    assert.strictEqual(events.at(-2)!.delta!["stop_reason"], "tool_use")
  })

  it("sends the whole frame around an empty answer", () => {
    const encoder = new MessageStreamEncoder({ requestId: "r1", created: 0 })
    assert.deepStrictEqual(
      eventsOf(encoder.part(finish())).map(({ type }) => type),
      ["message_start", "message_delta", "message_stop"]
    )
  })

  it("has statuses of its own for errors", () => {
    assert.strictEqual(encodeError(new LLMError.ModelOverloadError({ message: "x" }), "r").status, 529)
    assert.strictEqual(encodeError(new LLMError.QuotaExhaustedError({ message: "x" }), "r").status, 402)
    const { body } = encodeError(new LLMError.ContextLengthError({ message: "x" }), "r")
    assert.deepStrictEqual(JSON.parse(body), {
      type: "error",
      error: { type: "invalid_request_error", message: "x" },
      request_id: "r"
    })
  })
})
