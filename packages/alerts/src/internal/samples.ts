/** Calls and attempts as good and bad ones. */
import type { Event } from "@breakwater/core"
import { callersErrors } from "../Rules.ts"

/** One call, or one attempt, that counts. */
export interface Sample {
  readonly good: boolean
  readonly target: string
  readonly tookMs: number
  readonly firstTokenMs?: number
}

interface Over {
  readonly over?: "requests" | "attempts"
  readonly target?: string
}

/** Whether a name is the one that is asked for; a `*` at its end stands for anything. */
export const matches = (pattern: string | undefined, name: string): boolean =>
  pattern === undefined || (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name)

interface Failure {
  readonly _tag: string
  readonly source?: string
}

/** Turned away by this process's own limits: says nothing of the target. */
const isOwn = (error: Failure): boolean =>
  error._tag === "BulkheadFullError" || (error._tag === "RateLimitError" && error.source === "local")

const ofRequest = (event: Event.RequestFinished, kinds: ReadonlySet<string> | undefined): Sample | undefined => {
  if (event.outcome === "interrupted") return undefined
  const target = event.target ?? event.attempts[event.attempts.length - 1]?.target ?? ""
  if (event.outcome === "success") return { good: true, target, tookMs: event.tookMs }
  const tag = event.error?._tag ?? ""
  if (kinds === undefined) return callersErrors.has(tag) ? undefined : { good: false, target, tookMs: event.tookMs }
  const counted = kinds.has(tag) || event.attempts.some(({ error }) => error !== undefined && kinds.has(error._tag))
  return { good: !counted, target, tookMs: event.tookMs }
}

const ofAttempt = (event: Event.PolicyEvent, kinds: ReadonlySet<string> | undefined): Sample | undefined => {
  if (event.type === "attempt-succeeded") {
    const { firstTokenMs, target, tookMs } = event
    return { good: true, target, tookMs, ...(firstTokenMs === undefined ? {} : { firstTokenMs }) }
  }
  if (event.type !== "attempt-failed") return undefined
  const { error, target, tookMs } = event
  if (kinds !== undefined) return { good: !kinds.has(error._tag), target, tookMs }
  return callersErrors.has(error._tag) || isOwn(error) ? undefined : { good: false, target, tookMs }
}

/** What an event says of a rule's calls; `undefined` if nothing. `kinds`: only these errors are bad. */
export const sampleOf = (
  event: Event.PolicyEvent,
  { over = "requests", target }: Over,
  kinds?: ReadonlySet<string>
): Sample | undefined => {
  const sample =
    over === "attempts"
      ? ofAttempt(event, kinds)
      : event.type === "request-finished"
        ? ofRequest(event, kinds)
        : undefined
  return sample !== undefined && matches(target, sample.target) ? sample : undefined
}
