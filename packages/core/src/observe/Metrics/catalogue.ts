/**
 * Every metric: its name, what it is, and its labels. The table in the documentation is made from this one.
 */
import type { Definition } from "./Family.ts"

/** Buckets in seconds and tokens, as the conventions give them. */
const durationBuckets = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const tokenBuckets = [
  1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864
]
const chunkBuckets = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]
const firstChunkBuckets = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

const counter = (name: string, description: string, ...labels: ReadonlyArray<string>): Definition => ({
  name,
  kind: "counter",
  description,
  labels
})
const gauge = (name: string, description: string, ...labels: ReadonlyArray<string>): Definition => ({
  name,
  kind: "gauge",
  description,
  labels
})
/** A histogram of seconds whose name says so. */
const seconds = (name: string, description: string, ...labels: ReadonlyArray<string>): Definition => ({
  name,
  kind: "histogram",
  description,
  labels,
  boundaries: durationBuckets
})

const genAiLabels = ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"]
const genAi = (
  name: string,
  description: string,
  unit: string,
  boundaries: ReadonlyArray<number>,
  ...labels: ReadonlyArray<string>
): Definition => ({ name, kind: "histogram", description, labels: [...genAiLabels, ...labels], unit, boundaries })

export const catalogue = {
  operationDuration: genAi(
    "gen_ai.client.operation.duration",
    "Seconds of a provider call",
    "seconds",
    durationBuckets,
    "error.type"
  ),
  tokenUsage: genAi(
    "gen_ai.client.token.usage",
    "Tokens of a provider call",
    "{token}",
    tokenBuckets,
    "gen_ai.token.type"
  ),
  firstChunk: genAi(
    "gen_ai.client.operation.time_to_first_chunk",
    "Seconds from the start of a streamed provider call to its first content",
    "seconds",
    firstChunkBuckets
  ),
  perChunk: genAi(
    "gen_ai.client.operation.time_per_output_chunk",
    "Seconds a token of a streamed answer took after the first",
    "seconds",
    chunkBuckets
  ),
  requests: counter(
    "breakwater_requests_total",
    "Calls of the service, by how they ended",
    "operation",
    "outcome",
    "error"
  ),
  requestDuration: seconds(
    "breakwater_request_duration_seconds",
    "Seconds of a call, all attempts and waits together",
    "operation",
    "outcome"
  ),
  inFlight: gauge("breakwater_requests_in_flight", "Calls under way", "operation"),
  attempts: counter("breakwater_attempts_total", "Provider calls, by how they ended", "target", "outcome", "error"),
  retries: counter("breakwater_retries_total", "Attempts repeated at the same target", "target", "error"),
  failovers: counter("breakwater_failovers_total", "Attempts moved to another target", "from", "to", "error"),
  continuations: counter(
    "breakwater_stream_continuations_total",
    "Broken streams that another attempt went on with",
    "target",
    "method"
  ),
  malformed: counter(
    "breakwater_malformed_events_total",
    "Events of streams that could not be read",
    "provider",
    "model"
  ),
  fitted: counter("breakwater_context_fitted_total", "Prompts that were made to fit a window", "target", "summary"),
  dropped: counter(
    "breakwater_context_dropped_tokens_total",
    "Tokens of prompts that were left out to fit a window, estimated",
    "target"
  ),
  circuitState: gauge("breakwater_circuit_state", "0 closed, 1 half-open, 2 open or forced open", "key"),
  transitions: counter("breakwater_circuit_transitions_total", "Changes of circuits", "key", "to"),
  rejections: counter(
    "breakwater_rejections_total",
    "Attempts and calls turned away, by policy and reason",
    "policy",
    "reason"
  ),
  wait: seconds("breakwater_wait_seconds", "Seconds waited in a policy's queue", "policy"),
  quotaLimit: gauge("breakwater_quota_limit", "The provider's limit in its window, as learned", "key", "scope"),
  quotaRemaining: gauge(
    "breakwater_quota_remaining",
    "What is left of the provider's limit, as it last said",
    "key",
    "scope"
  ),
  pauses: counter("breakwater_quota_pauses_total", "Pauses after a provider's refusal", "key", "hinted"),
  adaptedLimit: gauge("breakwater_adapted_limit", "The limit an adaptive policy has found", "limiter", "key", "kind"),
  hedges: counter("breakwater_hedges_total", "Hedged attempts, by outcome", "outcome"),
  cache: counter("breakwater_cache_lookups_total", "Lookups in a cache, by outcome", "cache", "outcome"),
  cacheStored: counter("breakwater_cache_stored_total", "Answers that a cache kept", "cache"),
  cacheFailures: counter(
    "breakwater_cache_failures_total",
    "Reads and writes of a cache that failed, were too slow or were refused",
    "cache",
    "operation",
    "reason"
  ),
  savedTokens: counter(
    "breakwater_saved_tokens_total",
    "Tokens of answers that a cache gave instead of a provider",
    "cache",
    "type"
  ),
  saved: counter(
    "breakwater_saved_dollars_total",
    "What cached answers would have cost, where prices are known",
    "cache"
  ),
  cost: counter("breakwater_cost_dollars_total", "What attempts cost, where prices are known", "target"),
  unknownCost: counter("breakwater_unknown_cost_attempts_total", "Attempts that were sent and whose cost is not known"),
  budgetRejections: counter(
    "breakwater_budget_rejections_total",
    "Calls turned away because they could cost more than is left",
    "budget",
    "scope"
  ),
  budgetThresholds: counter(
    "breakwater_budget_thresholds_total",
    "Accounts that reached a share of their limit",
    "budget",
    "scope",
    "threshold"
  ),
  budgetUnpriced: counter(
    "breakwater_budget_unpriced_total",
    "Calls to models without a price that were let go",
    "target"
  ),
  budgetSpent: gauge(
    "breakwater_budget_spent_dollars",
    "What is spent, over all accounts of a limit together",
    "budget",
    "scope",
    "period"
  ),
  budgetReserved: gauge(
    "breakwater_budget_reserved_dollars",
    "What is held for calls under way, over all accounts of a limit together",
    "budget",
    "scope",
    "period"
  ),
  budgetRemaining: gauge(
    "breakwater_budget_remaining_dollars",
    "What is left in the account of a limit that has the least",
    "budget",
    "scope",
    "period"
  ),
  budgetAccounts: gauge(
    "breakwater_budget_accounts",
    "Accounts of a limit in which something stands",
    "budget",
    "scope",
    "period"
  ),
  waiting: gauge(
    "breakwater_unwritten_records",
    "Records of the ledger, and entries of the audit log, that wait to be written",
    "log",
    "store"
  ),
  lost: counter(
    "breakwater_lost_records_total",
    "Records of the ledger, and entries of the audit log, that are lost",
    "log",
    "store"
  ),
  storeFailures: counter(
    "breakwater_store_failures_total",
    "Operations of stores of policy state that failed, by what was done instead",
    "store",
    "operation",
    "handled"
  ),
  storeUp: gauge("breakwater_store_up", "1 while a store of policy state answers", "store")
} satisfies Record<string, Definition>

/** The names that many dashboards for language models expect. */
export const classic = {
  requests: counter(
    "llm_requests_total",
    "Calls of the service, by the target that answered or failed last",
    "provider",
    "model",
    "operation",
    "outcome"
  ),
  duration: seconds("llm_request_duration_seconds", "Seconds of a call", "provider", "model", "operation"),
  firstToken: seconds(
    "llm_time_to_first_token_seconds",
    "Seconds from the start of a streamed call to its first content",
    "provider",
    "model"
  ),
  tokens: counter("llm_tokens_total", "Tokens of provider calls", "provider", "model", "type"),
  cost: counter("llm_cost_dollars_total", "What provider calls cost, where prices are known", "provider", "model"),
  errors: counter("llm_errors_total", "Failed provider calls, by error", "provider", "model", "error"),
  retries: counter("llm_retries_total", "Provider calls repeated at the same target", "provider", "model"),
  fallbacks: counter("llm_fallbacks_total", "Calls that went on to another target", "provider", "model"),
  cacheHits: counter("llm_cache_hits_total", "Calls answered by a cache", "cache"),
  cacheMisses: counter("llm_cache_misses_total", "Calls that a cache had no answer for", "cache")
} satisfies Record<string, Definition>
