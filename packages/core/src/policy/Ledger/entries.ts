/**
 * Attempts as records of the ledger.
 */
import type { AttemptRecord } from "../../domain/Call.ts"
import type { LedgerRecord } from "../../domain/Ledger.ts"
import type { PricingService } from "../../domain/Price.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../../domain/Request.ts"
import { usageOf } from "../../internal/billing.ts"
import { modeOf } from "../../internal/worstCase.ts"
import type { LedgerCall } from "../Ledger.ts"

/** Two 32-bit halves of a fast hash (cyrb53): tells requests apart, and keeps no secret. */
const hash = (text: string): string => {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 2654435761)
    b = Math.imul(b ^ unit, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36)
}

/** The same for requests that ask the same; `undefined` for one that cannot be written down. */
const fingerprintOf = (request: ProviderRequest | ProviderEmbedRequest): string | undefined => {
  try {
    const { model: _, ...rest } = request
    return hash(JSON.stringify(rest))
  } catch {
    return undefined
  }
}

/** A call that waits to be written: the work of it is done by the writer, not by the call. */
export interface Pending {
  readonly call: LedgerCall
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly firstId: number
}

/** Records of the attempts that were sent. */
export const entriesOf = (
  { attempts, call, firstId }: Pending,
  idPrefix: string,
  fingerprints: boolean,
  prices: PricingService | undefined
): ReadonlyArray<LedgerRecord> => {
  const { context, request } = call
  const embeds = "input" in request
  const fingerprint = fingerprints ? fingerprintOf(request) : undefined
  const records: Array<LedgerRecord> = []
  for (let index = 0; index < attempts.length; index++) {
    const attempt = attempts[index]!
    if (attempt.sent === false) continue
    const slash = attempt.target.indexOf("/")
    const provider = attempt.target.slice(0, slash)
    const model = attempt.target.slice(slash + 1)
    const usage = usageOf(attempt)
    const cost =
      attempt.costNanos ??
      (usage === undefined
        ? undefined
        : prices?.cost({ provider, model, usage, mode: modeOf(request), atMs: attempt.startedAt }))
    records.push({
      id: `${idPrefix}-${(firstId + index).toString(36)}`,
      requestId: call.requestId ?? "",
      attempt: attempt.attempt,
      atMs: attempt.startedAt,
      tenant: context.tenant,
      ...(context.user === undefined ? undefined : { user: context.user }),
      ...(context.project === undefined ? undefined : { project: context.project }),
      ...(context.key === undefined ? undefined : { key: context.key }),
      tags: context.tags ?? [],
      operation: embeds ? "embed" : "generate",
      provider,
      model,
      outcome: attempt.outcome,
      ...(attempt.error === undefined ? undefined : { error: attempt.error._tag }),
      tookMs: Math.max(0, Math.round(attempt.tookMs)),
      inputTokens: usage?.inputTokens ?? 0,
      outputTokens: usage?.outputTokens ?? 0,
      cachedInputTokens: usage?.cachedInputTokens ?? 0,
      cacheWriteTokens: usage?.cacheWriteTokens ?? 0,
      reasoningTokens: usage?.reasoningTokens ?? 0,
      counted: usage === undefined ? "unknown" : usage.estimated === true ? "estimated" : "reported",
      ...(typeof cost === "bigint" ? { costNanos: cost } : undefined),
      ...(embeds || request.maxTokens === undefined ? undefined : { maxTokens: request.maxTokens }),
      ...(fingerprint === undefined ? undefined : { fingerprint })
    })
  }
  return records
}
