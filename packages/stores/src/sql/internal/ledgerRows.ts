/** Records of the ledger as rows, and back. */
import type { Ledger } from "@breakwater/core"

/** A row as it comes: whole numbers may be numbers, big integers or texts, as the driver likes. */
export type Row = Readonly<Record<string, unknown>>

/** Between tags, and around them, so that a tag can be searched for whole. */
const separator = "\u001f"

/** Neither the separator nor the one character that PostgreSQL cannot keep. */
export const clean = (text: string): string => text.replaceAll("\u0000", "\ufffd").replaceAll(separator, "\ufffd")

const tagsText = (tags: ReadonlyArray<string>): string =>
  tags.length === 0 ? "" : separator + tags.map(clean).join(separator) + separator

export const tagsOf = (text: string): ReadonlyArray<string> => (text === "" ? [] : text.slice(1, -1).split(separator))

/** What to look for in the texts of tags. */
export const tagNeedle = (tag: string): string => separator + clean(tag) + separator

export const columns = [
  "id",
  "at_ms",
  "request_id",
  "attempt",
  "tenant",
  "user_id",
  "project",
  "key_id",
  "tags",
  "operation",
  "provider",
  "model",
  "outcome",
  "error",
  "took_ms",
  "input_tokens",
  "output_tokens",
  "cached_input_tokens",
  "cache_write_tokens",
  "reasoning_tokens",
  "counted",
  "cost_nanos",
  "max_tokens",
  "fingerprint"
] as const

/** A count as a column takes it. */
export const whole = (value: number): number => Math.max(0, Math.round(value))

/** The values of a record, in the order of the columns. */
export const valuesOf = (record: Ledger.LedgerRecord): ReadonlyArray<string | number | bigint | null> => [
  clean(record.id),
  Math.floor(record.atMs),
  clean(record.requestId),
  record.attempt,
  clean(record.tenant),
  clean(record.user ?? ""),
  clean(record.project ?? ""),
  clean(record.key ?? ""),
  tagsText(record.tags),
  record.operation,
  clean(record.provider),
  clean(record.model),
  record.outcome,
  record.error === undefined ? null : clean(record.error),
  whole(record.tookMs),
  whole(record.inputTokens),
  whole(record.outputTokens),
  whole(record.cachedInputTokens),
  whole(record.cacheWriteTokens),
  whole(record.reasoningTokens),
  record.counted,
  record.costNanos ?? null,
  record.maxTokens === undefined ? null : whole(record.maxTokens),
  record.fingerprint === undefined ? null : clean(record.fingerprint)
]

const text = (row: Row, column: string): string => row[column] as string
export const int = (row: Row, column: string): number => Number(row[column] ?? 0)
export const big = (row: Row, column: string): bigint => BigInt((row[column] as string | number | bigint | null) ?? 0)

const optional = <K extends string, V>(key: K, value: V | undefined | null | ""): { readonly [_ in K]?: V } =>
  (value === undefined || value === null || value === "" ? {} : { [key]: value }) as { readonly [_ in K]?: V }

export const recordOf = (row: Row): Ledger.LedgerRecord => ({
  id: text(row, "id"),
  requestId: text(row, "request_id"),
  attempt: int(row, "attempt"),
  atMs: int(row, "at_ms"),
  tenant: text(row, "tenant"),
  ...optional("user", text(row, "user_id")),
  ...optional("project", text(row, "project")),
  ...optional("key", text(row, "key_id")),
  tags: tagsOf(text(row, "tags")),
  operation: text(row, "operation") as Ledger.LedgerRecord["operation"],
  provider: text(row, "provider"),
  model: text(row, "model"),
  outcome: text(row, "outcome") as Ledger.LedgerRecord["outcome"],
  ...optional("error", text(row, "error")),
  tookMs: int(row, "took_ms"),
  inputTokens: int(row, "input_tokens"),
  outputTokens: int(row, "output_tokens"),
  cachedInputTokens: int(row, "cached_input_tokens"),
  cacheWriteTokens: int(row, "cache_write_tokens"),
  reasoningTokens: int(row, "reasoning_tokens"),
  counted: text(row, "counted") as Ledger.LedgerRecord["counted"],
  ...optional("costNanos", row["cost_nanos"] === null ? undefined : big(row, "cost_nanos")),
  ...optional("maxTokens", row["max_tokens"] === null ? undefined : int(row, "max_tokens")),
  ...optional("fingerprint", text(row, "fingerprint"))
})

/** The sums of a group of rows. */
export const totalsOf = (row: Row): Ledger.LedgerTotals => ({
  records: int(row, "records"),
  inputTokens: int(row, "input_tokens"),
  outputTokens: int(row, "output_tokens"),
  cachedInputTokens: int(row, "cached_input_tokens"),
  cacheWriteTokens: int(row, "cache_write_tokens"),
  reasoningTokens: int(row, "reasoning_tokens"),
  costNanos: big(row, "cost_nanos"),
  unpriced: int(row, "unpriced"),
  tookMs: int(row, "took_ms")
})
