/**
 * What the gateway says under `/admin`, as far as this page reads it. Amounts are whole nano-dollars as text, times are
 * milliseconds since 1970 or durations in milliseconds. What an older gateway does not send is optional.
 */

interface Tokens {
  readonly input: number
  readonly output: number
  readonly cachedInput: number
  readonly reasoning: number
}

interface Latency {
  readonly count: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface Point {
  readonly at: number
  readonly requests: number
  readonly success: number
  readonly failure: number
  readonly interrupted: number
  readonly cached: number
  readonly retries: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costNanos: string
  readonly savedNanos: string
}

export interface Target {
  readonly attempts: number
  readonly success: number
  readonly failure: number
  readonly interrupted: number
  readonly tokens: Tokens
  readonly costNanos: string
  readonly latency: Latency
  readonly firstToken: Latency
  readonly errors: Readonly<Record<string, number>>
}

interface Totals {
  readonly requests: number
  readonly success: number
  readonly failure: number
  readonly interrupted: number
  readonly cached: number
  readonly attempts: number
  readonly retries: number
  readonly failovers: number
  readonly hedges: number
  readonly tokens: Tokens
  readonly costNanos: string
  readonly savedNanos: string
  readonly unknownCostAttempts: number
}

export interface Summary {
  readonly sinceAt: number
  readonly nowAt: number
  readonly totals: Totals
  readonly latency: Latency
  readonly firstToken: Latency
  readonly errors: Readonly<Record<string, number>>
  readonly targets: Readonly<Record<string, Target>>
  /** Steps in which nothing ended are left out. */
  readonly series: { readonly stepMs: number; readonly points: ReadonlyArray<Point> }
}

interface Reachability {
  /** `null` where the address is the provider's own, and nobody asks. */
  readonly reachable: boolean | null
  readonly tookMs?: number
}

export type CircuitState = "closed" | "open" | "half-open" | "forced-open" | "metrics-only" | "disabled"

export interface Breaker {
  readonly route: string
  readonly key: string
  readonly state: CircuitState
  readonly measured?: CircuitState
  readonly holds?: Readonly<Record<string, number>>
  readonly calls: number
  readonly failures: number
  readonly slow?: number
  readonly failureRate: number
  readonly threshold?: number
  readonly openings?: number
  readonly rejections?: number
  readonly probes?: { readonly inFlight: number; readonly successes: number; readonly failures: number }
  readonly retryAfterMs: number
  readonly openUntil?: number
}

export interface Bulkhead {
  readonly route?: string
  readonly key: string
  readonly limit: number
  readonly active: number
  readonly queued: number
}

export interface Remaining {
  readonly limit: number
  readonly remaining: number
  readonly windowMs: number
}

export interface Quota {
  readonly route?: string
  readonly key: string
  readonly requests?: Remaining
  readonly tokens?: Remaining
  readonly inputTokens?: Remaining
  readonly outputTokens?: Remaining
  readonly pausedMs?: number
  readonly callsPerSecond?: number
  readonly waiting?: number
}

export interface LimitWindow {
  readonly key: string
  readonly tier?: string
  readonly unit?: string
  readonly limit: number
  readonly remaining: number
  readonly windowMs?: number
  readonly resetsInMs?: number
}

export interface Budget {
  readonly budget?: string
  readonly name?: string
  readonly scope: string
  readonly value: string
  readonly period: string
  readonly limitNanos?: string | null
  readonly softNanos?: string | null
  readonly spentNanos: string
  readonly reservedNanos: string
  readonly remainingNanos?: string | null
  readonly resetsAt?: number | null
}

export interface Cache {
  readonly hits: number
  /** Calls that another call answered while it was under way. */
  readonly shared?: number
  readonly misses: number
  readonly hitRate: number
  readonly entries?: number | null
  readonly bytes?: number | null
  readonly stored?: number
  readonly refused?: number
  readonly evicted?: number
  readonly storeFailures?: number
  readonly savedInputTokens?: number
  readonly savedOutputTokens?: number
  readonly savedNanoDollars?: string
}

export interface RouteInfo {
  readonly name: string
  readonly order?: string
  readonly targets: ReadonlyArray<{ readonly target: string; readonly weight?: number }>
}

export interface Snapshot {
  readonly at?: number
  readonly version?: string
  readonly server: {
    readonly inFlight: number
    readonly connections: number
    readonly served: number
    readonly shed: number
    readonly uptimeMs?: number
  }
  readonly summary?: Summary | null
  readonly providers: Readonly<Record<string, Reachability>>
  readonly stores?: Readonly<Record<string, Reachability>>
  readonly breakers: ReadonlyArray<Breaker>
  readonly bulkheads?: ReadonlyArray<Bulkhead>
  readonly quotas?: ReadonlyArray<Quota>
  readonly limits?: ReadonlyArray<LimitWindow>
  readonly budgets?: ReadonlyArray<Budget>
  readonly cache: Cache | null
  readonly semanticCache?: Cache | null
  readonly routes?: ReadonlyArray<RouteInfo>
}

interface ErrorInfo {
  readonly _tag: string
  readonly message: string
}

interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cachedInputTokens?: number
  readonly reasoningTokens?: number
  readonly estimated?: boolean
}

export type Outcome = "success" | "failure" | "interrupted"

export interface Attempt {
  readonly attempt: number
  readonly target: string
  readonly outcome: Outcome
  readonly error?: ErrorInfo
  readonly startedAt: number
  readonly tookMs: number
  readonly firstTokenMs?: number
  readonly waitedMs: number
  readonly usage?: Usage
  readonly costNanos?: string
  readonly sent?: boolean
}

export interface RequestEvent {
  readonly atMs: number
  readonly type: string
  readonly [key: string]: unknown
}

export interface RecentRequest {
  readonly requestId: string
  readonly gatewayRequestId?: string
  readonly at: number
  readonly operation: string
  readonly outcome: Outcome
  readonly tookMs: number
  readonly target?: string
  readonly targets?: ReadonlyArray<string>
  readonly maxAttempts?: number
  readonly context: {
    readonly tenant?: string
    readonly user?: string
    readonly project?: string
    readonly key?: string
    readonly tags?: ReadonlyArray<string>
  }
  readonly costNanos?: string
  readonly savedNanos?: string
  readonly cached?: { readonly source: string; readonly ageMs?: number; readonly similarity?: number }
  readonly error?: ErrorInfo
  readonly usage?: Usage
  readonly attempts: ReadonlyArray<Attempt>
  readonly events: ReadonlyArray<RequestEvent>
  readonly eventsLeftOut?: number
}

/** One event of a policy, as it happens. */
export interface PolicyEvent {
  readonly at?: number
  readonly type: string
  readonly [key: string]: unknown
}

export interface UsageRow {
  /** The beginning of an hour or a day, where it is by those. */
  readonly startAt?: number
  /** What it is by: `model`, `user`, … */
  readonly [dimension: string]: unknown
  readonly records: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costNanos: string
  readonly unpriced?: number
}

export interface AuditEntry {
  readonly seq: number
  readonly at: number
  readonly action: string
  readonly actor?: { readonly tenant?: string; readonly user?: string; readonly key?: string }
  readonly requestId?: string
  readonly targets?: ReadonlyArray<string>
  readonly outcome?: string
  readonly error?: string
  readonly tokens?: { readonly input: number; readonly output: number }
  readonly costNanos?: string
  readonly flags?: ReadonlyArray<string>
  readonly details?: unknown
}

export interface AuditReport {
  readonly entries: ReadonlyArray<AuditEntry>
  readonly verified: boolean
}

export interface Alert {
  readonly id: string
  readonly rule: string
  readonly key: string
  readonly severity: string
  readonly since: number
  readonly firingAt?: number
  readonly summary: string
  readonly runbook?: string
  readonly silenced?: boolean
}

export interface RuleState {
  readonly name: string
  readonly kind: string
  readonly state: string
  readonly rule: Readonly<Record<string, unknown>>
}

export interface Incident {
  readonly id: string
  readonly status: "open" | "closed"
  readonly openedAt: number
  readonly closedAt?: number
  readonly durationMs: number
  readonly alerts: ReadonlyArray<Alert>
  readonly causes: ReadonlyArray<{ readonly sentence: string; readonly evidence: ReadonlyArray<string> }>
  readonly requests: { readonly success: number; readonly failure: number; readonly interrupted: number }
  readonly targets: ReadonlyArray<{
    readonly target: string
    readonly failureRatioBefore: number
    readonly failureRatio: number
    readonly errors: Readonly<Record<string, number>>
  }>
  readonly costNanos: string
  readonly timeline: ReadonlyArray<{ readonly at: number; readonly what: string }>
}

export interface AlertReport {
  readonly rules: ReadonlyArray<RuleState>
  readonly firing: ReadonlyArray<Alert>
  readonly incidents: ReadonlyArray<Incident>
}
