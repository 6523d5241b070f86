/** Anthropic's own client, unchanged, against a gateway: to a provider of each wire. */
import Anthropic from "@anthropic-ai/sdk"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { eventually, onStage, post, promised, type Stage } from "./support.ts"

const clientOf = ({ url }: Stage) => new Anthropic({ apiKey: "any", baseURL: url, maxRetries: 0 })

const messages = [{ role: "user" as const, content: "Tell me of the harbour." }]
const max_tokens = 500

const weather = {
  name: "weather",
  description: "The weather of a town",
  input_schema: { type: "object" as const, properties: { town: { type: "string" } }, required: ["town"] }
}

describe.each(["claude/good", "first/good"])("the Anthropic client, at %s", (model) => {
  it.live("asks for a message", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const answer = yield* promised(() => clientOf(stage).messages.create({ model, max_tokens, messages }))
        const block = answer.content[0]!
        assert.isTrue(block.type === "text" && block.text.includes("harbour"))
        assert.strictEqual(answer.stop_reason, "end_turn")
        assert.strictEqual(answer.type, "message")
        assert.isAbove(answer.usage.output_tokens, 10)
      })
    )
  )

  it.live("streams the events in their order", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const client = clientOf(stage)
        const whole = yield* promised(() => client.messages.create({ model, max_tokens, messages }))
        const { events, final } = yield* promised(async () => {
          const stream = client.messages.stream({ model, max_tokens, messages })
          const events: Array<string> = []
          stream.on("streamEvent", (event) => events.push(event.type))
          return { events, final: await stream.finalMessage() }
        })
        assert.deepStrictEqual(final.content, whole.content)
        assert.strictEqual(final.usage.output_tokens, whole.usage.output_tokens)
        assert.strictEqual(final.usage.input_tokens, whole.usage.input_tokens)
        const order = events.filter((event, i) => event !== events[i - 1])
        assert.deepStrictEqual(order, [
          "message_start",
          "content_block_start",
          "content_block_delta",
          "content_block_stop",
          "message_delta",
          "message_stop"
        ])
      })
    )
  )

  it.live("calls tools, whole and streamed, and brings their results", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const client = clientOf(stage)
        const asked = [{ role: "user" as const, content: "Use the weather tool for Riga." }]
        const whole = yield* promised(() =>
          client.messages.create({ model, max_tokens, messages: asked, tools: [weather] })
        )
        const final = yield* promised(() =>
          client.messages.stream({ model, max_tokens, messages: asked, tools: [weather] }).finalMessage()
        )
        for (const answer of [whole, final]) {
          const call = answer.content[0]!
          assert.isTrue(call.type === "tool_use" && typeof (call.input as { town: unknown }).town === "string")
          assert.strictEqual(answer.stop_reason, "tool_use")
        }
        const call = whole.content[0] as Anthropic.ToolUseBlock
        const after = yield* promised(() =>
          client.messages.create({
            model,
            max_tokens,
            tools: [weather],
            messages: [
              ...asked,
              { role: "assistant", content: whole.content },
              { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "Rain" }] }
            ]
          })
        )
        assert.strictEqual(after.stop_reason, "end_turn")
        const sent = (yield* stage.first.requests).at(-1)!.body as { messages: ReadonlyArray<unknown> }
        assert.include(JSON.stringify(sent.messages.at(-1)), "Rain")
      })
    )
  )

  it.live("is cut off when it leaves", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          yield* promised(async () => {
            const stream = await clientOf(stage).messages.create({ model, max_tokens, messages, stream: true })
            for await (const _ of stream) {
              stream.controller.abort()
              break
            }
          })
          assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 0)))
          assert.strictEqual((yield* stage.first.stats).abortedByClient, 1)
        }),
      {},
      { wordDelay: 40 }
    )
  )
})

describe("errors in Anthropic's words", () => {
  it.live("have the classes of the client", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const ask = (model: string, more: object = {}) =>
          Effect.flip(promised(() => clientOf(stage).messages.create({ model, max_tokens, messages, ...more })))
        const unknown = yield* ask("nobody/good")
        assert.isTrue(unknown instanceof Anthropic.NotFoundError && unknown.type === "not_found_error")
        const limited = yield* ask("claude/rate-limit:30")
        assert.isTrue(limited instanceof Anthropic.RateLimitError && limited.headers.get("retry-after") === "30")
        const busy = yield* ask("claude/overloaded-529")
        assert.isTrue(busy instanceof Anthropic.APIError && busy.status === 529)
        const filtered = yield* ask("claude/content-filter")
        assert.instanceOf(filtered, Anthropic.BadRequestError)
      })
    )
  )

  it.live("name the field that is wrong", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const response = yield* post(`${stage.url}/v1/messages`, { model: "claude/good", messages })
        assert.strictEqual(response.status, 400)
        const body = (yield* promised(() => response.json())) as {
          type: string
          error: { type: string; message: string }
        }
        assert.strictEqual(body.type, "error")
        assert.strictEqual(body.error.type, "invalid_request_error")
        assert.include(body.error.message, "max_tokens")
      })
    )
  )

  it.live("come as an event in the middle of a stream", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const response = yield* post(
          `${stage.url}/v1/messages`,
          { model: "claude/cut-stream", max_tokens, messages, stream: true },
          { "x-breakwater-stream-policy": "fail" }
        )
        const text = yield* promised(() => response.text())
        const last = text.trimEnd().split("\n\n").at(-1)!
        assert.match(last, /^event: error\ndata: /)
        assert.strictEqual(JSON.parse(last.slice("event: error\ndata: ".length)).error.type, "api_error")
      })
    )
  )
})

describe("Anthropic's own fields", () => {
  it.live("reach its provider as they came", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        yield* promised(() =>
          clientOf(stage).messages.create({
            model: "claude/good",
            max_tokens: 4_000,
            system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
            thinking: { type: "enabled", budget_tokens: 1_500 },
            service_tier: "auto",
            messages: [
              { role: "user", content: "One" },
              {
                role: "assistant",
                content: [
                  { type: "thinking", thinking: "Hm.", signature: "c2ln" },
                  { type: "text", text: "Two" }
                ]
              },
              {
                role: "user",
                content: [
                  { type: "text", text: "Three" },
                  { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }
                ]
              }
            ]
          })
        )
        const sent = (yield* stage.first.requests).at(-1)!.body as Record<string, unknown> & {
          messages: ReadonlyArray<{ content: ReadonlyArray<unknown> }>
        }
        assert.deepStrictEqual(sent["thinking"], { type: "enabled", budget_tokens: 1_500 })
        assert.strictEqual(sent["service_tier"], "auto")
        assert.deepStrictEqual(sent["system"], [
          { type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }
        ])
        assert.deepStrictEqual(sent.messages[1]!.content[0], { type: "thinking", thinking: "Hm.", signature: "c2ln" })
        assert.deepStrictEqual(sent.messages[2]!.content[1], {
          type: "image",
          source: { type: "base64", media_type: "image/png", data: "aGk=" }
        })
      })
    )
  )
})
