/** The administration interface over real HTTP: what is shown is what happened. */
import { ApiKeys } from "@breakwater/gateway"
import { Summary } from "@breakwater/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chat, eventually, type Json, onStage, post, promised, type Stage } from "./support.ts"

const [alice, root] = ["bw_alice", "bw_root"] as const

const config = {
  auth: {
    keys: [
      { id: "alice", hash: ApiKeys.hashOf(alice), tier: "gold", user: "ada", project: "harbour", tenant: "acme" },
      { id: "root", hash: ApiKeys.hashOf(root), scopes: ["admin", "chat"] }
    ]
  },
  tiers: {
    free: [{ limit: 1_000, window: "1m" }],
    gold: {
      requests: [
        { limit: 50, window: "1m" },
        { limit: 500, window: "1h" }
      ],
      tokens: [{ limit: 10_000, window: "1m" }],
      budgets: [{ period: "day", limit: "2.00" }]
    }
  },
  prices: { overrides: { "first/good": { input: "1", output: "1000" }, "second/good": { input: "1", output: "1" } } },
  budgets: [
    { name: "all", scope: "global", period: "month", timeZone: "Europe/Berlin", limit: "100" },
    { scope: "key", period: "day", limit: "50" },
    { scope: "model", period: "day", soft: "1" }
  ],
  budgetPolicy: { unpriced: "allow" },
  routes: {
    safe: { targets: ["first/error-500", "first/good"], retries: 0, quota: { rpm: 100 }, bulkhead: { limit: 5 } },
    spread: { targets: ["first/good", { target: "second/good", weight: 3 }], order: "weighted" }
  },
  defaults: { retries: 0, bulkhead: { limit: 10 } }
}

const get = (stage: Stage, path: string, credential: string | undefined = root) =>
  promised(async () => {
    const response = await fetch(`${stage.url}${path}`, { headers: { authorization: `Bearer ${credential}` } })
    return { status: response.status, body: (await response.json()) as Json }
  })

const ask = (stage: Stage, model: string, more: object = {}, headers: Record<string, string> = {}) =>
  Effect.flatMap(
    post(`${stage.url}/v1/chat/completions`, chat(model, more), { authorization: `Bearer ${alice}`, ...headers }),
    (response) =>
      promised(async () => ({ status: response.status, headers: response.headers, text: await response.text() }))
  )

describe("the administration of a gateway", () => {
  it.live("shows in one place what happened and where everything stands", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(stage, "safe", { max_tokens: 50 })).status, 200)
          assert.strictEqual((yield* ask(stage, "first/good", { max_tokens: 50, stream: true })).status, 200)
          assert.strictEqual((yield* ask(stage, "first/error-500")).status, 502)
          const { body, status } = yield* get(stage, "/admin/snapshot")
          assert.strictEqual(status, 200)
          assert.isAtMost(Math.abs(body["at"] - Date.now()), 5_000)
          assert.strictEqual(body["version"], "0.1.0")
          assert.strictEqual(body["server"].inFlight, 1)
          assert.isAbove(body["server"].uptimeMs, 0)
          const { totals } = body["summary"]
          assert.deepInclude(totals, { requests: 3, success: 2, failure: 1, failovers: 1, attempts: 4 })
          assert.match(totals.costNanos, /^[1-9]\d+$/)
          assert.deepStrictEqual(Object.keys(body["providers"]), ["first", "second", "claude"])
          assert.isTrue(body["providers"].first.reachable)
          assert.isNumber(body["providers"].first.tookMs)
          assert.deepStrictEqual(body["stores"], {})
          assert.isNull(body["cache"])
          const circuits = (body["breakers"] as ReadonlyArray<Json>).map(({ key, route }) => `${route} ${key}`)
          assert.includeMembers(circuits, ["default first/good", "default first/error-500"])
          const quota = (body["quotas"] as ReadonlyArray<Json>).find(
            ({ key, route }) => route === "safe" && key === "first/good"
          )!
          assert.strictEqual(quota["requests"].limit, 100)
          assert.isTrue(
            (body["bulkheads"] as ReadonlyArray<Json>).some(({ limit, route }) => route === "safe" && limit === 5)
          )
          assert.deepStrictEqual(body["routes"], [
            {
              name: "safe",
              order: "priority",
              targets: [
                { target: "first/error-500", weight: 1 },
                { target: "first/good", weight: 1 }
              ]
            },
            {
              name: "spread",
              order: "weighted",
              targets: [
                { target: "first/good", weight: 1 },
                { target: "second/good", weight: 3 }
              ]
            }
          ])
        }),
      config
    )
  )

  it.live("gives a summary that adds up with those of other gateways", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          for (let i = 0; i < 3; i++) yield* ask(stage, "first/good", { max_tokens: 20 })
          const one = yield* get(stage, "/admin/snapshot?mergeable=true")
          const state = yield* Schema.decodeUnknownEffect(Summary.State)(one.body["summary"])
          const both = Summary.view(Summary.merge([state, state]))
          assert.strictEqual(both.totals.requests, 6)
          assert.strictEqual(both.latency.count, 6)
          assert.strictEqual((yield* get(stage, "/admin/snapshot?mergeable=perhaps")).status, 400)
        }),
      config
    )
  )

  it.live("tells the accounts of all budgets, those of tiers before those of all", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const { headers } = yield* ask(stage, "first/good", { max_tokens: 50 })
          const cost = headers.get("x-breakwater-cost")!
          const nanos = String(Math.round(Number(cost) * 1e9))
          const { body } = yield* get(stage, "/admin/budgets")
          const find = (scope: string, value = "") =>
            (body["budgets"] as ReadonlyArray<Json>).filter(
              (each) => each["scope"] === scope && each["value"] === value
            )
          const [all] = find("global")
          assert.deepInclude(all, {
            name: "all",
            period: "month Europe/Berlin",
            limitNanos: "100000000000",
            softNanos: null,
            spentNanos: nanos,
            reservedNanos: "0"
          })
          assert.isAbove(all!["resetsAt"], Date.now())
          const keys = find("key", "alice")
          assert.includeMembers(
            keys.map(({ limitNanos }) => limitNanos as string),
            ["2000000000"]
          )
          assert.strictEqual(keys[0]!["spentNanos"], nanos)
          assert.deepInclude(find("model", "first/good")[0], { limitNanos: null, softNanos: "1000000000" })
          // Two dollars a day for a key of this tier: forty tokens of the answer at a thousandth each, and a worst case of 1.9.
          const refused = yield* ask(stage, "first/good", { max_tokens: 2_000 })
          assert.strictEqual(refused.status, 429)
          assert.include(refused.text, "budget_exceeded")
        }),
      config
    )
  )

  it.live("tells what keys have left of their windows, in requests and tokens", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const first = yield* ask(stage, "first/good", { max_tokens: 1_000 })
          assert.strictEqual(first.headers.get("x-ratelimit-limit-tokens"), "10000")
          const usage = (JSON.parse(first.text) as Json)["usage"]
          const { body } = yield* get(stage, "/admin/limits")
          const windows = (body["limits"] as ReadonlyArray<Json>).filter(({ key }) => key === "alice")
          assert.deepStrictEqual(
            windows.map(({ limit, tier, unit, windowMs }) => [tier, unit, limit, windowMs]),
            [
              ["gold", "requests", 50, 60_000],
              ["gold", "requests", 500, 3_600_000],
              ["gold", "tokens", 10_000, 60_000]
            ]
          )
          // The guess was more than a thousand; what counts is what was used.
          const left = windows[2]!["remaining"] as number
          assert.isAtLeast(left, 10_000 - usage.total_tokens - 1)
          assert.isAtMost(left, 10_000)
          assert.isTrue(Array.isArray(body["quotas"]) && Array.isArray(body["bulkheads"]))
          const tooMuch = yield* ask(stage, "first/good", { max_tokens: 20_000 })
          // Not 429: no waiting would help, and clients wait.
          assert.strictEqual(tooMuch.status, 400)
          assert.include(tooMuch.text, "the tier lets at most 10000 go at once")
        }),
      config
    )
  )

  it.live("reports from the ledger, whose file outlives a reload", () => {
    const folder = mkdtempSync(join(tmpdir(), "breakwater-admin-"))
    const file = join(folder, "ledger.db")
    return onStage(
      (stage) =>
        Effect.gen(function* () {
          yield* ask(stage, "first/good", { max_tokens: 20 }, { "x-breakwater-tags": "red,blue" })
          yield* ask(stage, "second/good", { max_tokens: 20, stream: true })
          yield* ask(stage, "second/error-500", { max_tokens: 20 })
          const by = (query: string) =>
            Effect.map(get(stage, `/admin/usage${query}`), ({ body }) => body["groups"] as ReadonlyArray<Json>)
          assert.isTrue(
            yield* eventually(Effect.map(by(""), (groups) => groups.reduce((n, { records }) => n + records, 0) === 3))
          )
          const models = yield* by("?by=model")
          assert.sameMembers(
            models.map(({ model }) => model as string),
            ["first/good", "second/good", "second/error-500"]
          )
          assert.match(models[0]!["costNanos"], /^[1-9]\d*$/)
          assert.deepInclude((yield* by("?by=user&outcome=success"))[0], { user: "ada", records: 2 })
          assert.sameMembers(
            (yield* by("?by=tag&model=first/good")).map(({ tag }) => tag as string),
            ["red", "blue"]
          )
          const [day] = yield* by("?by=day&project=harbour&tenant=acme&key=alice")
          assert.strictEqual(day!["startAt"] % 86_400_000, 0)
          assert.deepStrictEqual(yield* by("?from=2001-01-01&to=2002-01-01"), [])
          for (const wrong of [
            "?by=colour",
            "?from=yesterday",
            "?from=2026-01-02&to=2026-01-01",
            "?by=hour&from=2001-01-01"
          ]) {
            const { body, status } = yield* get(stage, `/admin/usage${wrong}`)
            assert.strictEqual(status, 400, wrong)
            assert.isString(body["error"].param)
          }
          const before = (yield* get(stage, "/admin/config")).body
          assert.strictEqual(before["ledger"].file, file)
          yield* stage.gateway.reload({
            providers: { first: { type: "openai-compatible", baseUrl: `${stage.first.url}/v1` } },
            ...config,
            routes: {},
            ledger: { file }
          })
          yield* ask(stage, "first/good", { max_tokens: 20 })
          assert.isTrue(yield* eventually(Effect.map(by("?by=tenant"), ([acme]) => acme?.["records"] === 4)))
        }),
      { ...config, ledger: { file } }
    ).pipe(Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true, force: true }))))
  })

  it.live("says that there is no ledger", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const { body, status } = yield* get(stage, "/admin/usage")
          assert.strictEqual(status, 404)
          assert.match(body["error"].message, /ledger/)
        }),
      config
    )
  )

  it.live("is for keys with its scope alone", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          for (const path of ["snapshot", "budgets", "limits", "usage", "config", "breakers", "requests"]) {
            assert.strictEqual((yield* get(stage, `/admin/${path}`, alice)).status, 403, path)
            assert.strictEqual((yield* get(stage, `/admin/${path}`, "bw_nobody")).status, 401, path)
          }
        }),
      config
    )
  )
})

describe("what a reload does not change", () => {
  it.live("goes on with all it knows: windows, budgets, quotas, circuits", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          yield* ask(stage, "safe", { max_tokens: 50 })
          yield* ask(stage, "safe", { max_tokens: 50 })
          const shown = Effect.map(get(stage, "/admin/snapshot"), ({ body }) => ({
            spent: (body["budgets"] as ReadonlyArray<Json>).find(({ scope }) => scope === "global")!["spentNanos"],
            requests: Math.floor(
              (body["limits"] as ReadonlyArray<Json>).find(({ key }) => key === "alice")?.["remaining"] ?? 50
            ),
            quota: (body["quotas"] as ReadonlyArray<Json>).filter(({ route }) => route === "safe").length,
            calls: (body["breakers"] as ReadonlyArray<Json>).find(({ key }) => key === "first/error-500")!["calls"]
          }))
          const before = yield* shown
          assert.strictEqual(before.calls, 2)
          const { body } = yield* get(stage, "/admin/config")
          const next = {
            ...body,
            ...config,
            providers: {
              first: { type: "openai-compatible", baseUrl: `${stage.first.url}/v1`, apiKey: "k" },
              second: { type: "openai-compatible", baseUrl: `${stage.second.url}/v1`, apiKey: "k" }
            },
            // One key may do less from now on, and everything else is as it was.
            defaults: { ...config.defaults, retries: 1 }
          }
          yield* Effect.sleep("1100 millis")
          yield* stage.gateway.reload(next)
          yield* ask(stage, "second/good", { max_tokens: 10 })
          const after = yield* shown
          assert.isTrue(BigInt(after.spent as string) >= BigInt(before.spent as string))
          assert.strictEqual(after.calls, 2)
          assert.strictEqual(after.quota, before.quota)
          const left = (yield* get(stage, "/admin/limits")).body["limits"] as ReadonlyArray<Json>
          // Three of fifty, less what has come back in the meantime.
          assert.isAtMost(left.find(({ windowMs }) => windowMs === 3_600_000)!["remaining"], 497.9)
        }),
      config
    )
  )
})
