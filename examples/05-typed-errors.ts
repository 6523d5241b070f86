// A failure is a type: a closed union, so that the compiler knows which kinds are handled and which are left.
//
// `catchTags` takes the kinds one by one. What remains still says whether another try makes sense (`isRetryable`), when
// (`retryAfter`), and where it came from (`provider`, `model`, `status`).
//
// Run: npx node examples/05-typed-errors.ts
// expect: too long: 9021 tokens, and 8192 fit
// expect: come back in 2s
// expect: refused (input)
// expect: AuthenticationError of demo/model, status 401, worth another try: false
import { LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { Console, Duration, Effect, Layer } from "effect"

const ask = LLM.generateText("Explain everything.", { timeout: "1 second" }).pipe(
  Effect.catchTags({
    ContextLengthError: (error) =>
      Effect.succeed(`too long: ${error.requestedTokens} tokens, and ${error.maxTokens} fit`),
    RateLimitError: (error) =>
      Effect.succeed(`come back in ${error.retryAfter === undefined ? "a while" : Duration.format(error.retryAfter)}`),
    ContentFilterError: (error) => Effect.succeed(`refused (${error.stage})`)
  }),
  // What is left of the union, by the compiler's word.
  Effect.catch((error) =>
    Effect.succeed(
      `${error._tag} of ${error.provider}/${error.model}, status ${error.status}, worth another try: ${error.isRetryable}`
    )
  )
)

const demo = ScriptedProvider.layer({
  name: "demo",
  script: [
    ScriptedProvider.fail(Failures.contextLength(8_192, 9_021)),
    ScriptedProvider.fail(Failures.contentFilter("input")),
    ScriptedProvider.fail(Failures.authentication()),
    // Two seconds do not fit into the second that the call has, so it fails at once and says when to come back.
    ScriptedProvider.fail(Failures.rateLimit("2 seconds"))
  ]
})
const layer = LLM.layerPreset("interactive", { targets: ["demo/model"] }).pipe(Layer.provide(LLMProvider.layer(demo)))

const program = Effect.gen(function* () {
  for (let i = 0; i < 4; i++) yield* Console.log(yield* ask)
})

await Effect.runPromise(Effect.provide(program, layer))
