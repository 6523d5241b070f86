/** The policies of a route, as they are written. */
import * as Schema from "effect/Schema"
import { defaults } from "../Defaults.ts"
import { between, Duration, flag, Off, opt, Span, Text, whole } from "./Basics.ts"

const offOr = <S extends Schema.Top>(schema: S) => Schema.Union([Off, schema])

const Timeouts = Schema.Struct({
  firstToken: opt(Duration, "Until the first content of an answer", defaults.firstToken),
  idle: opt(Duration, "Between two pieces of content", defaults.idle),
  attempt: opt(Duration, "One provider call", defaults.attempt),
  total: opt(Duration, "The whole request: attempts and waits", defaults.total)
})

const Backoff = Schema.Struct({
  base: opt(Duration, "The first wait", defaults.backoffBase),
  factor: opt(between(1, 100), "By how much waits grow", defaults.backoffFactor),
  cap: opt(Duration, "The longest wait", defaults.backoffCap)
})

const RetryBudget = Schema.Struct({
  mode: opt(Schema.Literals(["bucket", "ratio"]), "How retries are counted", "bucket"),
  capacity: opt(between(1, 1_000_000_000), "bucket: tokens of a full one", 500),
  retryCost: opt(between(0.001, 1_000_000_000), "bucket: what a retry takes", 5),
  timeoutCost: opt(between(0.001, 1_000_000_000), "bucket: what a retry after a timeout takes", 10),
  successRefund: opt(between(0, 1_000_000_000), "bucket: what a success brings back", 1),
  ratio: opt(between(0, 10), "ratio: retries for each call", 0.2),
  minPerSecond: opt(between(0, 1_000_000), "ratio: retries a second whatever the traffic", 10),
  window: opt(Duration, "ratio: the time that is compared", "10s")
})

const Hedge = Schema.Struct({
  quantile: opt(between(0.5, 0.999), "Of recent times to a first result: later than it, another attempt is made", 0.95),
  minSamples: opt(whole(1, 1_000_000), "Results of a target before its calls are hedged", 20),
  minDelay: opt(Duration, "Never sooner", "10ms"),
  maxDelay: opt(Duration, "Never later", "60s"),
  budget: opt(between(0.0001, 1), "Extra calls for each call", 0.05),
  burst: opt(whole(1, 1_000), "Extra calls that quiet times save up", 10),
  maxHedges: opt(whole(1, 10), "Extra attempts of one request", 1)
})

const ContextWindow = Schema.Struct({
  strategy: opt(
    Schema.Literals(["keepNewest", "dropMiddle", "fail"]),
    "What becomes of a prompt that does not fit: the oldest turns go, the first turn stays as well, or the request fails",
    "keepNewest"
  ),
  reserve: opt(between(0.001, 100_000_000), "Kept free for the answer: tokens, or a share under 1", 0.25),
  keepTurns: opt(whole(0, 10_000), "Turns at the end that are never dropped", 1),
  minAnswer: opt(whole(1, 100_000_000), "The smallest answer worth asking for, in tokens", 256),
  margin: opt(between(0, 0.99), "Share of the room left free where tokens are estimated", 0.1),
  windows: opt(Schema.Record(Text, whole(1, 1_000_000_000)), "Windows by `provider/model` or model, in tokens"),
  defaultWindow: opt(whole(1, 1_000_000_000), "The window of models that nobody knows"),
  table: opt(flag, "Windows of well-known models come from a table", true),
  repair: opt(flag, "A provider's `ContextLengthError` is answered with one smaller request", true),
  compaction: opt(flag, "Spaces and repeated paragraphs go before turns do", false),
  tokenizer: opt(
    Schema.Literals(["exact", "estimate"]),
    "`exact` counts models with a public encoding by it, and loads their tables",
    "exact"
  )
})

const Breaker = Schema.Struct({
  window: opt(Duration, "The time that is judged", "60s"),
  failureRate: opt(between(0.001, 1), "The share of failures that opens the circuit", 0.5),
  minimumCalls: opt(whole(1, 1_000_000), "Fewer calls open nothing", 5),
  openFor: opt(Duration, "How long it stays open the first time", "30s"),
  maxOpenFor: opt(Duration, "The longest it stays open", "5m"),
  probes: opt(whole(1, 1_000), "Calls let through to see whether the target is back", 3)
})

const quotaLimits = {
  rpm: opt(whole(1, 1_000_000_000), "Requests a minute"),
  tpm: opt(whole(1, 1_000_000_000_000), "Tokens a minute"),
  inputTpm: opt(whole(1, 1_000_000_000_000), "Tokens of prompts a minute"),
  outputTpm: opt(whole(1, 1_000_000_000_000), "Tokens of answers a minute")
}

const Quota = Schema.Struct({
  ...quotaLimits,
  targets: opt(Schema.Record(Text, Schema.Struct(quotaLimits)), "Limits by `provider/model`, or by provider"),
  keyBy: opt(Schema.Literals(["target", "target-and-tenant"]), "Who shares a target's quota", "target"),
  maxWait: opt(Duration, "The longest wait for room", defaults.quotaWait),
  learn: opt(flag, "Limits are learned from the provider's headers", true),
  ramp: opt(flag, "After a start or a pause the allowance grows from a tenth, over ten seconds", true),
  adaptive: opt(flag, "The pace falls after refusals, and grows back", true),
  onStoreError: opt(
    Schema.Literals(["local", "fail-open", "fail-closed"]),
    "While `stores.redis` is away: count in this process, let everything go, or refuse",
    "local"
  )
})

const Bulkhead = Schema.Struct({
  limit: opt(whole(1, 1_000_000), "Calls under way at once for each target", 64),
  limits: opt(Schema.Record(Text, whole(1, 1_000_000)), "Limits of targets that differ"),
  maxQueue: opt(whole(0, 1_000_000), "Calls that may wait for each target", 256),
  maxWait: opt(Duration, "The longest wait", "30s"),
  newestFirstAbove: opt(whole(0, 1_000_000), "While more than this many wait, the newest goes first"),
  patience: opt(Duration, "A batch call that waited this long goes before younger interactive ones", "10s")
})

const policyFields = {
  retries: opt(whole(0, 100), "Repeated attempts at a target", defaults.retries),
  backoff: opt(Backoff, "Waits between them"),
  retryBudget: opt(offOr(RetryBudget), "Retries that all requests of a target share; `false` for no bound"),
  timeouts: opt(Timeouts, "How long things may take"),
  maxAttempts: opt(whole(1, 1_000), "Provider calls of one request; without it one a target, and the retries"),
  streamPolicy: opt(
    Schema.Literals(["fail", "continue", "buffer"]),
    "What becomes of a stream that breaks",
    defaults.streamPolicy
  ),
  strict: opt(flag, "Never another target than the first", defaults.strict),
  hedge: opt(offOr(Hedge), "A second attempt beside one that is slow", false),
  contextWindow: opt(offOr(ContextWindow), "Prompts are made to fit", false),
  breaker: opt(offOr(Breaker), "A circuit for each target; on"),
  quota: opt(offOr(Quota), "What targets are asked for in a minute; without limits, what the provider says"),
  bulkhead: opt(offOr(Bulkhead), "Calls at once", false)
}

export const Policy = Schema.Struct(policyFields)
export type Policy = typeof Policy.Type

const Target = Schema.Union([
  Text,
  Schema.Struct({ target: Text, weight: opt(between(0.001, 1_000_000), "How often it goes first", 1) })
])

export const Route = Schema.Struct({
  targets: Schema.Array(Target)
    .check(Schema.isMinLength(1))
    .annotate({ description: '`"provider/model"`, or `{ "target", "weight" }`' }),
  order: opt(
    Schema.Literals(["priority", "weighted"]),
    "As listed; or the first by chance, and the rest as listed",
    "priority"
  ),
  ...policyFields
})
export type Route = typeof Route.Type

export const Cache = Schema.Struct({
  ttl: opt(Span, "How long answers are kept", "1h"),
  maxBytes: opt(whole(1, 1_099_511_627_776), "Memory of a cache in this process", 67_108_864)
})

export const SemanticCache = Schema.Struct({
  embedder: Text.annotate({
    description: "`provider/model` that embeds, or `local`: a small English model in this process (optional packages)"
  }),
  threshold: opt(between(0.001, 1), "The least cosine of two questions that mean the same", 0.95),
  ttl: opt(Span, "How long answers are kept", "1h"),
  maxEntries: opt(whole(1, 1_000_000), "Questions that are kept", 10_000),
  maxBytes: opt(whole(1, 1_099_511_627_776), "Memory of answers, questions and vectors", 67_108_864),
  guard: opt(flag, "Questions that differ in a number, a name or a negation are not the same", true)
})
