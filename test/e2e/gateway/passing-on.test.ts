/** What the gateway has no word for reaches the provider as it came, where the provider has one. */
import { Gateway } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { type Json, post, promised } from "./support.ts"

/** A server of OpenAI's wire that keeps what it was sent. */
const keeping = Effect.gen(function* () {
  const bodies: Array<Json> = []
  const server = yield* Effect.acquireRelease(
    promised(
      () =>
        new Promise<Http.Server>((resolve) => {
          const made = Http.createServer((req, res) => {
            let text = ""
            req.on("data", (data) => (text += String(data)))
            req.on("end", () => {
              const body = JSON.parse(text) as Json
              bodies.push(body)
              res.setHeader("content-type", "application/json")
              const many = Array.isArray(body["input"]) && Array.isArray(body["input"][0]) ? body["input"].length : 1
              res.end(
                JSON.stringify(
                  req.url!.endsWith("/embeddings")
                    ? {
                        data: Array.from({ length: many }, (_, index) => ({ index, embedding: [index, 1] })),
                        model: "m",
                        usage: { prompt_tokens: 3, total_tokens: 3 }
                      }
                    : {
                        choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
                        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
                      }
                )
              )
            })
          })
          made.listen(0, "127.0.0.1", () => resolve(made))
        })
    ),
    (made) => Effect.sync(() => made.close())
  )
  const { port } = server.address() as Net.AddressInfo
  const gateway = yield* Gateway.make({
    providers: {
      p: { type: "openai-compatible", baseUrl: `http://127.0.0.1:${port}/v1` },
      g: { type: "gemini", baseUrl: `http://127.0.0.1:${port}`, apiKey: "k" }
    }
  })
  const ask = (path: string, body: object) =>
    Effect.flatMap(post(`${gateway.url}${path}`, body), (response) =>
      promised(async () => ({ status: response.status, body: (await response.json()) as Json }))
    )
  return { bodies, ask }
})

describe("passing on", () => {
  it.live("the detail of a picture", () =>
    Effect.gen(function* () {
      const { ask, bodies } = yield* keeping
      const image = (more: object) => ({ type: "image_url", image_url: { url: "https://a.example/b.png", ...more } })
      const content = [{ type: "text", text: "?" }, image({ detail: "high" }), image({})]
      assert.strictEqual(
        (yield* ask("/v1/chat/completions", { model: "p/m", messages: [{ role: "user", content }] })).status,
        200
      )
      assert.deepStrictEqual(bodies[0]!["messages"][0].content.slice(1), [image({ detail: "high" }), image({})])
      const wrong = { role: "user", content: [image({ detail: 7 })] }
      const refused = yield* ask("/v1/chat/completions", { model: "p/m", messages: [wrong] })
      assert.strictEqual(refused.body["error"].param, "messages[0].content[0].image_url.detail")
    }).pipe(Effect.scoped)
  )

  it.live("tokens to be embedded, one array or several, to those who know them", () =>
    Effect.gen(function* () {
      const { ask, bodies } = yield* keeping
      const one = yield* ask("/v1/embeddings", { model: "p/m", input: [1, 2, 30_000] })
      assert.deepStrictEqual([one.status, one.body["data"].length], [200, 1])
      const several = yield* ask("/v1/embeddings", { model: "p/m", input: [[1, 2], [3]], dimensions: 2 })
      assert.deepStrictEqual([several.status, several.body["data"].length], [200, 2])
      assert.deepStrictEqual(
        bodies.map(({ dimensions, input }) => [input, dimensions]),
        [
          [[1, 2, 30_000], undefined],
          [[[1, 2], [3]], 2]
        ]
      )
      for (const [input, param] of [
        [[1, "two"], "input[1]"],
        [[1.5], "input[0]"],
        [[[1], []], "input[1]"],
        [[[1], "text"], "input[1]"],
        [["text", 1], "input[1]"],
        [[-1], "input[0]"]
      ] as const) {
        const { body, status } = yield* ask("/v1/embeddings", { model: "p/m", input })
        assert.deepStrictEqual([status, body["error"].param], [400, param], JSON.stringify(input))
      }
      const gemini = yield* ask("/v1/embeddings", { model: "g/m", input: [1, 2] })
      assert.strictEqual(gemini.status, 400)
      assert.match(gemini.body["error"].message, /tokens are only for providers of OpenAI's wire/)
      assert.strictEqual((yield* ask("/v1/embeddings", { model: "p/m", input: [1], fallbacks: ["g/m"] })).status, 400)
      assert.strictEqual(bodies.length, 2)
    }).pipe(Effect.scoped)
  )
})
