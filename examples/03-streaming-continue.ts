// A stream breaks in its middle, and another model goes on where it stopped. The reader notices nothing.
//
// Until the first words have been handed on, a failed stream is simply replaced. After that the stream policy decides:
// `fail`, `continue` or `buffer`. The parts say which target writes.
//
// Run: npx node examples/03-streaming-continue.ts
// expect: [first/model] One swallow does
// expect: [second/model, going on]
// expect: whole: One swallow does not make a summer.
import { LLM, LLMProvider } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer, Stream } from "effect"

const first = ScriptedProvider.layer({ name: "first", script: [ScriptedProvider.cut("One swallow does")] })
const second = ScriptedProvider.layer({ name: "second", script: ["One swallow does not make a summer."] })

const program = Effect.gen(function* () {
  let whole = ""
  let shown = ""
  const parts = LLM.stream({ prompt: "A proverb, please.", streamPolicy: "continue" })
  yield* Stream.runForEach(parts, (part) =>
    Effect.sync(() => {
      if (part.type === "target") shown += `\n[${part.target}${part.continues ? ", going on" : ""}] `
      if (part.type === "text-delta") {
        shown += part.delta
        whole += part.delta
      }
    })
  )
  yield* Console.log(shown.trim())
  yield* Console.log(`whole: ${whole}`)
})

const layer = LLM.layerPreset("interactive", { targets: ["first/model", "second/model"] }).pipe(
  Layer.provide(LLMProvider.layer(first, second))
)

await Effect.runPromise(Effect.provide(program, layer))
