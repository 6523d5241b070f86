/** A configuration in which every field is set. */
import { ApiKeys } from "@breakwater/gateway"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const auditFile = join(mkdtempSync(join(tmpdir(), "breakwater-full-")), "audit.log")

export const provider = {
  type: "openai-compatible" as const,
  baseUrl: "http://127.0.0.1:9/v1",
  apiKey: "x",
  models: ["m", "cheap"]
}

const policy = {
  retries: 1,
  backoff: { base: "10ms", factor: 2, cap: "1s" },
  retryBudget: {
    mode: "ratio",
    capacity: 100,
    retryCost: 1,
    timeoutCost: 2,
    successRefund: 1,
    ratio: 0.1,
    minPerSecond: 5,
    window: "5s"
  },
  timeouts: { firstToken: "1s", idle: 2, attempt: "10s", total: "1m" },
  maxAttempts: 4,
  streamPolicy: "buffer",
  strict: true,
  hedge: { quantile: 0.9, minSamples: 5, minDelay: "20ms", maxDelay: "2s", budget: 0.1, burst: 3, maxHedges: 2 },
  contextWindow: {
    strategy: "dropMiddle",
    reserve: 0.2,
    keepTurns: 2,
    minAnswer: 100,
    margin: 0.2,
    windows: { "p/m": 8_000 },
    defaultWindow: 4_000,
    table: false,
    repair: false,
    compaction: true,
    tokenizer: "estimate"
  },
  breaker: { window: "10s", failureRate: 0.4, minimumCalls: 3, openFor: "1s", maxOpenFor: "10s", probes: 2 },
  quota: {
    rpm: 100,
    tpm: 10_000,
    inputTpm: 9_000,
    outputTpm: 5_000,
    targets: { "p/m": { rpm: 10, tpm: 1_000, inputTpm: 900, outputTpm: 500 } },
    keyBy: "target-and-tenant",
    maxWait: "1s",
    learn: false,
    ramp: false,
    adaptive: false,
    onStoreError: "fail-open"
  },
  bulkhead: { limit: 10, limits: { "p/m": 3 }, maxQueue: 20, maxWait: "5s", newestFirstAbove: 10, patience: "2s" }
} as const

const windows = [{ limit: 10, window: "1m", algorithm: "sliding-log" }] as const
const rates = {
  input: "2.50",
  output: 10,
  cachedInput: "1.25",
  cacheWrite: "3",
  longCacheWrite: "5",
  reasoning: "10",
  audioInput: "40",
  audioOutput: "80",
  imageInput: "10",
  imageOutput: "40"
}
const limit = { name: "n", timeZone: "Europe/Berlin", weekStartsOn: 0, limit: "10", soft: "8", thresholds: [0.5, 1] }

export const full = {
  $schema: "gateway.schema.json",
  providers: { p: provider },
  aliases: { fast: "p/m" },
  routes: { r: { targets: ["p/m", { target: "p/cheap", weight: 2 }], order: "weighted", ...policy, strict: false } },
  defaultRoute: "r",
  defaults: policy,
  cache: { ttl: "30d", maxBytes: 1_000_000 },
  semanticCache: {
    embedder: "p/embed",
    threshold: 0.9,
    ttl: "1h",
    maxEntries: 100,
    maxBytes: 1_000_000,
    guard: false
  },
  prices: {
    overrides: {
      "p/m": {
        ...rates,
        tiers: [{ above: 1_000, ...rates }],
        request: "0.001",
        modes: { batch: "0.5", flex: "0.5", priority: "2" },
        maxOutputTokens: 100,
        contextWindow: 8_000
      }
    },
    providers: { p: "openai" },
    free: ["p"]
  },
  budgets: [
    { scope: "key", period: "week", ...limit, only: ["a", "b"], overrides: { a: "20" } },
    { scope: "model", period: { rolling: "30d", buckets: 30 }, limit: "100" },
    { scope: "global", period: "lifetime", soft: "1000" }
  ],
  budgetPolicy: { unpriced: "allow", assumedOutputTokens: 1_000, inputMargin: 1.5, onStoreError: "local" },
  ledger: { file: ":memory:" },
  audit: { file: auditFile, keys: `k1:${Buffer.alloc(32, 1).toString("base64")}`, required: true },
  auth: {
    keys: [
      {
        id: "a",
        hash: ApiKeys.hashOf("bw_a"),
        expires: "2999-01-01",
        revoked: false,
        created: "2026-01-01",
        tenant: "t",
        user: "u",
        project: "pr",
        tier: "gold",
        priority: "batch",
        scopes: ["chat", "admin"],
        models: ["r", "p/*"]
      }
    ],
    jwt: {
      algorithms: ["HS256"],
      secret: "a secret of thirty-two bytes, or more",
      issuer: "i",
      audience: "au",
      clockSkew: "1m",
      claims: { tenant: "org", user: "uid", project: "proj", tier: "plan", scopes: "scp" }
    }
  },
  tiers: {
    free: windows,
    gold: { requests: windows, tokens: windows, budgets: [{ scope: "key", period: "day", ...limit }] }
  },
  defaultTier: "free",
  ready: { ask: "r", every: "1m", timeout: "5s", budget: "0.01" },
  metrics: { classic: true },
  log: { requests: true, promptHash: { secret: "s" } },
  alerts: {
    rules: [
      {
        kind: "slo",
        name: "availability",
        severity: "page",
        for: "1m",
        resolveAfter: "2m",
        runbook: "Look at the dashboard",
        over: "attempts",
        target: "p/*",
        objective: 0.99,
        signal: "latency",
        withinMs: 10_000,
        windows: [{ long: "1h", short: "5m", burnRate: 14.4, severity: "page" }],
        minimumCalls: 10
      },
      { kind: "error-ratio", name: "errors", ratio: 0.5, window: "5m", perTarget: true, errors: ["ServerError"] },
      { kind: "latency", name: "slow", boundMs: 1_000, quantile: 0.9, measure: "first-token" },
      { kind: "circuit-open", name: "open", key: "p/m", forced: true },
      { kind: "budget", name: "budget", share: 0.8, budget: "n" },
      { kind: "cost-rate", name: "cost", perHour: "10" },
      { kind: "store-lost", name: "store", store: "redis" },
      { kind: "records-lost", name: "lost" }
    ],
    every: "5s",
    remindEvery: "1h",
    webhooks: [
      {
        url: "http://127.0.0.1:9/hook",
        format: "json",
        key: { id: "first", secret: "sixteen characters" },
        allowHttp: true
      }
    ],
    holdOpen: { rules: ["errors"], for: "5m", perHour: 2 }
  },
  cors: { origins: ["https://a.example"] },
  limits: {
    bodyBytes: 10_000,
    headerBytes: 10_000,
    depth: 32,
    concurrency: 10,
    connections: 20,
    requestTimeout: "10s",
    writeTimeout: "10s",
    keepAlive: "10s",
    shutdown: "1s"
  },
  http: { connections: 8, connectTimeout: "1s" }
}

/** Fields that need something else to be there: a file, a server. */
export const elsewhere = [
  "providers.*.apiKey.env",
  "providers.*.betas",
  "providers.*.apiKey[].env",
  "tiers.*.budgets[].period.rolling",
  "tiers.*.budgets[].period.buckets",
  "stores.redis.env",
  "stores.postgres.env",
  "stores.prefix",
  "stores.wait",
  "ledger.postgres",
  "tls.cert",
  "tls.key",
  "auth.keysFile",
  "auth.jwt.jwksUrl",
  "auth.jwt.secret.env",
  "audit.keys.env",
  "audit.postgres",
  "log.promptHash.secret.env",
  "alerts.webhooks[].url.env",
  "alerts.webhooks[].key.secret.env"
]
