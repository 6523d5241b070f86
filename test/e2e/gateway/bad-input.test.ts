/** What a gateway does with requests that are wrong, hostile or left in the middle: the right status, and nothing else. */
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { chat, eventually, onStage, post, promised, type Stage } from "./support.ts"

const url = (stage: Stage) => `${stage.url}/v1/chat/completions`

interface Refusal {
  readonly status: number
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string | null
  }
}

const refused = (stage: Stage, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const response = yield* post(url(stage), body, headers)
    const json = (yield* promised(() => response.json())) as { error: Refusal["error"] }
    assert.notInclude(JSON.stringify(json), "    at ")
    return { status: response.status, error: json.error }
  })

/** Sends bytes as they are, and reads until the connection is closed or quiet. */
const raw = (stage: Stage, bytes: string, waitMs = 1_500): Promise<string> =>
  new Promise((resolve) => {
    let got = ""
    const socket = Net.connect(stage.gateway.port, "127.0.0.1", () => socket.write(bytes))
    const done = () => {
      socket.destroy()
      resolve(got)
    }
    socket.setTimeout(waitMs, done)
    socket.on("data", (chunk) => (got += chunk.toString()))
    socket.on("error", done)
    socket.on("close", done)
  })

const healthy = (stage: Stage) =>
  Effect.gen(function* () {
    const response = yield* post(url(stage), chat("first/good"))
    assert.strictEqual(response.status, 200)
    yield* promised(() => response.text())
    assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
  })

const deep = (levels: number) => `{"model":"first/good","messages":${"[".repeat(levels)}${"]".repeat(levels)}}`

describe("bodies that are wrong", () => {
  it.live("are refused by the field", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const user = { role: "user", content: "Hi" }
        const cases: ReadonlyArray<readonly [body: unknown, param: string | null]> = [
          ["{not json", null],
          ["", null],
          ["[]", "body"],
          ["null", "body"],
          [{ messages: [user] }, "model"],
          [{ model: 7, messages: [user] }, "model"],
          [{ model: "first/good" }, "messages"],
          [{ model: "first/good", messages: "hello" }, "messages"],
          [{ model: "first/good", messages: [] }, "messages"],
          [{ model: "first/good", messages: [null] }, "messages[0]"],
          [{ model: "first/good", messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
          [{ model: "first/good", messages: [{ role: "user", content: 7 }] }, "messages[0].content"],
          [
            { model: "first/good", messages: [{ role: "user", content: [{ type: "image_url" }] }] },
            "messages[0].content[0].image_url"
          ],
          [{ model: "first/good", messages: [user], stream: "yes" }, "stream"],
          [{ model: "first/good", messages: [user], temperature: "hot" }, "temperature"],
          [{ model: "first/good", messages: [user], temperature: 3 }, "temperature"],
          [{ model: "first/good", messages: [user], max_tokens: -1 }, "max_tokens"],
          [{ model: "first/good", messages: [user], max_tokens: 1.5 }, "max_tokens"],
          [{ model: "first/good", messages: [user], n: 3 }, "n"],
          [{ model: "first/good", messages: [user], stop: [1] }, "stop[0]"],
          [{ model: "first/good", messages: [user], tools: [{ type: "function" }] }, "tools[0].function"],
          [{ model: "first/good", messages: [user], tool_choice: "required" }, "tool_choice"],
          [{ model: "first/good", messages: [user], fallbacks: [7] }, "fallbacks[0]"],
          [
            { model: "first/good", messages: [user], response_format: { type: "json_schema" } },
            "response_format.json_schema"
          ]
        ]
        for (const [body, param] of cases) {
          const { error, status } = yield* refused(stage, body)
          const shown = JSON.stringify(body)
          assert.strictEqual(status, 400, shown)
          assert.strictEqual(error.type, "invalid_request_error", shown)
          assert.strictEqual(error.param, param, `${shown}: ${error.message}`)
        }
        assert.strictEqual((yield* stage.first.stats).total, 0)
        yield* healthy(stage)
      })
    )
  )

  it.live("are bounded in size, depth and number", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* refused(stage, deep(100_000))).status, 400)
          assert.strictEqual((yield* refused(stage, deep(5))).status, 400)
          const many = Array.from({ length: 100_001 }, () => ({ role: "user", content: "x" }))
          const { error, status } = yield* refused(stage, { model: "first/good", messages: many })
          assert.strictEqual(status, 400)
          assert.strictEqual(error.param, "messages")
          assert.strictEqual(
            (yield* refused(stage, chat("first/good", { padding: "x".repeat(9_000_000) }))).status,
            413
          )
          yield* healthy(stage)
        }),
      { limits: { bodyBytes: 8_000_000 } }
    )
  )

  it.live("of a hundred megabytes are not read", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        const announced = yield* promised(() => raw(stage, `${head}content-length: 104857600\r\n\r\n{"a":`))
        assert.match(announced, /^HTTP\/1\.1 413 /)
        assert.include(announced, "request_too_large")
        assert.match(announced, /connection: close/i)
        yield* healthy(stage)
      })
    )
  )

  it.live("of other types, or compressed, are refused", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* refused(stage, chat("first/good"), { "content-type": "text/plain" })).status, 415)
        assert.strictEqual((yield* refused(stage, chat("first/good"), { "content-encoding": "gzip" })).status, 415)
        const bytes = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])
        const response = yield* promised(() =>
          fetch(url(stage), { method: "POST", headers: { "content-type": "application/json" }, body: bytes })
        )
        assert.strictEqual(response.status, 400)
      })
    )
  )

  it.live("cannot reach into prototypes", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const body = `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},${JSON.stringify(chat("first/good")).slice(1)}`
          const response = yield* post(url(stage), body)
          assert.strictEqual(response.status, 200)
          assert.isUndefined(({} as Record<string, unknown>)["polluted"])
          const model = yield* refused(stage, chat("__proto__"))
          assert.strictEqual(model.status, 404)
        }),
      { aliases: { fast: "first/good" } }
    )
  )
})

describe("names that are wrong", () => {
  it.live("are not found", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        for (const model of ["nobody", "nobody/good", "auto", "", "first/", "/good", "constructor", "toString"]) {
          const { error, status } = yield* refused(stage, chat(model))
          assert.strictEqual(status, 404, model)
          assert.strictEqual(error.code, "model_not_found", model)
        }
        assert.strictEqual((yield* refused(stage, chat("first/a b"))).status, 400)
        assert.strictEqual((yield* refused(stage, chat("first/good", { fallbacks: ["nobody/x"] }))).status, 404)
      })
    )
  )

  it.live("of paths and methods are refused", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const paths = [
          "/",
          "/v1",
          "/v1/chat/completions/../../admin/config",
          "//v1/models",
          "/v1/chat%2fcompletions",
          "/V1/models"
        ]
        for (const path of paths) {
          const answer = yield* promised(() =>
            raw(stage, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
          )
          assert.match(answer, /^HTTP\/1\.1 404 /, path)
        }
        const bad = yield* promised(() =>
          raw(stage, `GET /v1/models/%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
        )
        assert.match(bad, /^HTTP\/1\.1 404 /)
        const wrong = yield* promised(() => fetch(url(stage)))
        assert.strictEqual(wrong.status, 405)
        assert.strictEqual(wrong.headers.get("allow"), "POST")
        yield* healthy(stage)
      })
    )
  )

  it.live("of headers are refused", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        for (const [name, value] of [
          ["x-breakwater-timeout", "soon"],
          ["x-breakwater-strict", "maybe"],
          ["x-breakwater-cache", "always"],
          ["x-breakwater-stream-policy", "hope"],
          ["x-breakwater-priority", "king"]
        ] as const) {
          const { error, status } = yield* refused(stage, chat("first/good"), { [name]: value })
          assert.strictEqual(status, 400)
          assert.strictEqual(error.param, name)
        }
      })
    )
  )
})

describe("connections that are wrong", () => {
  it.live("with two lengths, or a length and chunks, are refused", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        for (const headers of [
          "content-length: 5\r\ncontent-length: 6\r\n",
          "content-length: 5\r\ntransfer-encoding: chunked\r\n",
          "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
          "content-length: -1\r\n",
          "content-length : 5\r\n"
        ]) {
          const answer = yield* promised(() =>
            raw(stage, `${head}${headers}\r\n{"a":1}GET /admin/config HTTP/1.1\r\nhost: x\r\n\r\n`)
          )
          assert.match(answer, /^HTTP\/1\.1 400 /, headers)
          assert.notInclude(answer, "providers")
        }
        assert.match(yield* promised(() => raw(stage, "NONSENSE\r\n\r\n")), /^HTTP\/1\.1 400 /)
        yield* healthy(stage)
      })
    )
  )

  it.live("with headers that are too large are refused with 431", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const answer = yield* promised(() =>
          raw(stage, `GET /health HTTP/1.1\r\nhost: x\r\nx-padding: ${"x".repeat(40_000)}\r\n\r\n`)
        )
        assert.match(answer, /^HTTP\/1\.1 431 /)
        assert.include(answer, "headers_too_large")
        yield* healthy(stage)
      })
    )
  )

  it.live(
    "that never finish their request are ended with 408",
    () =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            const slow = yield* promised(() => raw(stage, `${head}content-length: 100\r\n\r\n{"a":`, 5_000))
            assert.match(slow, /^HTTP\/1\.1 408 /)
            assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
            yield* healthy(stage)
          }),
        { limits: { requestTimeout: "500ms" } }
      ),
    15_000
  )

  it.live("that are left in the middle of a body leave nothing behind", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        for (let i = 0; i < 20; i++) yield* promised(() => raw(stage, `${head}content-length: 100\r\n\r\n{"a":`, 30))
        assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
        assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.connections() === 0)))
        yield* healthy(stage)
      })
    )
  )

  it.live(
    "whose client stops reading hold up the provider, and are then cut off with its call",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const endless = yield* endlessUpstream
          yield* onStage(
            (stage) =>
              Effect.gen(function* () {
                const body = JSON.stringify(chat("endless/any", { stream: true }))
                const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                const socket = Net.connect(stage.gateway.port, "127.0.0.1")
                socket.on("error", () => {})
                socket.pause()
                socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`)
                // Nobody reads: once the buffers on the way are full, which takes a busy machine its time, nothing more is
                // taken from the provider.
                let grown = Infinity
                while (grown > 0 || endless.written() === 0) {
                  const before = endless.written()
                  yield* Effect.sleep("200 millis")
                  grown = endless.written() - before
                  assert.isBelow(endless.written(), 40_000_000)
                }
                assert.isAbove(endless.written(), 100_000)
                assert.strictEqual(stage.gateway.inFlight(), 1)
                yield* Effect.sleep("1 second")
                assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
                assert.isTrue(yield* eventually(Effect.sync(() => endless.open() === 0)))
                socket.destroy()
                yield* healthy(stage)
              }),
            (first) => ({
              limits: { writeTimeout: "1s" },
              defaults: {},
              providers: {
                first: { type: "openai-compatible", baseUrl: `${first}/v1` },
                endless: { type: "openai-compatible", baseUrl: endless.url }
              }
            })
          )
        })
      ),
    20_000
  )
})

/** A server that answers without end, as fast as it is read. */
const endlessUpstream = Effect.acquireRelease(
  promised(
    () =>
      new Promise<{ url: string; written: () => number; open: () => number; server: Http.Server }>((resolve) => {
        let written = 0
        let open = 0
        const event = `data: ${JSON.stringify({ id: "x", model: "any", choices: [{ index: 0, delta: { content: "x".repeat(60_000) } }] })}\n\n`
        const server = Http.createServer((_, res) => {
          open++
          res.on("close", () => open--)
          res.writeHead(200, { "content-type": "text/event-stream" })
          const more = () => {
            while (!res.destroyed) {
              written += event.length
              if (!res.write(event)) break
            }
          }
          res.on("drain", more)
          more()
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as Net.AddressInfo
          resolve({ url: `http://127.0.0.1:${port}/v1`, written: () => written, open: () => open, server })
        })
      })
  ),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
)
