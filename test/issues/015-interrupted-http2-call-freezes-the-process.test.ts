/**
 * Under HTTP/2 a call that was interrupted as it was sent could leave Node in a loop without end: its session went on
 * sending a stream that was gone (Node 24.21 under undici 8.12, in `Http2Session::SendPendingData`). A pool offers HTTP/1.1
 * alone, which has a connection for each call: to give up a call is to close it.
 */
import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type AddressInfo, createServer } from "node:net"
import { assert, it } from "vitest"

it("a pool offers a server that speaks TLS no HTTP/2", async () => {
  let hello = ""
  const server = createServer((socket) => {
    socket.once("data", (data) => {
      hello = data.toString("latin1")
      socket.destroy()
    })
    socket.on("error", () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    const baseUrl = `https://localhost:${(server.address() as AddressInfo).port}/v1`
    const error = await Effect.runPromise(
      Effect.gen(function* () {
        const provider = yield* OpenAICompatible.make({ name: "test", baseUrl, apiKey: Redacted.make("key") })
        return yield* Effect.flip(provider.generate({ model: "m", messages: [{ role: "user", content: "Hello" }] }))
      }).pipe(Effect.provide(HttpPool.layer()))
    )
    assert.strictEqual(error._tag, "TransportError")
    // The protocols it offers, each behind its length.
    assert.include(hello, "\u0008http/1.1")
    assert.notInclude(hello, "\u0002h2")
  } finally {
    server.close()
  }
})
