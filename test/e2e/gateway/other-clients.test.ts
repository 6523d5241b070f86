/** The AI SDK and LangChain, unchanged, against a gateway. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai"
import { embed, generateText, jsonSchema, Output, streamText, tool } from "ai"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { chat, eventually, onStage, promised, post, type Stage } from "./support.ts"

const prompt = "Tell me of the harbour."
const parameters = {
  type: "object" as const,
  properties: { town: { type: "string" as const } },
  required: ["town"],
  additionalProperties: false
}

const expected = (stage: Stage) =>
  Effect.gen(function* () {
    const response = yield* post(`${stage.url}/v1/chat/completions`, chat("second/good"))
    const body = yield* promised(
      () => response.json() as Promise<{ choices: ReadonlyArray<{ message: { content: string } }> }>
    )
    return body.choices[0]!.message.content
  })

describe("the AI SDK", () => {
  const provider = ({ url }: Stage) =>
    createOpenAICompatible({
      name: "breakwater",
      baseURL: `${url}/v1`,
      apiKey: "any",
      supportsStructuredOutputs: true,
      includeUsage: true
    })

  it.live("generates, with a fallback in the body", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const { text, usage } = yield* promised(() =>
          generateText({
            model: provider(stage)("first/error-500"),
            prompt,
            maxRetries: 0,
            providerOptions: { breakwater: { fallbacks: ["second/good"] } }
          })
        )
        assert.strictEqual(text, yield* expected(stage))
        assert.isAbove(usage.totalTokens!, 0)
      })
    )
  )

  it.live("streams, over a stream that is cut", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const { reason, text, usage } = yield* promised(async () => {
            const result = streamText({ model: provider(stage)("route"), prompt, maxRetries: 0 })
            let text = ""
            for await (const delta of result.textStream) text += delta
            return { text, reason: await result.finishReason, usage: await result.usage }
          })
          assert.strictEqual(text, yield* expected(stage))
          assert.strictEqual(reason, "stop")
          assert.isAbove(usage.outputTokens!, 0)
        }),
      { routes: { route: { targets: ["first/cut-stream", "second/good"] } } }
    )
  )

  it.live("runs tools, streamed", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const towns: Array<string> = []
        const steps = yield* promised(async () => {
          const result = streamText({
            model: provider(stage)("first/good"),
            prompt: "Use the weather tool.",
            maxRetries: 0,
            stopWhen: ({ steps }) => steps.length >= 2,
            tools: {
              weather: tool({
                inputSchema: jsonSchema<{ town: string }>(parameters),
                execute: ({ town }) => {
                  towns.push(town)
                  return Promise.resolve("Rain")
                }
              })
            }
          })
          return await result.steps
        })
        assert.strictEqual(towns.length, 1)
        assert.strictEqual(steps.at(-1)!.finishReason, "stop")
      })
    )
  )

  it.live("asks for objects and embeds", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const { output } = yield* promised(() =>
          generateText({
            model: provider(stage)("first/good"),
            prompt,
            maxRetries: 0,
            output: Output.object({ schema: jsonSchema<{ town: string }>(parameters) })
          })
        )
        assert.isString(output.town)
        const { embedding } = yield* promised(() =>
          embed({ model: provider(stage).embeddingModel("first/good"), value: "one", maxRetries: 0 })
        )
        assert.isAbove(embedding.length, 3)
      })
    )
  )

  it.live("hears of errors, and aborts", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(
            promised(() => generateText({ model: provider(stage)("first/content-filter"), prompt, maxRetries: 0 }))
          )
          assert.deepInclude(error, { statusCode: 400, isRetryable: false })
          yield* promised(async () => {
            const controller = new AbortController()
            const result = streamText({ model: provider(stage)("first/good"), prompt, abortSignal: controller.signal })
            for await (const _ of result.textStream) controller.abort()
          })
          assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 0)))
          assert.strictEqual((yield* stage.first.stats).abortedByClient, 1)
        }),
      {},
      { wordDelay: 30 }
    )
  )
})

describe("LangChain", () => {
  const model = ({ url }: Stage, name: string) =>
    new ChatOpenAI({
      model: name,
      apiKey: "any",
      maxRetries: 0,
      streamUsage: true,
      configuration: { baseURL: `${url}/v1` }
    })

  it.live("asks and streams", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const whole = yield* promised(() => model(stage, "first/good").invoke(prompt))
        assert.strictEqual(whole.content, yield* expected(stage))
        assert.isAbove((whole.usage_metadata as { total_tokens: number } | undefined)!.total_tokens, 0)
        const text = yield* promised(async () => {
          let text = ""
          for await (const chunk of await model(stage, "first/good").stream(prompt)) text += chunk.content as string
          return text
        })
        assert.strictEqual(text, whole.content)
      })
    )
  )

  it.live("calls tools and asks for objects", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const tools = [{ type: "function" as const, function: { name: "weather", description: "x", parameters } }]
        const called = yield* promised(() =>
          model(stage, "first/good").bindTools(tools).invoke("Use the weather tool.")
        )
        assert.strictEqual(called.tool_calls![0]!.name, "weather")
        const asked = model(stage, "first/good").withStructuredOutput<{ town: string }>(
          { title: "place", description: "A place", ...parameters },
          { method: "jsonSchema" }
        )
        const object = yield* promised(() => asked.invoke(prompt))
        assert.isString(object.town)
      })
    )
  )

  it.live("embeds, hears of errors, and aborts", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const embeddings = new OpenAIEmbeddings({
            model: "first/good",
            apiKey: "any",
            maxRetries: 0,
            configuration: { baseURL: `${stage.url}/v1` }
          })
          assert.strictEqual((yield* promised(() => embeddings.embedDocuments(["one", "two"]))).length, 2)
          const error = yield* Effect.flip(promised(() => model(stage, "nobody/good").invoke(prompt)))
          assert.deepInclude(error, { status: 404 })
          const controller = new AbortController()
          yield* Effect.exit(
            promised(async () => {
              for await (const _ of await model(stage, "first/good").stream(prompt, { signal: controller.signal }))
                controller.abort()
            })
          )
          assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 0)))
          assert.strictEqual((yield* stage.first.stats).abortedByClient, 1)
        }),
      {},
      { wordDelay: 30 }
    )
  )
})
