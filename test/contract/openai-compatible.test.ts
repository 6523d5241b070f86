import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import { ProviderContract, Upstream } from "@breakwater/testing"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

const target: ProviderContract.Target = {
  name: "OpenAICompatible",
  situations: ProviderContract.everySituation,
  make: (situation) =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const http = yield* Layer.build(HttpPool.layer())
      const provider = yield* Effect.provide(
        OpenAICompatible.make({ name: "upstream", baseUrl: `${upstream.url}/v1`, apiKey: Redacted.make("test-key") }),
        http
      )
      return {
        provider,
        model: ProviderContract.upstreamModels[situation],
        sent: Effect.map(upstream.stats, (stats) => stats.total),
        open: Effect.map(upstream.stats, (stats) => stats.inFlight)
      }
    })
}

describe("contract of providers: OpenAICompatible against the misbehaving upstream", () => {
  for (const test of ProviderContract.suite(target)) it.live(test.name, () => test.run)
})
