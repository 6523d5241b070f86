/** Which way a provider takes to its server: the pool's own sockets, or the client that it is given. */
import { type Request } from "@breakwater/core"
import { HttpPool, OpenAICompatible } from "@breakwater/providers"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as WireServer from "./wireServer.ts"

const request: Request.ProviderRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

const turn = {
  id: "c1",
  model: "m",
  choices: [{ message: { content: "Hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 1 }
}

const make = (url: string, headers: Readonly<Record<string, string>> = {}) =>
  OpenAICompatible.make({ name: "test", baseUrl: `${url}/v1`, apiKey: Redacted.make("key"), headers })

describe("the client of a provider", () => {
  it.live("that a program has changed is used with its changes", () =>
    Effect.gen(function* () {
      const server = yield* WireServer.make(WireServer.json(200, turn))
      const changed = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setHeader("x-added", "yes")))
      ).pipe(Layer.provide(HttpPool.layer()))
      const client = yield* Layer.build(changed)
      const provider = yield* Effect.provide(make(server.url), client)
      yield* provider.generate(request)
      assert.strictEqual(server.requests[0]!.headers["x-added"], "yes")
      assert.strictEqual(server.requests[0]!.headers["content-type"], "application/json")
    }).pipe(Effect.scoped)
  )

  it.live("sends each header once, whatever its case", () =>
    Effect.gen(function* () {
      const server = yield* WireServer.make(WireServer.json(200, turn))
      const headers = { "Content-Type": "application/json", "X-Team": "harbour" }
      const provider = yield* Effect.provide(make(server.url, headers), yield* Layer.build(HttpPool.layer()))
      yield* provider.generate(request)
      const heard = server.requests[0]!.headers
      assert.deepInclude(heard, {
        "content-type": "application/json",
        "x-team": "harbour",
        authorization: "Bearer key"
      })
      assert.isUndefined(heard["transfer-encoding"])
    }).pipe(Effect.scoped)
  )

  it.live("is a pool of its own for every Layer, and is closed with it", () =>
    Effect.gen(function* () {
      const server = yield* WireServer.make(WireServer.json(200, turn))
      // The one within is closed while the one around it goes on: they share nothing.
      const around = yield* Effect.provide(make(server.url), yield* Layer.build(HttpPool.layer()))
      const within = yield* Effect.scoped(
        Effect.gen(function* () {
          const provider = yield* Effect.provide(make(server.url), yield* Layer.build(HttpPool.layer()))
          yield* provider.generate(request)
          return provider
        })
      )
      assert.strictEqual((yield* around.generate(request)).id, "c1")
      const error = yield* Effect.flip(within.generate(request))
      assert.strictEqual(error._tag, "TransportError")
    }).pipe(Effect.scoped)
  )

  it.live("stops reading while nobody takes what it has read", () =>
    Effect.gen(function* () {
      const piece = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "x".repeat(60_000) } }] })}\n\n`
      let written = 0
      const server = yield* WireServer.make((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        const more = (): void => {
          while (written < 2_000) {
            written++
            if (!response.write(piece)) return void response.once("drain", more)
          }
          response.end()
        }
        more()
      })
      const provider = yield* Effect.provide(make(server.url), yield* Layer.build(HttpPool.layer()))
      const slow = Stream.runForEach(provider.stream(request), () => Effect.sleep("1 hour"))
      const reader = yield* Effect.forkChild(slow)
      yield* Effect.sleep("500 millis")
      // 120 MB would come; what the kernel and the pool keep of it is a small part.
      assert.isAbove(written, 1)
      assert.isBelow(written, 500)
      yield* Fiber.interrupt(reader)
      yield* Effect.promise(() => server.aborted)
    }).pipe(Effect.scoped)
  )

  it.live("never sends a call that was given up while it waited for a connection", () =>
    Effect.gen(function* () {
      const waiting: Array<() => void> = []
      const server = yield* WireServer.make((response, asked) => {
        waiting.push(() => WireServer.json(200, turn)(response, asked))
      })
      const http = yield* Layer.build(HttpPool.layer({ connections: 1 }))
      const provider = yield* Effect.provide(make(server.url), http)
      const first = yield* Effect.forkChild(provider.generate({ ...request, model: "first" }))
      while (waiting.length === 0) yield* Effect.sleep("1 millis")
      const second = yield* Effect.forkChild(provider.generate({ ...request, model: "second" }))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(second)
      waiting.pop()!()
      assert.strictEqual((yield* Fiber.join(first)).id, "c1")
      const third = yield* Effect.forkChild(provider.generate({ ...request, model: "third" }))
      while (waiting.length === 0) yield* Effect.sleep("1 millis")
      waiting.pop()!()
      yield* Fiber.join(third)
      const models = server.requests.map(({ body }) => (body as { readonly model: string }).model)
      assert.deepStrictEqual(models, ["first", "third"])
    }).pipe(Effect.scoped)
  )
})
