/** The audit log of a gateway: who asked what, and who changed what by hand, without what was asked. */
import { ApiKeys } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chat, type Json, onStage, post, promised, type Stage } from "./support.ts"

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

  it.live("is not there without the field", () =>
    onStage((stage) => Effect.map(get(stage, "/admin/audit"), ({ status }) => assert.strictEqual(status, 404)), {
      auth
    })
  )
})
