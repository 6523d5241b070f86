/** What the policies tell, as JSON for an operator: errors by name and sentence, amounts as text, never an answer. */
import type { Event } from "@breakwater/core"

type Plain = string | number | boolean | null | { readonly [key: string]: Plain } | ReadonlyArray<Plain>

const isError = (value: object): value is { readonly _tag: string; readonly message: string } =>
  "_tag" in value && typeof value._tag === "string" && "message" in value && typeof value.message === "string"

/** A copy that holds on to nothing: an error's partial answer, its cause and its stack are left behind. */
const plain = (value: unknown, depth = 0): Plain | undefined => {
  switch (typeof value) {
    case "string":
      return value.length > 2_000 ? `${value.slice(0, 2_000)}…` : value
    case "number":
      return Number.isFinite(value) ? value : null
    case "boolean":
      return value
    case "bigint":
      return value.toString()
    case "object":
      break
    default:
      return undefined
  }
  if (value === null || depth > 6) return null
  if (isError(value)) return { _tag: value._tag, message: value.message.slice(0, 2_000) }
  if (Array.isArray(value)) return value.map((each) => plain(each, depth + 1) ?? null)
  const out: Record<string, Plain> = {}
  for (const [key, each] of Object.entries(value)) {
    const copied = plain(each, depth + 1)
    if (copied !== undefined) out[key] = copied
  }
  return out
}

export type PlainEvent = { readonly type: Event.PolicyEvent["type"] } & { readonly [key: string]: unknown }

/** An event as it may be shown. */
export const plainEvent = (event: Event.PolicyEvent): PlainEvent => plain(event) as PlainEvent

/** Any part of an event. */
export const plainValue = (value: unknown): unknown => plain(value)
