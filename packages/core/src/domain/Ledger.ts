/**
 * What the ledger keeps: one record for every attempt.
 */
import type { NanoDollars } from "./Money.ts"

/** One attempt, for the books. Written once, never changed. */
export interface LedgerRecord {
  /** No two records have the same. A record that comes twice is kept once. */
  readonly id: string
  readonly requestId: string
  /** Counted from 1 over all targets of the call. */
  readonly attempt: number
  /** When it was sent, in milliseconds since 1970. */
  readonly atMs: number
  readonly tenant: string
  readonly user?: string
  readonly project?: string
  /** Which API key the call came with: its name or id. */
  readonly key?: string
  readonly tags: ReadonlyArray<string>
  readonly operation: "generate" | "embed"
  readonly provider: string
  readonly model: string
  readonly outcome: "success" | "failure" | "interrupted"
  /** The tag of the error. */
  readonly error?: string
  readonly tookMs: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cachedInputTokens: number
  readonly cacheWriteTokens: number
  readonly reasoningTokens: number
  /** Whether the provider counted the tokens, this library guessed them, or nobody knows. */
  readonly counted: "reported" | "estimated" | "unknown"
  /** Left out where there is no price, or no usage. */
  readonly costNanos?: NanoDollars
  /** The largest answer the request allowed. */
  readonly maxTokens?: number
  /** The same for requests that ask the same of the same model. Not enough to tell what was asked. */
  readonly fingerprint?: string
}

/** By what totals can be told apart. */
export type LedgerDimension =
  | "tenant"
  | "user"
  | "project"
  | "key"
  | "tag"
  | "provider"
  | "model"
  | "operation"
  | "outcome"

/** Which records. What is left out does not narrow. */
export interface LedgerFilter {
  /** From this instant on, in milliseconds since 1970. */
  readonly fromMs: number
  /** To before this instant. */
  readonly toMs: number
  readonly tenant?: string
  readonly user?: string
  readonly project?: string
  readonly key?: string
  readonly tag?: string
  readonly provider?: string
  readonly model?: string
  readonly operation?: "generate" | "embed"
  readonly outcome?: "success" | "failure" | "interrupted"
}

/** Sums over records. */
export interface LedgerTotals {
  readonly records: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cachedInputTokens: number
  readonly cacheWriteTokens: number
  readonly reasoningTokens: number
  /** Of the records whose cost is known. */
  readonly costNanos: NanoDollars
  /** Records whose cost is not known. */
  readonly unpriced: number
  readonly tookMs: number
}

/** Sums of one group. Values that records do not have are empty. */
export interface LedgerGroup extends LedgerTotals {
  readonly by: Readonly<Partial<Record<LedgerDimension, string>>>
  /** The beginning of the interval, where there are intervals. */
  readonly startMs?: number
}
