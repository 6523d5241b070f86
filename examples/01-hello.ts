// The smallest program: ask, and print the answer.
//
// The program knows the `LLM` service and nothing else. Which provider answers is decided where the Layers are put
// together: here one that answers from a script, and then one over HTTP (a test server; `OpenAI.layerConfig()` or any
// other provider goes in the same place).
//
// Run: npx node examples/01-hello.ts
// expect: scripted: Hello, world!
// expect: over HTTP: You asked: “Say hello to the world”.
import { LLM, LLMProvider } from "@breakwater/core"
import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import { ScriptedProvider, Upstream } from "@breakwater/testing"
import { Console, Effect, Layer } from "effect"

const program = LLM.generateText("Say hello to the world")

const scripted = LLM.layerPreset("interactive", { targets: ["demo/any-model"] }).pipe(
  Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "demo", script: ["Hello, world!"] })))
)

const overHttp = Layer.unwrap(
  Effect.gen(function* () {
    const server = yield* Upstream.UpstreamServer
    const provider = OpenAICompatible.layer({ name: "local", baseUrl: `${server.url}/v1` })
    return LLM.layerPreset("interactive", { targets: ["local/good"] }).pipe(Layer.provide(LLMProvider.layer(provider)))
  })
).pipe(Layer.provide([Upstream.layer(), HttpPool.layer()]))

await Effect.runPromise(
  Effect.gen(function* () {
    yield* Console.log(`scripted: ${yield* Effect.provide(program, scripted)}`)
    yield* Console.log(`over HTTP: ${yield* Effect.provide(program, overHttp)}`)
  })
)
