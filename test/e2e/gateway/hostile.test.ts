/** Whoever means harm: by another door, by words of other wires, by leaving at the worst moment, by asking for secrets. */
import { ApiKeys, Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Net from "node:net"
import { createHmac } from "node:crypto"
import { chat, configOf, eventually, type Json, onStage, post, promised, type Stage } from "./support.ts"

/** Sends bytes as they are, and answers what came until the server, or the time, ends it. */
const raw = (port: number, text: string | Buffer, ms = 500) =>
  promised(
    () =>
      new Promise<string>((resolve) => {
        let out = ""
        const socket = Net.connect(port, "127.0.0.1", () => socket.write(text))
        const done = () => {
          clearTimeout(timer)
          socket.destroy()
          resolve(out)
        }
        const timer = setTimeout(done, ms)
        socket.on("data", (data) => (out += data.toString("latin1")))
        socket.on("error", done)
        socket.on("close", done)
      })
  )

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

const get = (path: string, headers: string, host = "127.0.0.1:8787", version = "1.1") =>
  `GET ${path} HTTP/${version}\r\nhost: ${host}\r\n${headers}connection: close\r\n\r\n`

const asking = (body: object): string => {
  const text = JSON.stringify(body)
  return (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" +
    `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
  )
}

describe("administration without keys", () => {
  it.live("is for this machine and no page or proxy on it, whatever they call it", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const { port } = stage.gateway
        for (const host of ["127.0.0.1:8787", "localhost", "LOCALHOST:1", "[::1]:8787", "127.9.9.9"]) {
          assert.strictEqual(statusOf(yield* raw(port, get("/admin/config", "", host))), 200, host)
        }
        const refused: ReadonlyArray<readonly [headers: string, host?: string, version?: string]> = [
          ["", "evil.example"],
          ["", "127.0.0.1.evil.example"],
          ["", "localhost.evil.example:80"],
          ["", "[::1].evil.example"],
          ["x-forwarded-for: 8.8.8.8\r\n"],
          ["x-forwarded-host: a\r\n"],
          ["X-FORWARDED-PROTO: https\r\n"],
          ["forwarded: for=8.8.8.8\r\n"],
          ["x-real-ip: 8.8.8.8\r\n"],
          ["via: 1.1 proxy\r\n"],
          ["cf-connecting-ip: 8.8.8.8\r\n"],
          ["origin: http://evil.example\r\n"],
          ["origin: null\r\n"],
          ["sec-fetch-site: cross-site\r\n"],
          ["sec-fetch-site: same-site\r\n"],
          // Nginx tells nothing of itself unless it is told to, but for this.
          ["", "127.0.0.1:8787", "1.0"]
        ]
        for (const [headers, host, version] of refused) {
          const answer = yield* raw(port, get("/admin/config", headers, host, version))
          assert.strictEqual(statusOf(answer), 403, `${headers} ${host} ${version}`)
          assert.notInclude(answer, "providers")
        }
      })
    )
  )

  it.live("has no other door: paths are compared as they are", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const { port } = stage.gateway
          const doors = [
            "//admin/config",
            "/admin//config",
            "/./admin/config",
            "/v1/../admin/config",
            "/%61dmin/config",
            "/admin%2fconfig",
            "/ADMIN/config",
            "/admin/config;x",
            "/v1/models/../../admin/config",
            "http://127.0.0.1/admin/config"
          ]
          for (const door of doors) {
            const answer = yield* raw(port, get(door, ""))
            assert.include([401, 404], statusOf(answer), door)
            assert.notInclude(answer, "baseUrl")
          }
          // Every path and method of administration, without a key and with one that may not.
          const description = yield* promised(
            async () => (await (await fetch(`${stage.url}/openapi.json`)).json()) as Json
          )
          const paths = Object.keys(description["paths"] as object).filter((path) => path.startsWith("/admin/"))
          assert.isAbove(paths.length, 8)
          for (const path of paths) {
            for (const method of ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]) {
              for (const key of [undefined, "bw_small"]) {
                const status = yield* promised(async () => {
                  const response = await fetch(`${stage.url}${path.replace("{id}", "x")}`, {
                    method,
                    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } })
                  })
                  await response.arrayBuffer()
                  return response.status
                })
                assert.include(key === undefined ? [401, 405] : [403, 405], status, `${method} ${path} ${key}`)
              }
            }
          }
        }),
      {
        auth: {
          keys: [{ id: "small", hash: ApiKeys.hashOf("bw_small"), scopes: ["chat", "embeddings", "models", "metrics"] }]
        }
      }
    )
  )
})

describe("a client that leaves", () => {
  it.live("with requests in a row takes all of them with it", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const silent = chat("first/silence")
          const socket = Net.connect(stage.gateway.port, "127.0.0.1")
          // The second and the third have an answer that waits behind the first one's, and hear nothing of the socket.
          socket.write(asking(silent) + asking({ ...silent, stream: true }) + asking(chat("second/silence")))
          socket.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
          assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 4)))
          assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 2)))
          socket.destroy()
          assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
          for (const upstream of [stage.first, stage.second]) {
            assert.isTrue(yield* eventually(Effect.map(upstream.stats, ({ inFlight }) => inFlight === 0)))
          }
          assert.strictEqual((yield* stage.first.stats).abortedByClient, 2)
        }),
      { defaults: { timeouts: { firstToken: "20s", attempt: "20s", total: "20s" }, retries: 0 } }
    )
  )

  it.live(
    "at any moment leaves nothing under way, no socket at the provider, and a budget that is settled",
    () =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            const models = [
              "first/good",
              "first/cut-stream",
              "first/error-500-once",
              "first/silence",
              "first/rate-limit"
            ]
            for (let i = 0; i < 60; i++) {
              const controller = new AbortController()
              const body = chat(models[i % models.length]!, {
                stream: i % 2 === 0,
                max_tokens: 60,
                fallbacks: ["second/good"]
              })
              const left = fetch(`${stage.url}/v1/chat/completions`, {
                method: "POST",
                signal: controller.signal,
                headers: { "content-type": "application/json" },
                body: JSON.stringify(body)
              })
                .then((response) => response.text())
                .catch(() => "")
              yield* Effect.sleep(`${(i * 7) % 113} millis`)
              controller.abort()
              yield* Effect.promise(() => left)
            }
            assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
            for (const upstream of [stage.first, stage.second]) {
              assert.isTrue(yield* eventually(Effect.map(upstream.stats, ({ inFlight }) => inFlight === 0)))
            }
            const standing = promised(async () => {
              const response = await fetch(`${stage.url}/admin/snapshot`)
              return (await response.json()) as Json
            })
            const settled = Effect.map(standing, ({ bulkheads, budgets }) => {
              const reserved = (budgets as ReadonlyArray<Json>).map(({ reservedNanos }) => reservedNanos as string)
              const active = (bulkheads as ReadonlyArray<Json>).map((each) =>
                Number(each["active"] ?? each["inUse"] ?? 0)
              )
              return reserved.every((nanos) => nanos === "0") && active.every((n) => n === 0)
            })
            // Accounts are looked up once a second.
            assert.isTrue(
              yield* Effect.repeat(eventually(settled), { until: (found) => found, times: 3 }),
              "a budget or a slot is still held"
            )
          }),
        {
          prices: { overrides: { "second/good": { input: "1", output: "1" } } },
          budgets: [{ scope: "global", period: "day", limit: "1000" }],
          budgetPolicy: { unpriced: "allow" },
          defaults: {
            retries: 1,
            backoff: { base: "5ms", cap: "20ms" },
            timeouts: { firstToken: "60ms", idle: "60ms", attempt: "3s", total: "20s" },
            bulkhead: { limit: 50 }
          }
        },
        { wordDelay: 3 }
      ),
    30_000
  )
})

describe("words of other wires", () => {
  const cheap = {
    prices: {
      overrides: { "first/good": { input: "1", output: "1000" }, "claude/good": { input: "1", output: "1000" } }
    },
    budgets: [{ scope: "global", period: "day", limit: "10" }],
    budgetPolicy: { unpriced: "allow" }
  }

  it.live("do not go over what was reserved", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const messages = { ...chat("first/good"), max_tokens: 5 }
          const over: ReadonlyArray<readonly [path: string, more: object, param: string]> = [
            ["/v1/messages", { max_completion_tokens: 100_000 }, "max_completion_tokens"],
            ["/v1/messages", { n: 8 }, "n"],
            ["/v1/messages", { stream_options: { include_usage: false } }, "stream_options"],
            ["/v1/messages", { best_of: 8 }, "best_of"],
            ["/v1/chat/completions", { max_output_tokens: 100_000 }, "max_output_tokens"],
            [
              "/v1/chat/completions",
              { generationConfig: { maxOutputTokens: 9_999 } },
              "generationConfig.maxOutputTokens"
            ],
            ["/v1/chat/completions", { generation_config: { candidateCount: 8 } }, "generation_config.candidateCount"],
            ["/v1/chat/completions", { contents: [] }, "contents"],
            ["/v1/chat/completions", { system: "Be somebody else." }, "system"],
            ["/v1/chat/completions", { n: 2 }, "n"],
            ["/v1/chat/completions", { models: ["elsewhere/expensive"] }, "models"]
          ]
          for (const [path, more, param] of over) {
            const response = yield* post(`${stage.url}${path}`, { ...messages, ...more })
            const text = yield* promised(() => response.text())
            assert.strictEqual(response.status, 400, `${param}: ${text}`)
            assert.include(text, param)
          }
          assert.strictEqual((yield* stage.first.stats).total, 0)
        }),
      cheap
    )
  )

  it.live("do not lead around the models of a key", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const headers = { authorization: "Bearer bw_bound" }
          const response = yield* post(
            `${stage.url}/v1/chat/completions`,
            chat("first/good", { models: ["first/other"] }),
            headers
          )
          assert.strictEqual(response.status, 400)
          assert.strictEqual((yield* stage.first.stats).total, 0)
        }),
      { auth: { keys: [{ id: "bound", hash: ApiKeys.hashOf("bw_bound"), models: ["first/good"] }] } }
    )
  )

  it.live("and numbers that are none neither fill a window nor pass it", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const ask = (max: string) =>
            post(
              `${stage.url}/v1/chat/completions`,
              `{"model":"first/good","max_tokens":${max},"messages":[{"role":"user","content":"Hi"}]}`
            )
          for (const wrong of ["-900", "-90000000", "1.5", "1e999", "0"]) {
            const response = yield* ask(wrong)
            const text = yield* promised(() => response.text())
            assert.strictEqual(response.status, 400, `${wrong}: ${text}`)
            assert.include(text, "max_tokens")
          }
          const response = yield* ask("1000")
          assert.strictEqual(response.status, 200)
          assert.isBelow(Number(response.headers.get("x-ratelimit-remaining-tokens")), 5_000)
        }),
      { tiers: { t: { tokens: [{ limit: 5_000, window: "1h" }] } } }
    )
  )
})

describe("a client that has time", () => {
  it.live("does not wait longer than the configuration lets it", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const began = performance.now()
          const response = yield* post(`${stage.url}/v1/chat/completions`, chat("first/silence"), {
            "x-breakwater-timeout": "24h"
          })
          yield* promised(() => response.text())
          assert.strictEqual(response.status, 504)
          assert.isBelow(performance.now() - began, 10_000)
        }),
      { defaults: { retries: 0, timeouts: { firstToken: "20s", attempt: "20s", total: "300ms" } } }
    )
  )
})

describe("secrets", () => {
  const secret = "sk-live-THE-SECRET-0123456789"

  it.live("are in no message about a configuration that is wrong", () =>
    Effect.gen(function* () {
      const p = { type: "openai-compatible", baseUrl: "http://127.0.0.1:9/v1" }
      const wrong: ReadonlyArray<object> = [
        { providers: { p: { ...p, apiKey: { evn: secret } } } },
        { providers: { p: { ...p, apikey: secret } } },
        { providers: { p: { ...p, baseUrl: `ht!tp://u:${secret}@host` } } },
        { providers: { p: { ...p, baseUrl: `https://u:${secret}@host` } } },
        { providers: { p }, stores: { redis: secret } },
        { providers: { p }, stores: { redis: `redis://u:${secret}@bad host/x` } },
        { providers: { p }, stores: { postgres: secret } },
        { providers: { p }, audit: { file: "/nowhere", keys: `a:${secret}` } },
        { providers: { p }, auth: { jwt: { algorithms: ["RS256"], jwksUrl: `no url ${secret}` } } },
        { providers: { p }, auth: { jwt: { algorithms: ["HS256"], secret: secret.slice(0, 20) } } }
      ]
      for (const config of wrong) {
        const error = yield* Effect.flip(Effect.scoped(Gateway.make(config)))
        assert.notInclude(JSON.stringify(error), secret.slice(0, 16), JSON.stringify(config))
        assert.notInclude(String(error.message), secret.slice(0, 16), JSON.stringify(config))
      }
    })
  )

  it.live("of addresses are not shown to those who may look at the configuration", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const text = yield* promised(async () => (await fetch(`${stage.url}/admin/config`)).text()).pipe(
            Effect.zipWith(
              promised(async () => {
                const response = await fetch(`${stage.url}/admin/config`, {
                  headers: { authorization: "Bearer bw_root" }
                })
                return response.text()
              }),
              (_, shown) => shown
            )
          )
          assert.include(text, "keys.example")
          assert.notInclude(text, secret)
        }),
      {
        auth: {
          keys: [{ id: "root", hash: ApiKeys.hashOf("bw_root"), scopes: ["admin"] }],
          jwt: { algorithms: ["RS256"], jwksUrl: `https://u:${secret}@keys.example/jwks?token=${secret}` }
        }
      }
    )
  )
})

describe("callers", () => {
  const secret = "a secret of thirty-two bytes, or more"
  const token = (claims: object, header: object = { alg: "HS256" }): string => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const text = `${part(header)}.${part({ exp: Math.floor(Date.now() / 1_000) + 60, ...claims })}`
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`
  }
  const ask = (stage: Stage, credential: string) =>
    Effect.flatMap(
      post(`${stage.url}/v1/chat/completions`, chat("first/good"), { authorization: `Bearer ${credential}` }),
      (response) => promised(async () => ({ status: response.status, text: await response.text() }))
    )

  it.live("whose name has spaces, or any letters, are let in as they are", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          for (const credential of ["bw_ada", token({ sub: "Zoë Müller <zoe@example.org>", tenant: "a" })]) {
            const { status, text } = yield* ask(stage, credential)
            assert.strictEqual(status, 200, text)
          }
        }),
      {
        auth: {
          keys: [{ id: "ada", hash: ApiKeys.hashOf("bw_ada"), user: "Ada Lovelace", project: "Sea & Land" }],
          jwt: { algorithms: ["HS256"], secret }
        }
      }
    )
  )

  it.live("of two tenants are not one because of how they are written", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(stage, token({ tenant: "a:b", sub: "c" }))).status, 200)
          assert.strictEqual((yield* ask(stage, token({ tenant: "a:b", sub: "c" }))).status, 429)
          assert.strictEqual((yield* ask(stage, token({ tenant: "a", sub: "b:c" }))).status, 200)
        }),
      { auth: { jwt: { algorithms: ["HS256"], secret } }, tiers: { t: [{ limit: 1, window: "1h" }] } }
    )
  )

  it.live("with tokens that ask for what is not known are refused", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const refused = [
            token({ sub: "a" }, { alg: "HS256", crit: ["x"], x: 1 }),
            token({ sub: "a" }, { alg: "HS256", crit: ["b64"], b64: false }),
            token({ sub: "a" }, { alg: "none" }),
            token({ sub: "a" }, { alg: "hs256" }),
            token({ sub: "a", nbf: Math.floor(Date.now() / 1_000) + 600 }),
            token({ sub: "a", exp: "never" }),
            token({ sub: "a", exp: -1 }),
            `${token({ sub: "a" })}x`,
            `${token({ sub: "a".repeat(20_000) })}`,
            "..",
            "a.b.c"
          ]
          for (const credential of refused) {
            const { status } = yield* ask(stage, credential)
            // The header with the longest one is more than a server reads.
            assert.include([401, 431], status, credential.slice(0, 60))
          }
          assert.strictEqual(
            (yield* ask(stage, token({ sub: "a" }, { alg: "HS256", kid: "../../etc/passwd" }))).status,
            200
          )
        }),
      { auth: { jwt: { algorithms: ["HS256"], secret } } }
    )
  )

  it.live("hear that the keys of their issuer cannot be read, and not that their token is wrong", () =>
    Effect.gen(function* () {
      const issuer = yield* Effect.acquireRelease(
        promised(
          () =>
            new Promise<ReturnType<typeof createServer>>((resolve) => {
              const server = createServer((_, response) => response.writeHead(500).end("no"))
              server.listen(0, "127.0.0.1", () => resolve(server))
            })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = issuer.address() as AddressInfo
      const upstream = yield* Upstream.make()
      const gateway = yield* Gateway.make(
        configOf(upstream.url, upstream.url, {
          auth: { jwt: { algorithms: ["RS256"], jwksUrl: `http://127.0.0.1:${port}/jwks` } }
        })
      )
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
      const unknown = `${part({ alg: "RS256", kid: "k" })}.${part({ exp: 9_999_999_999 })}.c2lnbmF0dXJl`
      const response = yield* post(`${gateway.url}/v1/chat/completions`, chat("first/good"), {
        authorization: `Bearer ${unknown}`
      })
      assert.strictEqual(response.status, 503)
      assert.isNotNull(response.headers.get("retry-after"))
    }).pipe(Effect.scoped)
  )
})
