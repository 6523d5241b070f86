// A program on `effect/ai`, with a chat and a tool, becomes resilient by one Layer.
//
// The chat knows nothing of this library. Each turn of the model goes through the whole pipeline; the tool runs once,
// however often a turn is repeated.
//
// Run: npx node examples/06-language-model.ts
// expect: It is 3 degrees in Ulm.
// expect: the tool ran 1 time, the provider was called 4 times
import { LanguageModelBridge, LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer, Schema } from "effect"
import { Chat, Tool, Toolkit } from "effect/ai"

const Weather = Tool.make("weather", {
  description: "Degrees in a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Number
})
const Tools = Toolkit.make(Weather)

let ran = 0
const Handlers = Tools.toLayer({
  weather: () =>
    Effect.sync(() => {
      ran++
      return 3
    })
})

// Nothing but `effect/ai` from here…
const program = Effect.gen(function* () {
  const chat = yield* Chat.empty
  yield* chat.generateText({ prompt: "How cold is it in Ulm?", toolkit: Tools })
  const answer = yield* chat.generateText({ prompt: "In a sentence, please." })
  yield* Console.log(answer.text)
})
// …to here.

const fails = ScriptedProvider.fail(Failures.overload("10 millis"))

await Effect.runPromise(
  Effect.gen(function* () {
    const scripted = yield* ScriptedProvider.make({
      name: "demo",
      script: [fails, ScriptedProvider.toolCall("weather", { city: "Ulm" }), fails, "It is 3 degrees in Ulm."]
    })
    const resilient = LanguageModelBridge.layerLanguageModel().pipe(
      Layer.provide(LLM.layerPreset("interactive", { targets: ["demo/model"] })),
      Layer.provide(LLMProvider.layer(scripted.layer))
    )
    yield* Effect.provide(program, [resilient, Handlers])
    const { calls } = yield* scripted.counts
    yield* Console.log(`the tool ran ${ran} time, the provider was called ${calls} times`)
  })
)
