// A cached agent: a loop that calls a tool asks the same questions again and again, and pays for each of them once.
//
// Every turn of the agent is a request; the same conversation with the same tools has the same key. Only requests with a
// temperature of 0 or a seed are cached: where the answer is meant to vary, nobody gets that of another.
//
// Run: npx node examples/12-cached-agent.ts
// expect: run 1: Lisbon has 18 degrees. 2 turns, $0.00138 paid, $0.00 saved, from the cache: none
// expect: run 2: Lisbon has 18 degrees. 2 turns, $0.00 paid, $0.00138 saved, from the cache: exact, exact
// expect: ten at once: 2 provider calls
// expect: 24 turns, 4 provider calls, $0.0138 saved
import { LLM, LLMProvider, type Message, Money, Pricing, ResponseCache } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer } from "effect"

const tools = [
  {
    name: "temperature",
    description: "The temperature of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
  }
]

/** Asks, runs the tools that are called, and asks again, until there is an answer. */
const agent = (question: string) =>
  Effect.gen(function* () {
    const prompt: Array<Message.Message> = [{ role: "user", content: question }]
    const sources: Array<string> = []
    let [paid, saved] = [0n, 0n]
    for (let turns = 1; turns <= 5; turns++) {
      const answer = yield* LLM.generate({ prompt, tools, temperature: 0 })
      if (answer.cached !== undefined) sources.push(answer.cached.source)
      // A cached answer made no attempt, and costs nothing; it says what it had cost.
      paid += answer.cost?.nanoDollars ?? 0n
      saved += answer.savedNanos ?? 0n
      const calls = answer.content.filter((part) => part.type === "tool-call")
      if (calls.length === 0) return { text: answer.text, turns, paid, saved, sources }
      prompt.push(
        { role: "assistant", content: calls },
        {
          role: "tool",
          content: calls.map(({ id, name }) => ({ type: "tool-result", id, name, isFailure: false, result: 18 }))
        }
      )
    }
    return yield* Effect.die(new Error("the agent found no end"))
  })

const program = Effect.gen(function* () {
  const provider = yield* ScriptedProvider.make({
    name: "demo",
    script: (request) =>
      "messages" in request && request.messages.at(-1)?.role === "tool"
        ? ScriptedProvider.text("Lisbon has 18 degrees.", { usage: { inputTokens: 60, outputTokens: 12 } })
        : ScriptedProvider.toolCall("temperature", { city: "Lisbon" }, { id: "call-1" })
  })
  const layer = LLM.layer({ targets: ["demo/agent"] }).pipe(
    Layer.provideMerge(ResponseCache.layer({ ttl: "1 day" })),
    Layer.provide(Pricing.layer({ "demo/agent": { input: "10", output: "40" } })),
    Layer.provide([LLM.layerNoPolicies, LLMProvider.layer(provider.layer)])
  )
  yield* Effect.gen(function* () {
    for (const run of [1, 2]) {
      const { paid, saved, sources, text, turns } = yield* agent("How warm is Lisbon?")
      const from = sources.length === 0 ? "none" : sources.join(", ")
      const money = `${Money.format(paid)} paid, ${Money.format(saved)} saved`
      yield* Console.log(`run ${run}: ${text} ${turns} turns, ${money}, from the cache: ${from}`)
    }

    // Ten agents ask another question at the same time: one of them makes the calls, and all get the answers.
    const before = (yield* provider.calls).length
    yield* Effect.all(
      Array.from({ length: 10 }, () => agent("And tomorrow?")),
      { concurrency: 10 }
    )
    yield* Console.log(`ten at once: ${(yield* provider.calls).length - before} provider calls`)

    const { hits, misses, savedNanoDollars, shared } = yield* (yield* ResponseCache.ResponseCache).stats
    yield* Console.log(
      `${hits + shared + misses} turns, ${misses} provider calls, ${Money.format(savedNanoDollars)} saved`
    )
  }).pipe(Effect.provide(layer))
})

await Effect.runPromise(program)
