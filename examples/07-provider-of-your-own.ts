// A provider is one interface: one model turn, whole or streamed. This one answers in capitals.
//
// It makes no retries, no waits and no cache; the pipeline has all of that. What it owes (typed errors, exactly one
// `finish`, nothing sent before it is run, …) is checked by the contract suite that every provider goes through.
//
// Run: npx node examples/07-provider-of-your-own.ts
// expect: IS ANYBODY THERE?
// expect: promises kept
import { LLM, LLMError, LLMProvider, Message, type Request, Response } from "@breakwater/core"
import { ProviderContract } from "@breakwater/testing"
import { Console, Effect, Layer, Stream } from "effect"

const make = (name: string, onSend: () => void = () => {}): LLMProvider.Provider => {
  const answer = (request: Request.ProviderRequest): Effect.Effect<Response.Turn> =>
    Effect.sync(() => {
      onSend()
      const text = request.messages.map(Message.textOf).join(" ").toUpperCase()
      return {
        content: [{ type: "text", text }],
        finishReason: "stop",
        usage: { inputTokens: text.length, outputTokens: text.length },
        model: request.model
      }
    })
  return {
    name,
    capabilities: () => ({ prefill: false }),
    generate: answer,
    // A turn as the parts of a stream; a provider over HTTP would decode its events here.
    stream: (request) =>
      Stream.unwrap(Effect.map(answer(request), (turn) => Stream.fromIterable(Response.partsOf(turn)))),
    embed: ({ model }) =>
      Effect.fail(new LLMError.InvalidRequestError({ message: "this provider embeds nothing", provider: name, model }))
  }
}

const Capitals = Layer.succeed(LLMProvider.LLMProvider, make("capitals"))

const layer = LLM.layerPreset("interactive", { targets: ["capitals/any"] }).pipe(
  Layer.provide(LLMProvider.layer(Capitals))
)

const contract = ProviderContract.suite({
  name: "Capitals",
  // It cannot fail, so the good situation is all there is.
  situations: ["good"],
  embeds: false,
  make: () =>
    Effect.sync(() => {
      let sent = 0
      const provider = make("capitals", () => sent++)
      return { provider, model: "any", sent: Effect.sync(() => sent), open: Effect.succeed(0) }
    })
})

await Effect.runPromise(
  Effect.gen(function* () {
    yield* Console.log(yield* Effect.provide(LLM.generateText("Is anybody there?"), layer))
    for (const test of contract) yield* Effect.scoped(test.run)
    yield* Console.log(`${contract.length} promises kept`)
  })
)
