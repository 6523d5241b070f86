/**
 * The context step on the path of a call: per target, before anything is paid, and once more after a provider's word.
 */
import { Bulkhead, ContextWindow, Event, LLMError, Message, Tokenizer } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../support/sweep.ts"
import { setup } from "./support.ts"

const text = (count: number): string => Array.from({ length: count }, () => "table").join(" ")
const user = (content: string): Message.Message => ({ role: "user", content })
const assistant = (content: string): Message.Message => ({ role: "assistant", content })

/** A system message and ten turns of some 200 tokens. */
const chat: ReadonlyArray<Message.Message> = [
  { role: "system", content: "Be brief." },
  ...Array.from({ length: 10 }, (_, i) => [
    user(`question ${i} ${text(100)}`),
    assistant(`answer ${i} ${text(100)}`)
  ]).flat(),
  user("and now?")
]

const context = (options: ContextWindow.Options) =>
  Layer.orDie(Layer.provide(ContextWindow.layer(options), Tokenizer.layer()))

const messagesOf = (call: ScriptedProvider.RecordedCall | undefined): ReadonlyArray<Message.Message> => {
  const request = call!.request
  return "messages" in request ? request.messages : []
}

const tooLong = (numbers: { readonly maxTokens?: number; readonly requestedTokens?: number } = {}) =>
  new LLMError.ContextLengthError({ message: "too long", status: 400, ...numbers })

describe("the context window in the pipeline", () => {
  it.effect("a conversation that fits is sent as it is, and one that does not loses its oldest turns", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: ["yes", "yes"] },
        { targets: ["a/m"] },
        { context: context({ windows: { "a/m": 1_000 }, reserve: 100 }) }
      )
      yield* llm.generate({ prompt: [user("hello")] })
      yield* llm.generate({ prompt: chat })
      const [first, second] = yield* calls("a")
      expect(messagesOf(first)).toEqual([user("hello")])
      const sent = messagesOf(second)
      expect(sent[0]).toEqual(chat[0])
      expect(sent.at(-1)).toEqual(chat.at(-1))
      expect(sent.length).toBeGreaterThan(3)
      expect(sent.length).toBeLessThan(chat.length)
      expect(sent.slice(1)).toEqual(chat.slice(-(sent.length - 1)))
    })
  )

  it.effect("each target has its own window: what the first cannot take goes to the next unchanged", () =>
    Effect.gen(function* () {
      const long = [user(text(600))]
      const { calls, llm } = yield* setup(
        { a: ["from a"], b: ["from b"] },
        { targets: ["a/m", "b/m"] },
        { context: context({ windows: { "a/m": 300, "b/m": 4_000 } }) }
      )
      const answer = yield* llm.generate({ prompt: long })
      expect(answer.text).toBe("from b")
      expect(answer.attempts.map((attempt) => [attempt.target, attempt.outcome, attempt.error?._tag])).toEqual([
        ["a/m", "failure", "ContextLengthError"],
        ["b/m", "success", undefined]
      ])
      expect((yield* calls("a")).length).toBe(0)
      expect(messagesOf((yield* calls("b"))[0])).toEqual(long)
    })
  )

  it.effect("what fits nowhere fails before anything is sent, with the numbers", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: ["never"] },
        { targets: ["a/m"] },
        { context: context({ windows: { m: 300 } }) }
      )
      const error = yield* Effect.flip(llm.generate({ prompt: text(600) }))
      expect(error).toMatchObject({ _tag: "ContextLengthError", maxTokens: 300, provider: "a", model: "m" })
      expect((error as LLMError.ContextLengthError).requestedTokens).toBeGreaterThan(600)
      const streamed = yield* Effect.flip(Stream.runDrain(llm.stream({ prompt: text(600) })))
      expect(streamed._tag).toBe("ContextLengthError")
      expect((yield* calls("a")).length).toBe(0)
    })
  )

  it.effect("the window of the provider's capabilities counts where the options say nothing", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: ["yes"] },
        { targets: ["a/m"] },
        { capabilities: { contextWindow: 1_000 }, context: context({}) }
      )
      yield* llm.generate({ prompt: chat })
      expect(messagesOf((yield* calls("a"))[0]).length).toBeLessThan(chat.length)
    })
  )

  it.effect("a provider's ContextLengthError is answered once by a smaller prompt, at the same target", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: [ScriptedProvider.fail(tooLong({ maxTokens: 1_000, requestedTokens: 2_300 })), "mended"], b: ["from b"] },
        { targets: ["a/m", "b/m"] },
        { context: context({}) }
      )
      const answer = yield* llm.generate({ prompt: chat })
      expect(answer.text).toBe("mended")
      const [first, second] = yield* calls("a")
      expect(messagesOf(first).length).toBe(chat.length)
      expect(messagesOf(second).length).toBeLessThan(chat.length)
      expect(messagesOf(second).at(-1)).toEqual(chat.at(-1))
      expect(answer.attempts.map((attempt) => attempt.outcome)).toEqual(["failure", "success"])
    })
  )

  it.effect("only once: after that the next target is asked, with its own prompt", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: [ScriptedProvider.fail(tooLong())], b: ["from b"] },
        { targets: ["a/m", "b/m"] },
        { context: context({}) }
      )
      expect((yield* llm.generate({ prompt: chat })).text).toBe("from b")
      expect((yield* calls("a")).length).toBe(2)
      expect(messagesOf((yield* calls("b"))[0]).length).toBe(chat.length)
    })
  )

  it.effect("a repair takes no attempt that another target needs, and none that is not there", () =>
    Effect.gen(function* () {
      const scripts = { a: [ScriptedProvider.fail(tooLong())], b: ["from b"] }
      const two = yield* setup(scripts, { targets: ["a/m", "b/m"], maxAttempts: 2 }, { context: context({}) })
      expect((yield* two.llm.generate({ prompt: chat })).text).toBe("from b")
      expect((yield* two.calls("a")).length).toBe(1)
      const one = yield* setup({ a: scripts.a }, { targets: ["a/m"], maxAttempts: 1 }, { context: context({}) })
      expect((yield* Effect.flip(one.llm.generate({ prompt: chat })))._tag).toBe("ContextLengthError")
      expect((yield* one.calls("a")).length).toBe(1)
    })
  )

  it.effect("without repair, or without the policy, the error stands", () =>
    Effect.gen(function* () {
      for (const extras of [{ context: context({ repair: false }) }, { context: context({ strategy: "fail" }) }, {}]) {
        const { calls, llm } = yield* setup(
          { a: [ScriptedProvider.fail(tooLong({ maxTokens: 1_000 }))] },
          { targets: ["a/m"] },
          extras
        )
        expect((yield* Effect.flip(llm.generate({ prompt: chat })))._tag).toBe("ContextLengthError")
        expect((yield* calls("a")).length).toBe(1)
      }
    })
  )

  it.effect("streams are fitted and repaired too, before their first content", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: [ScriptedProvider.fail(tooLong({ maxTokens: 600 })), "streamed"] },
        { targets: ["a/m"] },
        { context: context({ windows: { m: 1_000 } }) }
      )
      const parts = yield* Stream.runCollect(llm.stream({ prompt: chat }))
      expect(parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join("")).toBe("streamed")
      const [first, second] = (yield* calls("a")).map(messagesOf)
      expect(first!.length).toBeLessThan(chat.length)
      expect(second!.length).toBeLessThan(first!.length)
    })
  )

  it.effect("a summary is asked for once in a call, however often the target is", () =>
    Effect.gen(function* () {
      let asked = 0
      const summarise = ({ dropped }: ContextWindow.SummaryTask) =>
        Effect.sync(() => {
          asked++
          return `${dropped.length} messages about tables`
        })
      const down = ScriptedProvider.fail(new LLMError.ServerError({ message: "down", status: 500 }))
      const { calls, llm } = yield* setup(
        { a: [down, "at last"] },
        { targets: ["a/m"] },
        { context: context({ windows: { m: 1_000 }, strategy: { summarise } }) }
      )
      const fiber = yield* Effect.forkChild(llm.generate({ prompt: chat }))
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(fiber)).text).toBe("at last")
      expect(asked).toBe(1)
      const [first, second] = (yield* calls("a")).map(messagesOf)
      expect(first).toEqual(second)
      expect(first![1]).toMatchObject({ role: "system" })
      expect(Message.textOf(first![1]!)).toContain("messages about tables")
    })
  )

  it.effect("a summary that never comes is bounded by the time of the call", () =>
    Effect.gen(function* () {
      const { calls, llm } = yield* setup(
        { a: ["never"] },
        { targets: ["a/m"], timeouts: { total: "5 seconds" } },
        { context: context({ windows: { m: 1_000 }, strategy: { summarise: () => Effect.never } }) }
      )
      const fiber = yield* Effect.forkChild(Effect.flip(llm.generate({ prompt: chat })))
      yield* Effect.yieldNow
      yield* TestClock.adjust("6 seconds")
      expect((yield* Fiber.join(fiber))._tag).toBe("DeadlineExceededError")
      expect((yield* calls("a")).length).toBe(0)
    })
  )

  it.effect("interrupted while it summarises, a call sends nothing and interrupts the summary", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const summarise = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      const { calls, llm } = yield* setup(
        { a: ["never"] },
        { targets: ["a/m"] },
        { context: context({ windows: { m: 1_000 }, strategy: { summarise } }) }
      )
      const fiber = yield* Effect.forkChild(llm.generate({ prompt: chat }))
      yield* Effect.yieldNow
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      expect(interrupted).toBe(1)
      expect((yield* calls("a")).length).toBe(0)
    })
  )

  it.effect("estimates learn from the usage that providers report", () =>
    Effect.gen(function* () {
      const tokenizer = yield* Tokenizer.make()
      const policy = Layer.orDie(
        Layer.provide(ContextWindow.layer({ windows: { m: 100_000 } }), Layer.succeed(Tokenizer.Tokenizer, tokenizer))
      )
      const usage = { inputTokens: 3_300, outputTokens: 1 }
      const { llm } = yield* setup(
        { a: [ScriptedProvider.text("yes", { usage })] },
        { targets: ["a/m"] },
        { context: policy }
      )
      const before = (yield* tokenizer.countMessages("m", chat)).tokens
      yield* llm.generate({ prompt: chat })
      const after = (yield* tokenizer.countMessages("m", chat)).tokens
      expect(tokenizer.calibration("m").samples).toBe(1)
      expect(Math.abs(after - 3_300)).toBeLessThan(Math.abs(before - 3_300) / 5)
      expect((yield* llm.describe()).path.find((each) => each.step === "context")?.setting).toBe("on")
    })
  )

  it.effect("events say what was dropped and repaired", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      const { llm } = yield* setup(
        { a: [ScriptedProvider.fail(tooLong({ maxTokens: 600 })), "yes"] },
        { targets: ["a/m"] },
        { context: context({ windows: { m: 1_000 } }) }
      )
      yield* Effect.provideService(llm.generate({ prompt: chat }), Event.EventSink, (event) => void events.push(event))
      const fitted = events.find((event) => event.type === "context-fitted")
      expect(fitted).toMatchObject({ target: "a/m", window: 1_000, summary: "none" })
      expect(fitted!.droppedMessages).toBeGreaterThan(0)
      expect(fitted!.droppedTokens).toBeGreaterThan(500)
      expect(events.some((event) => event.type === "context-repaired" && event.droppedMessages > 0)).toBe(true)
    })
  )

  it.effect("a stream that goes on elsewhere keeps the answer so far as its last message, whatever is dropped", () =>
    Effect.gen(function* () {
      const finish = { type: "finish", reason: "stop", usage: { inputTokens: 1, outputTokens: 1 } } as const
      const { calls, llm } = yield* setup(
        { a: [ScriptedProvider.cut("The sea ")], b: [ScriptedProvider.stream([" is wide.", finish])] },
        { targets: ["a/m", "b/m"], streamPolicy: "continue" },
        { capabilities: { prefill: true }, context: context({ windows: { "a/m": 10_000, "b/m": 1_000 } }) }
      )
      yield* Stream.runDrain(llm.stream({ prompt: chat }))
      const request = (yield* calls("b"))[0]!.request
      expect("prefill" in request && request.prefill).toBe(true)
      const sent = messagesOf((yield* calls("b"))[0])
      expect(sent.length).toBeLessThan(chat.length)
      expect(sent.slice(-2)).toEqual([chat.at(-1), assistant("The sea")])
    })
  )

  it("interrupted at any operation, a fitted and repaired call leaves no slot taken and no timer", async () => {
    const leaks: Array<string> = []
    // Only the last run, which nothing interrupts, has its answer.
    let answered = false
    let bulkhead: Bulkhead.BulkheadService | undefined
    const program = Effect.gen(function* () {
      bulkhead = yield* Bulkhead.make({ limit: 1 })
      const { llm } = yield* setup(
        { a: [ScriptedProvider.fail(tooLong({ maxTokens: 600 })), "mended"] },
        { targets: ["a/m"], timeouts: { total: "1 minute" } },
        {
          bulkhead: Layer.succeed(Bulkhead.Bulkhead, bulkhead),
          context: context({
            windows: { m: 1_000 },
            strategy: { summarise: () => Effect.as(Effect.sleep(5), "tables") }
          })
        }
      )
      expect((yield* llm.generate({ prompt: chat })).text).toBe("mended")
    })
    const points = await sweep(
      () => Effect.scoped(program),
      ({ clock, exit, point }) => {
        answered = exit._tag === "Success"
        if (clock.sleeping() > 0) leaks.push(`a timer at ${point}`)
        const taken = bulkhead === undefined ? 0 : Effect.runSync(bulkhead.snapshot("a/m")).active
        if (taken > 0) leaks.push(`a slot at ${point}`)
      }
    )
    expect(points).toBeGreaterThan(100)
    expect(leaks).toEqual([])
    expect(answered).toBe(true)
  })
})
