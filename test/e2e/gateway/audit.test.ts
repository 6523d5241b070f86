/** The audit log of a gateway: who asked what, and who changed what by hand, without what was asked. */
import { ApiKeys, Gateway, KeysFile } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startPostgres } from "../../support/postgres.ts"
import { chat, configOf, eventually, type Json, onStage, post, promised, type Stage } from "./support.ts"

const [alice, root] = ["bw_alice", "bw_root"] as const
const get = (stage: Stage, path: string) =>
  promised(async () => {
    const response = await fetch(`${stage.url}${path}`, { headers: { authorization: `Bearer ${root}` } })
    return { status: response.status, body: (await response.json()) as Json }
  })

const auth = {
  keys: [
    { id: "alice", hash: ApiKeys.hashOf(alice), tenant: "acme", user: "ada" },
    { id: "root", hash: ApiKeys.hashOf(root), scopes: ["admin"] }
  ]
}

describe("the audit log", () => {
  it.live("has who asked whom and what came of it, over a reload, sealed and verified", () => {
    const folder = mkdtempSync(join(tmpdir(), "breakwater-audited-"))
    const file = join(folder, "audit.log")
    const audit = { file, keys: `k1:${Buffer.alloc(32, 7).toString("base64")}`, required: true }
    return onStage(
      (stage) =>
        Effect.gen(function* () {
          const ask = (model: string) =>
            Effect.flatMap(
              post(`${stage.url}/v1/chat/completions`, chat(model), { authorization: `Bearer ${alice}` }),
              (response) => promised(() => response.text())
            )
          yield* ask("first/good")
          yield* ask("first/error-500")
          yield* post(
            `${stage.url}/admin/breakers`,
            { key: "first/good", action: "force-open" },
            { authorization: `Bearer ${root}` }
          )
          const providers = { first: { type: "openai-compatible", baseUrl: `${stage.first.url}/v1` } }
          yield* stage.gateway.reload({ providers, auth, audit })
          yield* ask("first/good")
          const { body, status } = yield* get(stage, "/admin/audit?limit=50")
          assert.strictEqual(status, 200)
          assert.isTrue(body["verified"])
          const entries = body["entries"] as ReadonlyArray<Json>
          const requests = entries.filter(({ actor }) => actor?.key === "alice")
          assert.strictEqual(requests.length, 3)
          assert.deepStrictEqual(
            requests.map(({ outcome }) => outcome as string),
            // What is held by hand is held over the reload.
            ["failure", "failure", "success"]
          )
          assert.deepInclude(requests[0]!["actor"], { tenant: "acme", user: "ada" })
          assert.match(requests[2]!["promptHash"], /^[\w-]{43}$/)
          const byHand = entries.find(({ action }) => action === "circuit-changed-by-hand")!
          assert.deepInclude(byHand, { targets: ["first/good"], details: "force-open" })
          assert.strictEqual(byHand["actor"].key, "root")
          assert.strictEqual(entries.filter(({ seq }) => seq === 1).length, 1)
          const failed = yield* get(stage, "/admin/audit?outcome=failure&key=alice")
          assert.strictEqual((failed.body["entries"] as ReadonlyArray<Json>).length, 2)
          for (const wrong of ["?limit=0", "?before=x", "?outcome=perhaps"]) {
            assert.strictEqual((yield* get(stage, `/admin/audit${wrong}`)).status, 400, wrong)
          }
          const text = readFileSync(file, "utf8")
          for (const secret of ["harbour", "alice", "first/good"]) assert.notInclude(text, secret)
          const config = JSON.stringify((yield* get(stage, "/admin/config")).body)
          assert.notInclude(config, audit.keys.slice(3))
          assert.include(config, '"id":"alice"')
        }),
      { auth, audit, defaults: { retries: 0 } }
    ).pipe(Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true, force: true }))))
  })

  it.live("has every change of the configuration and of its keys, and none of their content", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-audited-"))),
        (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
      )
      const [file, keysFile] = [join(folder, "gateway.json"), join(folder, "keys.json")]
      const upstream = yield* Upstream.make()
      const config = (more: object = {}) =>
        JSON.stringify(
          configOf(upstream.url, upstream.url, {
            auth: { keys: [auth.keys[1]], keysFile: "keys.json" },
            audit: { file: "audit.log", keys: `k1:${Buffer.alloc(32, 7).toString("base64")}` },
            ...more
          })
        )
      const events: Array<Gateway.ReloadEvent> = []
      const told = (n: number) =>
        Effect.repeat(eventually(Effect.sync(() => events.length >= n)), { until: (found) => found, times: 5 })
      writeFileSync(file, config())
      writeFileSync(keysFile, '{"keys":[]}')
      const gateway = yield* Gateway.fromFile(file, { onReload: (event) => events.push(event) })
      yield* KeysFile.create(keysFile, { id: "bob" })
      yield* told(1)
      yield* KeysFile.create(keysFile, { id: "bob", overlapMs: 60_000 })
      yield* told(2)
      yield* KeysFile.revoke(keysFile, "bob")
      yield* told(3)
      const changed = config({ aliases: { fast: "first/good" } })
      writeFileSync(file, changed)
      yield* told(4)
      writeFileSync(file, config({ aliases: { fast: 5 }, providers: {} }))
      yield* told(5)
      const { entries } = yield* promised(async () => {
        const response = await fetch(`${gateway.url}/admin/audit`, { headers: { authorization: `Bearer ${root}` } })
        return (await response.json()) as { readonly entries: ReadonlyArray<Json> }
      })
      const said = entries.map(({ action, outcome, targets }) =>
        [action, ...((targets as ReadonlyArray<string> | undefined) ?? []), outcome].join(" ")
      )
      assert.deepStrictEqual(
        said.reverse().filter((each) => !each.startsWith("audit-")),
        [
          "configuration-changed success",
          "key-created bob success",
          "configuration-changed success",
          "key-changed bob success",
          "key-created bob success",
          "configuration-changed success",
          "key-revoked bob success",
          "key-revoked bob success",
          "configuration-changed success",
          "configuration-refused refused"
        ]
      )
      const hash = createHash("sha256").update(changed).digest("hex")
      assert.deepStrictEqual(entries.find(({ action }) => action === "configuration-changed")!["details"], {
        sha256: hash
      })
      const refused = entries.find(({ action }) => action === "configuration-refused")!["details"] as Json
      assert.include(refused["fields"], "aliases.fast")
    }).pipe(Effect.scoped)
  )

  it.live(
    "of several gateways is one in PostgreSQL",
    (context) =>
      Effect.gen(function* () {
        const postgres = yield* Effect.acquireRelease(promised(startPostgres), (server) =>
          typeof server === "string" ? Effect.void : Effect.promise(() => server.stop().catch(() => undefined))
        )
        if (typeof postgres === "string") return context.skip(postgres)
        const upstream = yield* Upstream.make()
        const config = configOf(upstream.url, upstream.url, {
          auth,
          stores: { postgres: yield* promised(() => postgres.database()) },
          audit: { postgres: true, keys: `k1:${Buffer.alloc(32, 7).toString("base64")}`, required: true }
        })
        const gateways = [yield* Gateway.make(config), yield* Gateway.make(config)]
        for (let i = 0; i < 6; i++) {
          const { url } = gateways[i % 2]!
          const response = yield* post(`${url}/v1/chat/completions`, chat("first/good"), {
            authorization: `Bearer ${alice}`
          })
          assert.strictEqual(response.status, 200)
          yield* promised(() => response.text())
        }
        yield* gateways[0]!.reload(config)
        const seen = yield* Effect.forEach(gateways, ({ url }) =>
          promised(async () => {
            const response = await fetch(`${url}/admin/audit`, { headers: { authorization: `Bearer ${root}` } })
            return (await response.json()) as Json
          })
        )
        // The first answer's log may have been written by the other one meanwhile: the second has everything.
        const entries = seen[1]!["entries"] as ReadonlyArray<Json>
        assert.isTrue(seen[1]!["verified"])
        assert.strictEqual(entries.filter(({ actor }) => actor?.key === "alice").length, 6)
        assert.strictEqual(entries.filter(({ action }) => action === "configuration-changed").length, 1)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("is not there without the field", () =>
    onStage((stage) => Effect.map(get(stage, "/admin/audit"), ({ status }) => assert.strictEqual(status, 404)), {
      auth
    })
  )
})
