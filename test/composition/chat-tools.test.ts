/**
 * A `Chat` with tools on an `LLM`: whatever the policies repeat, a tool runs once.
 */
import { LanguageModelBridge, LLM, LLMError, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import type * as AiError from "effect/ai/AiError"
import * as Chat from "effect/ai/Chat"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { layerRetrying } from "../unit/core/support/bridge.ts"

const Weather = Tool.make("weather", {
  description: "Degrees in a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Number
})
const Tools = Toolkit.make(Weather)

const services: ReadonlyArray<
  readonly [string, (provider: LLMProvider.Provider) => Layer.Layer<LLM.LLM, Config.ConfigError>]
> = [
  ["an LLM that only retries", (provider) => layerRetrying(provider)],
  [
    "the whole pipeline",
    (provider) =>
      LLM.layerPreset("interactive", { targets: [`${provider.name}/m`] }).pipe(
        Layer.provide(LLMProvider.layerOf(provider))
      )
  ],
  [
    "the whole pipeline before another LanguageModel",
    (provider) =>
      LLM.layerPreset("interactive", { targets: ["inner/m"] }).pipe(
        Layer.provide(LLMProvider.layer(LanguageModelBridge.layerProvider({ name: "inner" }))),
        Layer.provide(LanguageModelBridge.layerLanguageModel()),
        Layer.provide(layerRetrying(provider, 1))
      )
  ]
]

/** Fails twice before each of two turns: a call of the tool, and the answer that uses its result. */
const script = [
  ScriptedProvider.fail(Failures.server()),
  ScriptedProvider.fail(Failures.overload()),
  ScriptedProvider.toolCall("weather", { city: "Ulm" }, { id: "c1" }),
  ScriptedProvider.fail(Failures.transport()),
  ScriptedProvider.fail(Failures.rateLimit("1 second")),
  ScriptedProvider.text("It is 3 degrees.")
]

const run = <A, E>(
  program: (
    chat: Chat.Chat,
    tools: Toolkit.WithHandler<typeof Tools.tools>
  ) => Effect.Effect<A, E, LanguageModel.LanguageModel>,
  service: (provider: LLMProvider.Provider) => Layer.Layer<LLM.LLM, Config.ConfigError>,
  steps: ScriptedProvider.Options["script"]
) =>
  Effect.gen(function* () {
    const ran: Array<string> = []
    const scripted = yield* ScriptedProvider.make({ script: steps, afterLast: "die" })
    const chat = yield* Chat.empty
    const tools = yield* Tools.pipe(
      Effect.provide(
        Tools.toLayer({
          weather: ({ city }) =>
            Effect.as(
              Effect.sync(() => ran.push(city)),
              3
            )
        })
      )
    )
    const fiber = yield* program(chat, tools).pipe(
      Effect.provide(LanguageModelBridge.layerLanguageModel().pipe(Layer.provide(service(scripted.provider)))),
      Effect.forkChild
    )
    for (let second = 0; second < 120; second++) {
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 second")
    }
    const result = yield* Fiber.join(fiber)
    const history = (yield* Ref.get(chat.history)).content
    return { result, ran, history, calls: (yield* scripted.counts).calls }
  })

describe.each(services)("a chat with tools on %s", (_, service) => {
  it.effect("runs a tool once, however often a turn is asked for", () =>
    Effect.gen(function* () {
      const { calls, history, ran, result } = yield* run(
        (chat, toolkit) =>
          Effect.gen(function* () {
            const first = yield* chat.generateText({ prompt: "How warm is it in Ulm?", toolkit })
            const second = yield* chat.generateText({ prompt: [], toolkit })
            return { first, second }
          }),
        service,
        script
      )
      expect(ran).toEqual(["Ulm"])
      expect(calls).toBe(6)
      expect(result.first.toolResults.map((each) => each.result)).toEqual([3])
      expect(result.second.text).toBe("It is 3 degrees.")
      expect(history.map((message) => message.role)).toEqual(["user", "assistant", "tool", "assistant"])
    })
  )

  it.effect("runs a tool once in a stream, and keeps one history", () =>
    Effect.gen(function* () {
      const { calls, history, ran, result } = yield* run(
        (chat, toolkit) =>
          Effect.gen(function* () {
            const first = yield* Stream.runCollect(chat.streamText({ prompt: "How warm is it in Ulm?", toolkit }))
            const second = yield* Stream.runCollect(chat.streamText({ prompt: [], toolkit }))
            return { first, second }
          }),
        service,
        script
      )
      expect(ran).toEqual(["Ulm"])
      expect(calls).toBe(6)
      expect(result.first.filter((part) => part.type === "tool-result")).toMatchObject([{ id: "c1", result: 3 }])
      expect(result.first.filter((part) => part.type === "finish")).toHaveLength(1)
      expect(result.second.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")).toBe(
        "It is 3 degrees."
      )
      expect(history.map((message) => message.role)).toEqual(["user", "assistant", "tool", "assistant"])
    })
  )

  it.effect("fails with an AiError that holds the error of the call, and runs nothing", () =>
    Effect.gen(function* () {
      const { history, ran, result } = yield* run(
        (chat, toolkit) =>
          Effect.flip(chat.generateText({ prompt: "?", toolkit })) as Effect.Effect<
            AiError.AiError,
            never,
            LanguageModel.LanguageModel
          >,
        service,
        [ScriptedProvider.fail(Failures.authentication())]
      )
      expect(result._tag).toBe("AiError")
      expect(Option.getOrUndefined(LanguageModelBridge.llmError(result))).toBeInstanceOf(LLMError.AuthenticationError)
      expect(ran).toEqual([])
      expect(history).toEqual([])
    })
  )
})
