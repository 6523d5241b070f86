/** Bad input to a call: a typed error that names the field, and nothing is sent. */
import type { Call } from "@breakwater/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { setup } from "../../composition/support.ts"

const user = (content: string) => ({ role: "user" as const, content })

const cases: ReadonlyArray<readonly [name: string, options: Call.GenerateOptions, parameter: string]> = [
  ["an empty prompt", { prompt: "" }, "prompt"],
  ["a prompt of white space", { prompt: " \n\t " }, "prompt"],
  ["an empty list of messages", { prompt: [] }, "prompt"],
  ["no user message", { prompt: [{ role: "system", content: "be kind" }] }, "prompt"],
  ["a message without a role", { prompt: [{ content: "hi" } as never] }, "prompt"],
  ["a message without content", { prompt: [{ role: "user" } as never] }, "prompt"],
  ["a prompt of 50 MB", { prompt: "x".repeat(50_000_000) }, "prompt"],
  ["a model with spaces", { prompt: "hi", model: "my model" }, "model"],
  ["an empty model", { prompt: "hi", model: "" }, "model"],
  ["a model with a control character", { prompt: "hi", model: "m\u0000" }, "model"],
  ["a fallback with spaces", { prompt: "hi", fallbacks: ["b m"] }, "fallbacks"],
  ["NaN temperature", { prompt: "hi", temperature: Number.NaN }, "temperature"],
  ["infinite temperature", { prompt: "hi", temperature: Infinity }, "temperature"],
  ["temperature above 2", { prompt: "hi", temperature: 2.1 }, "temperature"],
  ["negative topP", { prompt: "hi", topP: -0.1 }, "topP"],
  ["topK of 0", { prompt: "hi", topK: 0 }, "topK"],
  ["maxTokens of 0", { prompt: "hi", maxTokens: 0 }, "maxTokens"],
  ["fractional maxTokens", { prompt: "hi", maxTokens: 1.5 }, "maxTokens"],
  ["a fractional seed", { prompt: "hi", seed: 0.5 }, "seed"],
  ["presencePenalty of 3", { prompt: "hi", presencePenalty: 3 }, "presencePenalty"],
  ["frequencyPenalty of -3", { prompt: "hi", frequencyPenalty: -3 }, "frequencyPenalty"],
  ["an empty stop text", { prompt: "hi", stop: [""] }, "stop"],
  ["a negative timeout", { prompt: "hi", timeout: -1 }, "timeout"],
  ["a timeout of 0", { prompt: "hi", timeout: 0 }, "timeout"],
  ["a NaN timeout", { prompt: "hi", timeout: Number.NaN }, "timeout"],
  ["a timeout that is none", { prompt: "hi", timeout: "soon" as never }, "timeout"],
  ["an empty tenant", { prompt: "hi", context: { tenant: "" } }, "context.tenant"],
  ["a request id with a line break", { prompt: "hi", requestId: "a\nb" }, "requestId"],
  [
    "two tools of a name",
    {
      prompt: "hi",
      tools: [
        { name: "t", parameters: {} },
        { name: "t", parameters: {} }
      ]
    },
    "tools"
  ],
  ["a tool name with spaces", { prompt: "hi", tools: [{ name: "a b", parameters: {} }] }, "tools"],
  [
    "a choice that is no tool",
    {
      prompt: "hi",
      tools: [{ name: "t", parameters: {} }],
      toolChoice: { tool: "u" }
    },
    "toolChoice"
  ],
  ["a required tool among none", { prompt: "hi", toolChoice: "required" }, "toolChoice"]
]

describe("bad input", () => {
  it.effect.each(cases)("%s, whole and streamed, names its field and sends nothing", ([, options, parameter]) =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup({ a: ["never"], b: ["never"] }, { targets: ["a/m", "b/m"] })
      const whole = yield* Effect.flip(llm.generate(options))
      assert.isTrue(whole._tag === "InvalidRequestError" && whole.parameter === parameter, String(whole))
      assert.include(whole.message, parameter)
      assert.isBelow(whole.message.length, 300)
      const streamed = yield* Effect.flip(Stream.runDrain(llm.stream(options)))
      assert.isTrue(streamed._tag === "InvalidRequestError" && streamed.parameter === parameter)
      assert.strictEqual((yield* calls("a")).length + (yield* calls("b")).length, 0)
    })
  )

  it.effect("a model of a provider that is not there names those that are", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["x"], b: ["x"] }, { targets: ["a/m"] })
      const error = yield* Effect.flip(llm.generate({ prompt: "hi", model: "c/gpt" }))
      assert.isTrue(error._tag === "InvalidRequestError" && error.parameter === "model")
      assert.include(error.message, "a, b")
    })
  )

  it.effect("a model without a provider belongs to the first", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["from a"], b: ["from b"] }, { targets: ["b/m"] })
      assert.strictEqual((yield* llm.generate({ prompt: "hi", model: "gpt" })).target, "a/gpt")
    })
  )

  it.effect("a model with slashes belongs to the only provider", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup({ router: ["x"] }, { targets: ["router/meta/llama-3"] })
      yield* llm.generate({ prompt: "hi", model: "meta/llama-4" })
      yield* llm.generate({ prompt: "hi" })
      assert.deepStrictEqual(
        (yield* calls("router")).map((call) => call.request.model),
        ["meta/llama-4", "meta/llama-3"]
      )
    })
  )

  it.effect("an unknown stream policy is refused", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
      const error = yield* Effect.flip(Stream.runDrain(llm.stream({ prompt: "hi", streamPolicy: "pause" as never })))
      assert.isTrue(error._tag === "InvalidRequestError" && error.parameter === "streamPolicy")
    })
  )

  it.effect.each([[[]], [[""]], [["a", ""]]] as ReadonlyArray<[ReadonlyArray<string>]>)(
    "embedding %j is refused",
    ([input]) =>
      Effect.gen(function* () {
        const { calls, llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
        const error = yield* Effect.flip(llm.embed({ input }))
        assert.isTrue(error._tag === "InvalidRequestError" && error.parameter === "input")
        assert.strictEqual((yield* calls("a")).length, 0)
      })
  )

  it.effect("accepts a conversation, with user: messages last or tools in between", () =>
    Effect.gen(function* () {
      const { llm } = yield* setup({ a: ["fine"] }, { targets: ["a/m"] })
      const answer = yield* llm.generate({
        prompt: [{ role: "system", content: "s" }, user("q"), { role: "assistant", content: "a" }, user("again")]
      })
      assert.strictEqual(answer.text, "fine")
    })
  )
})
