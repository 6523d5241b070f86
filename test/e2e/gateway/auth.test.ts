/** Keys, tokens, permissions and tiers, over real HTTP. */
import { ApiKeys } from "@breakwater/gateway"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { base64url, exportJWK, generateKeyPair, SignJWT } from "jose"
import { assert, describe, it } from "@effect/vitest"
import { chat, onStage, post, promised, type Stage } from "./support.ts"

const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` })
const ask = (stage: Stage, credential: string | undefined, model = "first/good", path = "/v1/chat/completions") =>
  Effect.gen(function* () {
    const response = yield* post(`${stage.url}${path}`, chat(model), credential === undefined ? {} : bearer(credential))
    const text = yield* promised(() => response.text())
    return { status: response.status, headers: response.headers, text }
  })
const get = (url: string, credential: string) => promised(() => fetch(url, { headers: bearer(credential) }))

const key = (id: string, secret: string, more: object = {}) => ({ id, hash: ApiKeys.hashOf(secret), ...more })

const [alice, bob, admin, old, gone] = ["bw_alice", "bw_bob", "bw_admin", "bw_old", "bw_gone"] as const

const auth = {
  keys: [
    key("alice", alice, { tenant: "acme", tier: "tiny" }),
    key("bob", bob, { models: ["second/*", "fast"], scopes: ["chat", "models"] }),
    key("admin", admin, { scopes: ["admin", "metrics"] }),
    key("rotating", old, { expires: "2020-01-01T00:00:00Z" }),
    key("gone", gone, { revoked: true })
  ]
}

const more = {
  auth,
  aliases: { fast: "second/good", slow: "first/good" },
  tiers: { tiny: [{ limit: 2, window: "1m" }], large: [{ limit: 10_000, window: "1m" }] },
  defaultTier: "large"
}

describe("API keys", () => {
  it.live("open the door, as a bearer token or as x-api-key", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(stage, alice)).status, 200)
          const anthropic = yield* post(`${stage.url}/v1/messages`, chat("first/good", { max_tokens: 10 }), {
            "x-api-key": alice
          })
          assert.strictEqual(anthropic.status, 200)
        }),
      more
    )
  )

  it.live("that are missing, wrong by a character, expired or revoked are 401", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          for (const credential of [undefined, `${alice.slice(0, -1)}f`, "", old, gone, "x".repeat(10_000)]) {
            const { headers, status, text } = yield* ask(stage, credential)
            assert.strictEqual(status, 401, String(credential).slice(0, 20))
            assert.match(headers.get("www-authenticate")!, /^Bearer /)
            assert.strictEqual((JSON.parse(text) as { error: { code: string } }).error.code, "invalid_api_key")
          }
          const anthropic = yield* post(`${stage.url}/v1/messages`, chat("first/good"))
          assert.strictEqual(anthropic.status, 401)
          const body = yield* promised(() => anthropic.json() as Promise<{ error: { type: string } }>)
          assert.strictEqual(body.error.type, "authentication_error")
          assert.strictEqual((yield* stage.first.stats).total, 0)
        }),
      more
    )
  )

  it.live("do only what their scopes say", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(stage, admin)).status, 403)
          assert.strictEqual((yield* ask(stage, bob, "second/good", "/v1/embeddings")).status, 403)
          assert.strictEqual((yield* get(`${stage.url}/admin/snapshot`, alice)).status, 403)
          assert.strictEqual((yield* get(`${stage.url}/metrics`, alice)).status, 403)
          assert.strictEqual((yield* get(`${stage.url}/metrics`, admin)).status, 200)
          assert.strictEqual((yield* promised(() => fetch(`${stage.url}/admin/config`))).status, 401)
        }),
      more
    )
  )

  it.live("reach only their models, and hear of no others", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(stage, bob, "second/good")).status, 200)
          assert.strictEqual((yield* ask(stage, bob, "fast")).status, 200)
          const hidden = yield* ask(stage, bob, "first/good")
          const absent = yield* ask(stage, bob, "nobody/good")
          assert.strictEqual(hidden.status, 404)
          assert.strictEqual(hidden.text.replace("first/good", "X"), absent.text.replace("nobody/good", "X"))
          const list = yield* promised(
            async () =>
              (await fetch(`${stage.url}/v1/models`, { headers: bearer(bob) })).json() as Promise<{
                data: ReadonlyArray<{ id: string }>
              }>
          )
          assert.deepStrictEqual(
            list.data.map(({ id }) => id),
            ["fast"]
          )
        }),
      more
    )
  )

  it.live("are held to the limits of their tier, each for itself", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(stage, alice)).status, 200)
          const second = yield* ask(stage, alice)
          assert.strictEqual(second.headers.get("x-ratelimit-remaining-requests"), "0")
          const third = yield* ask(stage, alice)
          assert.strictEqual(third.status, 429)
          const wait = Number(third.headers.get("retry-after"))
          assert.isTrue(wait >= 1 && wait <= 60, String(wait))
          assert.strictEqual((yield* ask(stage, bob, "fast")).status, 200)
        }),
      more
    )
  )
})

describe("administration", () => {
  it.live("shows what is in force without its secrets", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const text = yield* promised(async () =>
            (await fetch(`${stage.url}/admin/config`, { headers: bearer(admin) })).text()
          )
          assert.notInclude(text, "upstream-key")
          assert.notInclude(text, ApiKeys.hashOf(alice))
          assert.include(text, '"alice"')
          yield* ask(stage, alice)
          const snapshot = yield* promised(async () =>
            (await fetch(`${stage.url}/admin/snapshot`, { headers: bearer(admin) })).json()
          )
          assert.deepNestedInclude(snapshot, { "breakers[0].key": "first/good", "breakers[0].state": "closed" })
        }),
      more
    )
  )

  it.live("holds and resets breakers", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const change = (action: string) =>
            post(`${stage.url}/admin/breakers`, { key: "second/good", action }, bearer(admin))
          assert.strictEqual((yield* change("force-open")).status, 200)
          assert.strictEqual((yield* ask(stage, bob, "fast")).status, 503)
          assert.strictEqual((yield* change("reset")).status, 200)
          assert.strictEqual((yield* ask(stage, bob, "fast")).status, 200)
          assert.strictEqual((yield* change("explode")).status, 400)
        }),
      more
    )
  )

  it.live("is open without keys, but only for whoever sits at the machine", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const status = (headers: Record<string, string>, path = "/admin/snapshot", method = "GET") =>
          promised(
            () =>
              new Promise<number>((resolve, reject) => {
                const asked = Http.request(`${stage.url}${path}`, { headers, method }, (res) => {
                  res.resume()
                  resolve(res.statusCode ?? 0)
                })
                asked.once("error", reject)
                asked.end(method === "POST" ? "{}" : undefined)
              })
          )
        assert.strictEqual(yield* status({}), 200)
        assert.strictEqual(yield* status({ origin: stage.url }), 200)
        assert.strictEqual(yield* status({ host: "localhost:1" }), 200)
        // A page of another site; a name that was pointed at this machine; a proxy on it.
        assert.strictEqual(yield* status({ origin: "https://evil.example" }), 403)
        assert.strictEqual(yield* status({ origin: "null" }), 403)
        assert.strictEqual(yield* status({ host: "evil.example" }), 403)
        assert.strictEqual(yield* status({ "x-forwarded-for": "10.0.0.1" }), 403)
        assert.strictEqual(yield* status({ origin: "https://evil.example" }, "/admin/breakers", "POST"), 403)
        assert.strictEqual(yield* status({}, "/admin/breakers", "POST"), 400)
      })
    )
  )
})

const now = () => Math.floor(Date.now() / 1_000)

describe("tokens", () => {
  const secret = "a-secret-of-at-least-thirty-two-bytes!"
  const jwt = { algorithms: ["HS256"], secret, audience: "gateway", issuer: "https://issuer.example", clockSkew: "1s" }
  const config = {
    auth: { jwt },
    tiers: { gold: [{ limit: 1, window: "1m" }], plain: [{ limit: 100, window: "1m" }] },
    defaultTier: "plain"
  }
  const token = (claims: Record<string, unknown> = {}, key = secret) =>
    promised(() =>
      new SignJWT({ sub: "u1", aud: "gateway", iss: "https://issuer.example", exp: now() + 60, ...claims })
        .setProtectedHeader({ alg: "HS256" })
        .sign(new TextEncoder().encode(key))
    )

  it.live("are accepted, and once more from memory", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const good = yield* token()
          assert.strictEqual((yield* ask(stage, good)).status, 200)
          assert.strictEqual((yield* ask(stage, good)).status, 200)
        }),
      config
    )
  )

  it.live("that are unsigned, foreign, expired, of the future or for somebody else are 401", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const part = (value: object) => base64url.encode(JSON.stringify(value))
          const payload = { sub: "u1", aud: "gateway", iss: "https://issuer.example", exp: now() + 60 }
          const good = yield* token()
          const [head, body] = good.split(".")
          const bad: ReadonlyArray<readonly [why: string, credential: string]> = [
            ["none", `${part({ alg: "none" })}.${part(payload)}.`],
            ["none with a signature", `${part({ alg: "none" })}.${part(payload)}.${good.split(".")[2]!}`],
            ["another key", yield* token({}, "another-secret-of-thirty-two-bytes!!!!")],
            ["expired", yield* token({ exp: now() - 60 })],
            ["without an end", yield* token({ exp: undefined })],
            ["of the future", yield* token({ nbf: now() + 600 })],
            ["another audience", yield* token({ aud: "other" })],
            ["another issuer", yield* token({ iss: "https://evil.example" })],
            ["a changed body", `${head!}.${part({ ...payload, sub: "root" })}.${good.split(".")[2]!}`],
            ["a cut signature", `${head!}.${body!}.`],
            [
              "another algorithm",
              yield* promised(() =>
                new SignJWT(payload)
                  .setProtectedHeader({ alg: "HS512" })
                  .sign(new TextEncoder().encode(secret.repeat(2)))
              )
            ],
            ["garbage", "a.b.c"]
          ]
          for (const [why, credential] of bad) {
            const { headers, status, text } = yield* ask(stage, credential)
            assert.strictEqual(status, 401, why)
            assert.match(headers.get("www-authenticate")!, /invalid_token/, why)
            assert.notInclude(text, "    at ")
          }
          assert.strictEqual((yield* stage.first.stats).total, 0)
        }),
      config
    )
  )

  it.live("bring their tier and their scopes", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const gold = yield* token({ tier: "gold" })
          assert.strictEqual((yield* ask(stage, gold)).status, 200)
          assert.strictEqual((yield* ask(stage, gold)).status, 429)
          const models = yield* token({ sub: "u2", scope: "models" })
          assert.strictEqual((yield* ask(stage, models)).status, 403)
          assert.strictEqual((yield* get(`${stage.url}/v1/models`, models)).status, 200)
        }),
      config
    )
  )

  it.live("are checked with the published keys of their issuer", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { privateKey, publicKey } = yield* promised(() => generateKeyPair("RS256"))
        const jwk = { ...(yield* promised(() => exportJWK(publicKey))), kid: "k1", alg: "RS256" }
        const server = yield* Effect.acquireRelease(
          promised(
            () =>
              new Promise<Http.Server>((resolve) => {
                const made = Http.createServer((_, res) => res.end(JSON.stringify({ keys: [jwk] })))
                made.listen(0, "127.0.0.1", () => resolve(made))
              })
          ),
          (made) => Effect.sync(() => made.close())
        )
        const { port } = server.address() as Net.AddressInfo
        const sign = (kid: string) =>
          promised(() =>
            new SignJWT({ sub: "u1", exp: now() + 60 }).setProtectedHeader({ alg: "RS256", kid }).sign(privateKey)
          )
        yield* onStage(
          (stage) =>
            Effect.gen(function* () {
              assert.strictEqual((yield* ask(stage, yield* sign("k1"))).status, 200)
              assert.strictEqual((yield* ask(stage, yield* sign("k2"))).status, 401)
              // The public key, used as the secret of a symmetric algorithm.
              const confused = yield* promised(() =>
                new SignJWT({ sub: "u1", exp: now() + 60 })
                  .setProtectedHeader({ alg: "HS256", kid: "k1" })
                  .sign(new TextEncoder().encode(JSON.stringify(jwk)))
              )
              assert.strictEqual((yield* ask(stage, confused)).status, 401)
            }),
          { auth: { jwt: { algorithms: ["RS256", "ES256"], jwksUrl: `http://127.0.0.1:${port}/jwks` } } }
        )
      })
    )
  )

  it.live("of elliptic curves are accepted, and a key that the issuer rotates in is read without a restart", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const pair = (kid: string) =>
          promised(async () => {
            const { privateKey, publicKey } = await generateKeyPair("ES256")
            return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" } }
          })
        const [old, next] = [yield* pair("k1"), yield* pair("k2")]
        let published: ReadonlyArray<object> = [old.jwk]
        let reads = 0
        const server = yield* Effect.acquireRelease(
          promised(
            () =>
              new Promise<Http.Server>((resolve) => {
                const made = Http.createServer((_, res) => {
                  reads++
                  res.end(JSON.stringify({ keys: published }))
                })
                made.listen(0, "127.0.0.1", () => resolve(made))
              })
          ),
          (made) => Effect.sync(() => made.close())
        )
        const { port } = server.address() as Net.AddressInfo
        const sign = ({ kid, privateKey }: typeof old, claims: object = {}) =>
          promised(() =>
            new SignJWT({ sub: "u1", exp: now() + 60, ...claims })
              .setProtectedHeader({ alg: "ES256", kid })
              .sign(privateKey)
          )
        yield* onStage(
          (stage) =>
            Effect.gen(function* () {
              assert.strictEqual((yield* ask(stage, yield* sign(old))).status, 200)
              // Signed by a key that is not published yet; however many come, the keys are not read for each.
              const early = yield* sign(next)
              for (let i = 0; i < 5; i++) assert.strictEqual((yield* ask(stage, early)).status, 401)
              assert.isAtMost(reads, 2)
              published = [old.jwk, next.jwk]
              yield* Effect.sleep("2100 millis")
              assert.strictEqual((yield* ask(stage, early)).status, 200)
              assert.strictEqual((yield* ask(stage, yield* sign(old, { jti: "other" }))).status, 200)
              // Signed by one key in the name of the other.
              const forged = yield* promised(() =>
                new SignJWT({ sub: "u1", exp: now() + 60 })
                  .setProtectedHeader({ alg: "ES256", kid: "k1" })
                  .sign(next.privateKey)
              )
              assert.strictEqual((yield* ask(stage, forged)).status, 401)
            }),
          { auth: { jwt: { algorithms: ["ES256"], jwksUrl: `http://127.0.0.1:${port}/jwks` } } }
        )
      })
    )
  )
})

describe("a key that is replaced", () => {
  it.live("goes on for the overlap, over a reload, and counts as the same key as its successor", () =>
    Effect.gen(function* () {
      const soon = new Date(Date.now() + 1_500).toISOString()
      const [before, after] = ["bw_before", "bw_after"]
      const tiers = { t: [{ limit: 3, window: "1h", algorithm: "fixed-window" }] }
      const first = { auth: { keys: [key("alice", before)] }, tiers }
      yield* onStage(
        (stage) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* ask(stage, before)).status, 200)
            const providers = { first: { type: "openai-compatible", baseUrl: `${stage.first.url}/v1` } }
            yield* stage.gateway.reload({
              providers,
              tiers,
              auth: { keys: [key("alice", before, { expires: soon }), key("alice", after)] }
            })
            assert.strictEqual((yield* ask(stage, before)).status, 200)
            const third = yield* ask(stage, after)
            assert.strictEqual(third.status, 200)
            assert.strictEqual(third.headers.get("x-ratelimit-remaining-requests"), "0")
            yield* Effect.sleep("1600 millis")
            assert.strictEqual((yield* ask(stage, before)).status, 401)
            assert.strictEqual((yield* ask(stage, after)).status, 429)
          }),
        first
      )
    })
  )
})
