/** OpenAI's own client, unchanged, against a gateway. */
import * as Effect from "effect/Effect"
import OpenAI, { type APIError } from "openai"
import { assert, describe, it } from "@effect/vitest"
import { eventually, onStage, promised, type Stage } from "./support.ts"

const clientOf = ({ url }: Stage) => new OpenAI({ apiKey: "any", baseURL: `${url}/v1`, maxRetries: 0 })

const messages = [{ role: "user" as const, content: "Tell me of the harbour." }]

const weather = {
  type: "function" as const,
  function: {
    name: "weather",
    description: "The weather of a town",
    parameters: { type: "object", properties: { town: { type: "string" } }, required: ["town"] }
  }
}

describe("the OpenAI client", () => {
  it.live("chats", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const { data, response } = yield* promised(() =>
          clientOf(stage).chat.completions.create({ model: "first/good", messages }).withResponse()
        )
        assert.include(data.choices[0]!.message.content, "harbour")
        assert.strictEqual(data.choices[0]!.finish_reason, "stop")
        assert.strictEqual(data.object, "chat.completion")
        assert.strictEqual(data.model, "good")
        assert.isAbove(data.usage!.total_tokens, 10)
        assert.strictEqual(response.headers.get("x-breakwater-target"), "first/good")
        assert.strictEqual(response.headers.get("x-breakwater-attempts"), "1")
        assert.isNull(response.headers.get("x-breakwater-failures"))
        assert.isNotNull(response.headers.get("x-request-id"))
      })
    )
  )

  it.live("streams, with usage", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const client = clientOf(stage)
        const whole = yield* promised(() => client.chat.completions.create({ model: "first/good", messages }))
        const { chunks, response } = yield* promised(async () => {
          const { data, response } = await client.chat.completions
            .create({ model: "first/good", messages, stream: true, stream_options: { include_usage: true } })
            .withResponse()
          const chunks: Array<OpenAI.ChatCompletionChunk> = []
          for await (const chunk of data) chunks.push(chunk)
          return { chunks, response }
        })
        const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")
        assert.strictEqual(text, whole.choices[0]!.message.content)
        assert.strictEqual(chunks[0]!.choices[0]!.delta.role, "assistant")
        assert.deepStrictEqual(
          chunks.filter((chunk) => chunk.choices[0]?.finish_reason).map((chunk) => chunk.choices[0]!.finish_reason),
          ["stop"]
        )
        assert.deepStrictEqual(chunks.at(-1)!.choices, [])
        assert.strictEqual(chunks.at(-1)!.usage!.completion_tokens, whole.usage!.completion_tokens)
        assert.strictEqual(new Set(chunks.map((chunk) => chunk.id)).size, 1)
        assert.strictEqual(response.headers.get("x-breakwater-target"), "first/good")
      })
    )
  )

  it.live("calls tools and brings their results", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const client = clientOf(stage)
        const asked = [{ role: "user" as const, content: "Use the weather tool for Riga." }]
        const first = yield* promised(() =>
          client.chat.completions.create({ model: "first/good", messages: asked, tools: [weather] })
        )
        const message = first.choices[0]!.message
        const call = message.tool_calls![0]!
        assert.isTrue(call.type === "function" && call.function.name === "weather")
        assert.strictEqual(first.choices[0]!.finish_reason, "tool_calls")
        const second = yield* promised(() =>
          client.chat.completions.create({
            model: "first/good",
            messages: [...asked, message, { role: "tool", tool_call_id: call.id, content: "Rain, 7 degrees" }],
            tools: [weather]
          })
        )
        assert.strictEqual(second.choices[0]!.finish_reason, "stop")
        const sent = (yield* stage.first.requests).at(-1)!.body as { messages: ReadonlyArray<Record<string, unknown>> }
        assert.deepInclude(sent.messages.at(-1), { role: "tool", tool_call_id: call.id, content: "Rain, 7 degrees" })
      })
    )
  )

  it.live("streams tools", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const final = yield* promised(() =>
          clientOf(stage)
            .chat.completions.stream({
              model: "first/good",
              messages: [{ role: "user", content: "Use the weather tool." }],
              tools: [weather]
            })
            .finalChatCompletion()
        )
        const call = final.choices[0]!.message.tool_calls![0]!
        assert.isTrue(call.type === "function" && typeof JSON.parse(call.function.arguments).town === "string")
        assert.strictEqual(final.choices[0]!.finish_reason, "tool_calls")
      })
    )
  )

  it.live("asks for JSON by a schema", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const schema = { type: "object", properties: { town: { type: "string" } }, required: ["town"] }
        const answer = yield* promised(() =>
          clientOf(stage).chat.completions.parse({
            model: "first/good",
            messages,
            response_format: { type: "json_schema", json_schema: { name: "place", schema, strict: true } }
          })
        )
        assert.isString((JSON.parse(answer.choices[0]!.message.content!) as { town: unknown }).town)
        const sent = (yield* stage.first.requests).at(-1)!.body as Record<string, unknown>
        assert.deepStrictEqual(sent["response_format"], {
          type: "json_schema",
          json_schema: { name: "place", schema, strict: true }
        })
      })
    )
  )

  it.live("embeds", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const client = clientOf(stage)
        // Without an encoding the client asks for base64 and decodes it itself.
        const plain = yield* promised(() =>
          client.embeddings.create({ model: "first/good", input: ["one", "two"], dimensions: 8 })
        )
        const floats = yield* promised(() =>
          client.embeddings.create({
            model: "first/good",
            input: ["one", "two"],
            dimensions: 8,
            encoding_format: "float"
          })
        )
        assert.strictEqual(plain.data.length, 2)
        assert.strictEqual(plain.data[1]!.embedding.length, 8)
        plain.data[0]!.embedding.forEach((value, i) => assert.closeTo(value, floats.data[0]!.embedding[i]!, 1e-6))
      })
    )
  )

  it.live("lists models", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const page = yield* promised(() => clientOf(stage).models.list())
          assert.deepStrictEqual(
            page.data.map(({ id }) => id),
            ["smart", "fast", "first/good"]
          )
          const one = yield* promised(() => clientOf(stage).models.retrieve("fast"))
          assert.strictEqual(one.id, "fast")
        }),
      { aliases: { fast: "second/good" }, routes: { smart: { targets: ["first/error-500", "second/good"] } } }
    )
  )

  it.live("gets errors of its own classes", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const client = clientOf(stage)
        const ask = (model: string, more: object = {}) =>
          Effect.flip(promised(() => client.chat.completions.create({ model, messages, ...more })))
        const unknown = yield* ask("nobody/good")
        assert.isTrue(unknown instanceof OpenAI.NotFoundError && unknown.code === "model_not_found")
        const limited = yield* ask("first/rate-limit:30")
        assert.isTrue(limited instanceof OpenAI.RateLimitError && limited.headers.get("retry-after") === "30")
        const filtered = yield* ask("first/content-filter")
        assert.isTrue(filtered instanceof OpenAI.BadRequestError && filtered.code === "content_filter")
        const broken = yield* ask("first/error-500")
        assert.isTrue(broken instanceof OpenAI.InternalServerError && broken.status === 502)
        assert.strictEqual((broken as APIError).headers!.get("x-breakwater-attempts"), "3")
        assert.strictEqual(
          (broken as APIError).headers!.get("x-breakwater-failures"),
          "first/error-500=ServerError, first/error-500=ServerError, first/error-500=ServerError"
        )
        const wrong = yield* ask("first/good", { temperature: 9 })
        assert.isTrue(wrong instanceof OpenAI.BadRequestError && wrong.param === "temperature")
      })
    )
  )

  it.live("hears of a failure in the middle of a stream", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        let text = ""
        const error = yield* Effect.flip(
          promised(async () => {
            const stream = await clientOf(stage).chat.completions.create(
              { model: "first/cut-stream", messages, stream: true },
              { headers: { "x-breakwater-stream-policy": "fail" } }
            )
            for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ""
          })
        )
        assert.isAbove(text.length, 10)
        assert.isTrue(error instanceof OpenAI.APIError && error.code === "upstream_error")
      })
    )
  )

  it.live("aborts, and the provider's call ends with it", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          yield* promised(async () => {
            const stream = await clientOf(stage).chat.completions.create({
              model: "first/good",
              messages,
              stream: true
            })
            for await (const _ of stream) {
              stream.controller.abort()
              break
            }
          })
          assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 0)))
          assert.strictEqual((yield* stage.first.stats).abortedByClient, 1)
          assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
        }),
      {},
      { wordDelay: 40 }
    )
  )
})
