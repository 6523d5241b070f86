/** Every field of the configuration: what is right is built, what is wrong is refused by its path, what is written is true. */
import { Gateway, GatewayConfig, Load } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "../../../../packages/gateway/src/config/Build.ts"
import { elsewhere, full, provider } from "./full.ts"

type Node = { readonly [key: string]: unknown }

/** What stands under names of one's own. */
const named = (node: Node): ReadonlyArray<Node> => [
  ...(typeof node["additionalProperties"] === "object" ? [node["additionalProperties"] as Node] : []),
  ...Object.values((node["patternProperties"] ?? {}) as Record<string, Node>)
]

/** The paths of all fields of a JSON schema; names of a record are `*`, elements of a list `[]`. */
const fieldsOf = (node: Node, path: string): ReadonlyArray<string> => {
  const out: Array<string> = []
  const at = (name: string) => (path === "" ? name : `${path}.${name}`)
  for (const each of (node["anyOf"] ?? []) as ReadonlyArray<Node>) out.push(...fieldsOf(each, path))
  for (const [name, each] of Object.entries((node["properties"] ?? {}) as Record<string, Node>)) {
    const inner = fieldsOf(each, at(name))
    out.push(...(inner.length === 0 ? [at(name)] : inner))
  }
  for (const each of named(node)) out.push(...fieldsOf(each, at("*")))
  if (typeof node["items"] === "object") out.push(...fieldsOf(node["items"] as Node, `${path}[]`))
  return out
}

const has = (value: unknown, steps: ReadonlyArray<string>): boolean => {
  const [step, ...rest] = steps
  if (step === undefined) return value !== undefined
  if (step === "*" || step === "[]") {
    return typeof value === "object" && value !== null && Object.values(value).some((each) => has(each, rest))
  }
  return typeof value === "object" && value !== null && has((value as Node)[step], rest)
}

const stepsOf = (path: string): ReadonlyArray<string> => path.replaceAll("[]", ".[]").split(".").filter(Boolean)

const schema = GatewayConfig.jsonSchema() as Node

describe("the configuration with every field", () => {
  it("has every field, indeed", () => {
    const missing = fieldsOf(schema, "").filter((path) => !elsewhere.includes(path) && !has(full, stepsOf(path)))
    assert.deepStrictEqual(missing, [])
  })

  it("says of every field what it is", () => {
    const untold: Array<string> = []
    const walk = (node: Node, path: string): void => {
      for (const [name, each] of Object.entries((node["properties"] ?? {}) as Record<string, Node>)) {
        const at = path === "" ? name : `${path}.${name}`
        const plain = ["$schema", "rolling", "above", "window", "limit", "env", "target"].includes(name)
        const named = /(claims|modes|tls|cors)\.\w+$/.test(at) || /prices.*\.(input|output)$/.test(at)
        if (each["description"] === undefined && !plain && !named) untold.push(at)
        walk(each, at)
      }
      for (const each of (node["anyOf"] ?? []) as ReadonlyArray<Node>) walk(each, path)
      for (const each of named(node)) walk(each, path)
      if (typeof node["items"] === "object") walk(node["items"] as Node, path)
    }
    walk(schema, "")
    assert.deepStrictEqual(untold, [])
  })

  it.live("is built", () =>
    Effect.gen(function* () {
      const config = yield* Load.decode(full)
      const engine = yield* build(config)
      assert.deepStrictEqual([...engine.breakers.keys()], ["default", "r"])
      assert.deepStrictEqual([...engine.quotas.keys()], ["default", "r"])
      assert.deepStrictEqual([...engine.bulkheads.keys()], ["default", "r"])
      const path = (yield* engine.resolve("r")!.llm.describe()).path
      const on = path.filter(({ setting }) => setting === "on").map(({ step }) => step)
      assert.deepStrictEqual(on, [
        "context",
        "cache",
        "semantic cache",
        "budget",
        "ledger",
        "hedge",
        "circuit breaker",
        "quota",
        "bulkhead"
      ])
    }).pipe(Effect.scoped)
  )
})

const refused: ReadonlyArray<readonly [more: Node, path: string]> = [
  [{ defaults: { hedge: { quantile: 2 } } }, "defaults.hedge.quantile"],
  [{ defaults: { hedge: { minDelay: "2s", maxDelay: "1s" } } }, "defaults.hedge.maxDelay"],
  [{ defaults: { hedge: true } }, "defaults.hedge"],
  [{ defaults: { retryBudget: { ratio: -1 } } }, "defaults.retryBudget.ratio"],
  [{ defaults: { retryBudget: { capacity: 1, retryCost: 2 } } }, "defaults.retryBudget.retryCost"],
  [{ defaults: { contextWindow: { strategy: "guess" } } }, "defaults.contextWindow.strategy"],
  [{ defaults: { contextWindow: { reserve: 500, windows: { m: 100 } } } }, "defaults.contextWindow.reserve"],
  [{ defaults: { bulkhead: { newestFirstAbove: 10, maxQueue: 5 } } }, "defaults.bulkhead.newestFirstAbove"],
  [{ defaults: { quota: { targets: { "p/m": { rpm: 0 } } } } }, "defaults.quota.targets.p/m.rpm"],
  [{ routes: { r: { targets: ["p/m"], hedge: { minDelay: "2s", maxDelay: "1s" } } } }, "routes.r.hedge.maxDelay"],
  [{ routes: { r: { targets: ["p/m", "p/m"] } } }, "routes.r.targets"],
  [{ semanticCache: { threshold: 0.9 } }, "semanticCache.embedder"],
  [{ semanticCache: { embedder: "nobody/m" } }, "semanticCache.embedder"],
  [{ semanticCache: { embedder: "p/m", threshold: 2 } }, "semanticCache.threshold"],
  [{ prices: { overrides: { "p/m": { input: "1" } } } }, "prices.overrides.p/m.output"],
  [{ prices: { overrides: { "p/m": { input: "dear", output: "1" } } } }, "prices.overrides.p/m.input"],
  [{ prices: { providers: { p: "nobody" } } }, "prices.providers.p"],
  [{ budgets: [{ scope: "user", period: "day" }] }, "budgets[0].limit"],
  [{ budgets: [{ scope: "user", period: "fortnight", limit: "1" }] }, "budgets[0].period"],
  [{ budgets: [{ scope: "user", period: { rolling: "2000d" }, limit: "1" }] }, "budgets[0].period.rolling"],
  [{ budgets: [{ scope: "user", period: "day", limit: "0" }] }, "budgets[0].limit"],
  [{ budgets: [{ scope: "user", period: "day", limit: "1", soft: "2" }] }, "budgets[0].soft"],
  [{ budgets: [{ scope: "user", period: "day", timeZone: "Mars/Olympus", limit: "1" }] }, "budgets[0].period.timeZone"],
  [{ budgets: [{ scope: "global", period: "day", only: ["x"], limit: "1" }] }, "budgets[0].only"],
  [
    {
      budgets: [
        { scope: "user", period: "day", limit: "1" },
        { scope: "user", period: "day", limit: "2" }
      ]
    },
    "budgets[1]"
  ],
  [{ budgetPolicy: { unpriced: "allow" } }, "budgetPolicy"],
  [{ tiers: { t: {} } }, "tiers.t"],
  [{ tiers: { t: { tokens: [{ limit: 0, window: "1m" }] } } }, "tiers.t.tokens[0].limit"],
  [{ tiers: { t: { budgets: [{ period: "day", limit: "1", soft: "2" }] } } }, "tiers.t.budgets[0].soft"],
  [{ ledger: { postgres: true } }, "ledger.postgres"],
  [{ ledger: { file: "/nowhere/at/all/ledger.db" } }, "ledger.file"],
  [{ stores: { redis: "http://x" } }, "stores.redis"],
  [{ audit: { file: "/nowhere/at/all/audit.log", keys: `a:${"00".repeat(32)}` } }, "audit.file"],
  [{ audit: { file: "a.log", keys: "short" } }, "audit.keys.id"],
  [{ audit: { postgres: true, keys: `a:${"00".repeat(32)}` } }, "audit.postgres"],
  [{ auth: { jwt: { algorithms: ["RS256"], jwksUrl: "not a url" } } }, "auth.jwt.jwksUrl"],
  [{ auth: { jwt: { algorithms: ["RS256"], jwksUrl: "file:///etc/passwd" } } }, "auth.jwt.jwksUrl"],
  [
    { auth: { jwt: { algorithms: ["HS256", "HS512"], secret: "of thirty-two bytes, which is one" } } },
    "auth.jwt.secret"
  ],
  [{ ready: { ask: "nobody/m" }, providers: { p: provider, q: provider } }, "ready.ask"],
  [{ ready: { budget: "none" } }, "ready.budget"],
  [{ log: { promptHash: { secret: { env: "SURELY_NOT_SET" } } } }, "log.promptHash.secret.env"],
  [{ auth: { keys: [{ id: "a", hash: "0".repeat(64), priority: "high" }] } }, "auth.keys[0].priority"],
  [{ alerts: { every: "soon" } }, "alerts.every"],
  [{ alerts: { rules: [{ kind: "circuit-open", name: "a", for: "40d" }] } }, "alerts.rules[0].for"],
  [{ alerts: { webhooks: [{ url: "https://user:pass@x" }] } }, "alerts.webhooks[0].url"],
  [{ alerts: { webhooks: [{ url: "http://elsewhere.example/hook" }] } }, "alerts.webhooks[0].url"],
  [{ alerts: { webhooks: [{ url: { env: "SURELY_NOT_SET" } }] } }, "alerts.webhooks[0].url.env"],
  [
    { alerts: { webhooks: [{ url: "https://x", key: { id: "a", secret: "short" } }] } },
    "alerts.webhooks[0].key.secret"
  ],
  [{ alerts: { holdOpen: { rules: [] } } }, "alerts.holdOpen.rules"]
]

describe("a wrong field", () => {
  it.live.each(refused)(
    "%j is refused as %s",
    ([more, path]) =>
      Effect.gen(function* () {
        const config = { providers: { p: provider }, ...more }
        const error = yield* Effect.flip(Effect.scoped(Gateway.make(config)))
        assert.strictEqual(error._tag, "ConfigurationError")
        const issues = (error as Load.ConfigurationError).issues
        assert.isTrue(
          issues.some((issue) => issue.startsWith(`${path}:`)),
          issues.join("\n")
        )
      }),
    20_000
  )
})
