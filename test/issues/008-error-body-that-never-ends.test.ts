/**
 * A 429 whose body never ended was waited for until the attempt timed out: the target counted as silent, its hint was
 * lost, and its circuit breaker heard of a failure.
 */
import { LLMProvider, type Request } from "@breakwater/core"
import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const request: Request.ProviderRequest = { model: "m", messages: [{ role: "user", content: "hi" }] }

describe("a failed answer whose body does not end", () => {
  it.live.each(["generate", "stream"] as const)("is what its status says: %s", (operation) =>
    Effect.gen(function* () {
      let closed = 0
      const server = createServer((_, response) => {
        response.on("close", () => closed++)
        response.writeHead(429, { "content-type": "application/json", "retry-after": "7" })
        response.write('{"error":{"message":"slow')
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
        () =>
          Effect.sync(() => {
            server.closeAllConnections()
            server.close()
          })
      )
      const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
      const layer = OpenAICompatible.layer({ name: "a", baseUrl }).pipe(Layer.provide(HttpPool.layer()))
      const error = yield* Effect.gen(function* () {
        const provider = yield* LLMProvider.LLMProvider
        const call = operation === "generate" ? provider.generate(request) : Stream.runDrain(provider.stream(request))
        return yield* Effect.flip(Effect.asVoid(call))
      }).pipe(Effect.provide(layer), Effect.timeout("8 seconds"))
      assert.strictEqual(error._tag, "RateLimitError")
      if (error._tag === "RateLimitError") assert.strictEqual(Duration.toMillis(error.retryAfter!), 7_000)
      yield* Effect.sleep("100 millis")
      assert.strictEqual(closed, 1)
    }).pipe(Effect.scoped)
  )
})
