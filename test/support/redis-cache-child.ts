/**
 * A process that asks a question through a cache on Redis, and prints what it was told and by whom.
 *
 * Arguments: URL, what its own provider would answer. It ends when its answer is kept.
 */
import { LLM, LLMProvider, ResponseCache } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import { ScriptedProvider } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const [url, own] = process.argv.slice(2)

const ask = LLM.generate({ prompt: "What is shared?", temperature: 0 })

const program = Effect.gen(function* () {
  const { cached, text } = yield* ask
  let kept = cached
  // The answer does not wait until it is kept.
  for (let tries = 0; kept === undefined && tries < 100; tries++) {
    yield* Effect.sleep("20 millis")
    kept = (yield* ask).cached
  }
  console.log(JSON.stringify({ text, source: cached?.source ?? "model", kept: kept?.source }))
})

const answers = Array.from({ length: 100 }, () => ScriptedProvider.text(own!))
const layer = LLM.layer({ targets: ["shared/any"] }).pipe(
  Layer.provide(ResponseCache.layerShared().pipe(Layer.provide(RedisStores.layerCache({ url: url! })))),
  Layer.provide(LLM.layerNoPolicies),
  Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "shared", script: answers })))
)

await Effect.runPromise(Effect.provide(program, layer))
process.exit(0)
