// A real provider, with its key from the environment; without a key, a test server that speaks the same wire.
//
// With OPENAI_API_KEY set this asks OpenAI. `Catalog.layerConfig` goes further and reads the provider itself from
// LLM_PROVIDER, LLM_MODEL and LLM_FALLBACKS.
//
// Run: OPENAI_API_KEY=… npx node examples/10-real-provider.ts
// expect: Asking
// expect: tokens, in
import { LLM, LLMProvider } from "@breakwater/core"
import { HttpPool, OpenAI } from "@breakwater/providers"
import { Upstream } from "@breakwater/testing"
import { Config, Console, Effect, Layer, Option, Redacted, Stream } from "effect"

const program = Effect.gen(function* () {
  const parts = LLM.stream({ prompt: "What is a breakwater? One sentence.", maxTokens: 200, timeout: "40 seconds" })
  yield* Stream.runForEach(parts, (part) => {
    if (part.type === "text-delta") return Effect.sync(() => process.stdout.write(part.delta))
    if (part.type !== "finish") return Effect.void
    const tookMs = part.attempts.reduce((sum, each) => sum + each.waitedMs + each.tookMs, 0)
    return Console.log(`\n(${part.target}: ${part.usage.outputTokens} tokens, in ${Math.round(tookMs)} ms)`)
  })
})

const layer = Layer.unwrap(
  Effect.gen(function* () {
    const key = Option.filter(
      yield* Config.option(Config.Redacted("OPENAI_API_KEY")),
      (each) => Redacted.value(each) !== ""
    )
    if (Option.isSome(key)) {
      yield* Console.log("Asking OpenAI.")
      return LLM.layerPreset("interactive", { targets: ["openai/gpt-4.1-mini"] }).pipe(
        Layer.provide(LLMProvider.layer(OpenAI.layerConfig()))
      )
    }
    yield* Console.log("Asking a test server: there is no OPENAI_API_KEY.")
    const server = yield* Upstream.make({ wordDelay: "5 millis" })
    const provider = OpenAI.layer({ baseUrl: `${server.url}/v1`, apiKey: Redacted.make("none") })
    // The first call is limited for a second: the answer comes all the same.
    return LLM.layerPreset("interactive", { targets: ["openai/rate-limit-once"] }).pipe(
      Layer.provide(LLMProvider.layer(provider))
    )
  })
).pipe(Layer.provide(HttpPool.layer()))

await Effect.runPromise(Effect.provide(program, layer))
