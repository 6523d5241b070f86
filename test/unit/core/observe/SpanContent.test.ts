import { LLMError, type Message, Telemetry } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inputMessages } from "../../../../packages/core/src/internal/spanContent.ts"
import { inVirtualTime, setup } from "../../../composition/support.ts"

const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const attempts = () =>
    spans.filter((span) => span.kind === "client").map((span) => Object.fromEntries(span.attributes))
  return { attempts, spans, run: Effect.withTracer(tracer) }
}

const json = (value: unknown): unknown => JSON.parse(value as string)

const conversation: ReadonlyArray<Message.Message> = [
  { role: "system", content: "Be brief." },
  {
    role: "user",
    content: [
      { type: "text", text: "What is this?" },
      { type: "file", mediaType: "image/png", data: "AAAA" }
    ]
  },
  {
    role: "assistant",
    content: [{ type: "tool-call", id: "c1", name: "look", params: { at: 1 }, providerExecuted: false }]
  },
  {
    role: "tool",
    content: [{ type: "tool-result", id: "c1", name: "look", isFailure: false, result: { seen: "a cat" } }]
  },
  { role: "user", content: "And now?" }
] as never

describe("content on spans", () => {
  it.effect("is put down by the conventions, on the attempts", () =>
    Effect.gen(function* () {
      const { attempts, run, spans } = recording()
      const { llm } = yield* setup(
        {
          a: [
            ScriptedProvider.turn({
              content: [
                { type: "reasoning", text: "Hm." },
                { type: "text", text: "A cat." },
                { type: "tool-call", id: "c2", name: "pet", params: { times: 3 } }
              ],
              finishReason: "tool-calls",
              usage: { inputTokens: 1, outputTokens: 1 }
            })
          ]
        },
        { targets: ["a/m"] }
      )
      yield* llm.generate({ prompt: conversation }).pipe(run, Effect.provide(Telemetry.layerContent()))
      const [attempt] = attempts()
      assert(attempt !== undefined)
      expect(json(attempt["gen_ai.system_instructions"])).toEqual([{ type: "text", content: "Be brief." }])
      expect(json(attempt["gen_ai.input.messages"])).toEqual([
        {
          role: "user",
          parts: [
            { type: "text", content: "What is this?" },
            { type: "blob", modality: "image", mime_type: "image/png", content: "[4 left out]" }
          ]
        },
        { role: "assistant", parts: [{ type: "tool_call", id: "c1", name: "look", arguments: { at: 1 } }] },
        { role: "tool", parts: [{ type: "tool_call_response", id: "c1", response: { seen: "a cat" } }] },
        { role: "user", parts: [{ type: "text", content: "And now?" }] }
      ])
      expect(json(attempt["gen_ai.output.messages"])).toEqual([
        {
          role: "assistant",
          parts: [
            { type: "reasoning", content: "Hm." },
            { type: "text", content: "A cat." },
            { type: "tool_call", id: "c2", name: "pet", arguments: { times: 3 } }
          ],
          finish_reason: "tool_call"
        }
      ])
      const call = spans.find((span) => span.kind === "internal")!
      expect([...call.attributes.keys()].filter((name) => /messages|instructions/.test(name))).toEqual([])
    })
  )

  it.effect(
    "of a stream is its text in one piece, of a broken one what had come, of a failed one only what was asked",
    () =>
      Effect.gen(function* () {
        const { attempts, run } = recording()
        const { llm } = yield* setup(
          {
            a: [
              ScriptedProvider.stream(["one ", "two ", "three"]),
              ScriptedProvider.cut("half of"),
              ScriptedProvider.fail(new LLMError.AuthenticationError({ message: "no", kind: "invalid" }))
            ]
          },
          { targets: ["a/m"], retry: { retries: 0 } }
        )
        for (let n = 0; n < 3; n++) {
          yield* Effect.exit(Stream.runDrain(llm.stream({ prompt: "hi" }))).pipe(
            run,
            Effect.provide(Telemetry.layerContent())
          )
        }
        const [whole, broken, failed] = attempts()
        expect(json(whole!["gen_ai.output.messages"])).toEqual([
          { role: "assistant", parts: [{ type: "text", content: "one two three" }], finish_reason: "stop" }
        ])
        expect(json(broken!["gen_ai.output.messages"])).toMatchObject([
          { parts: [{ type: "text", content: "half of" }], finish_reason: "error" }
        ])
        expect(failed).toHaveProperty(["gen_ai.input.messages"])
        expect(failed).not.toHaveProperty(["gen_ai.output.messages"])
      })
  )

  it.effect("goes through the redaction, which is told where a text stands; one that throws lets nothing through", () =>
    Effect.gen(function* () {
      const { attempts, run } = recording()
      const { llm } = yield* setup({ a: ["call 555-1234", "call 555-1234"] }, { targets: ["a/m"] })
      const places: Array<string> = []
      const redact = (text: string, place: Telemetry.ContentPlace) => {
        places.push(`${place.direction} ${place.role} ${place.kind}`)
        return text.replace(/\d{3}-\d{4}/g, "[phone]").replace("a cat", "[pet]")
      }
      yield* llm.generate({ prompt: conversation }).pipe(run, Effect.provide(Telemetry.layerContent({ redact })))
      const broken = () => {
        throw new Error("no")
      }
      yield* llm
        .generate({ prompt: "my 555-1234" })
        .pipe(run, Effect.provide(Telemetry.layerContent({ redact: broken })))
      const [first, second] = attempts().map((each) => JSON.stringify(each))
      expect(first).toContain("[phone]")
      expect(first).toContain("[pet]")
      expect(first).not.toContain("a cat")
      expect(second).toContain("[redaction failed]")
      expect(first + second!).not.toContain("555-1234")
      expect(new Set(places)).toEqual(
        new Set([
          "system system text",
          "input user text",
          "input assistant tool-params",
          "input tool tool-result",
          "output assistant text"
        ])
      )
    })
  )

  it.effect("is cut to its size: the latest messages stay, the JSON stays JSON, and the span says so", () =>
    Effect.gen(function* () {
      const { attempts, run } = recording()
      const long = "😀".repeat(5_000)
      const { llm } = yield* setup({ a: [long, ScriptedProvider.stream([long, long, "end"])] }, { targets: ["a/m"] })
      const prompt = [
        { role: "user" as const, content: "the oldest" },
        { role: "user" as const, content: long },
        { role: "user" as const, content: "the latest" }
      ]
      const layer = Telemetry.layerContent({ maxCharacters: 101 })
      yield* llm.generate({ prompt }).pipe(run, Effect.provide(layer))
      yield* Stream.runDrain(llm.stream({ prompt: "hi" })).pipe(run, Effect.provide(layer))
      const [whole, streamed] = attempts()
      const input = json(whole!["gen_ai.input.messages"]) as ReadonlyArray<{
        readonly parts: ReadonlyArray<{ content: string }>
      }>
      expect(input.map(({ parts }) => parts[0]!.content.length)).toEqual([92, 10])
      expect(JSON.stringify(input)).not.toContain("the oldest")
      for (const span of [whole!, streamed!]) {
        const output = span["gen_ai.output.messages"] as string
        expect(output.isWellFormed()).toBe(true)
        expect(output.length).toBeLessThan(300)
        expect(span["breakwater.content.truncated"]).toBe(true)
      }
    })
  )

  it.effect.prop(
    "never exceeds its size, and is always JSON of whole characters",
    {
      texts: Schema.Array(Schema.Literals(["a", "😀", "\ud83d", '"', "\\", "\n", "long ".repeat(50)])),
      max: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 300 }))
    },
    ({ max, texts }) =>
      Effect.sync(() => {
        const messages = texts.map((content) => ({ role: "user" as const, content }))
        const { json: captured } = inputMessages(messages, { maxCharacters: max, redact: undefined })
        if (texts.length === 0) return expect(captured).toBeUndefined()
        const kept = JSON.parse(captured!) as ReadonlyArray<{
          readonly parts: ReadonlyArray<{ readonly content: string }>
        }>
        const total = kept.reduce((sum, { parts }) => sum + parts[0]!.content.length, 0)
        expect(total).toBeLessThanOrEqual(max + 1)
      })
  )

  it.effect("costs nothing where nobody asks for it, and a wrong size is named", () =>
    Effect.gen(function* () {
      const { attempts, run } = recording()
      const { llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
      yield* inVirtualTime(llm.generate({ prompt: "hi" })).pipe(run)
      expect(Object.keys(attempts()[0]!).filter((name) => /messages|instructions|truncated/.test(name))).toEqual([])
      for (const maxCharacters of [0, NaN, 1e9]) {
        const error = yield* Effect.flip(Layer.build(Telemetry.layerContent({ maxCharacters })))
        expect(String(error)).toContain("maxCharacters")
      }
    })
  )
})
