/** The attempts of a request laid out on a line of time, in percent of its length: pure. */
import type { Attempt, RecentRequest, RequestEvent } from "../api/types.ts"
import { duration, errorName } from "./format.ts"

/** How an attempt came about. */
type Cause = "first" | "retry" | "failover" | "hedge" | "continued"

/** A stretch of the line, in percent. */
interface Span {
  readonly left: number
  readonly width: number
}

interface Row {
  readonly attempt: Attempt
  readonly cause: Cause
  /** How it is tied to what went before, as a sentence; empty for the first. */
  readonly link: string
  /** The wait before it: backoff, or a provider's hint. */
  readonly wait: Span | undefined
  readonly bar: Span
  /** Where its first token came, in percent of the line. */
  readonly firstToken: number | undefined
  /** It never reached the provider. */
  readonly unsent: boolean
}

interface Mark {
  readonly at: number
  readonly atMs: number
  readonly text: string
}

export interface Timeline {
  /** The length of the line. */
  readonly totalMs: number
  readonly ticks: ReadonlyArray<{ readonly at: number; readonly label: string }>
  readonly rows: ReadonlyArray<Row>
  /** What else happened: waits in queues, hedges, commits. */
  readonly marks: ReadonlyArray<Mark>
}

/** Bars are at least this wide, in percent, so that they can be seen. */
const narrowest = 0.6

const clamp = (value: number): number => Math.min(100, Math.max(0, value))

/** Steps of an axis that people count in. */
const niceSteps = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000
]

export const ticksOf = (totalMs: number, most = 6): Timeline["ticks"] => {
  if (!(totalMs > 0)) return [{ at: 0, label: duration(0) }]
  const step = niceSteps.find((each) => totalMs / each <= most) ?? totalMs / most
  const ticks: Array<Timeline["ticks"][number]> = []
  for (let ms = 0; ms <= totalMs; ms += step) ticks.push({ at: (ms / totalMs) * 100, label: duration(ms) })
  return ticks
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined)

const causeOf = (
  attempt: Attempt,
  previous: Attempt | undefined,
  events: ReadonlyArray<RequestEvent>
): { readonly cause: Cause; readonly link: string } => {
  const of = (type: string) => events.find((event) => event.type === type && event["attempt"] === attempt.attempt)
  if (previous === undefined) return { cause: "first", link: "" }
  const hedge = of("hedge-started")
  if (hedge !== undefined) {
    const why = hedge["reason"] === "failed" ? "in place of one that failed" : "because it was slow"
    return { cause: "hedge", link: `hedge beside attempt ${previous.attempt}, ${why}` }
  }
  const continued = of("stream-continued")
  if (continued !== undefined) {
    const characters = number(continued["characters"])
    const after = characters === undefined ? "" : `, after ${characters} characters`
    return { cause: "continued", link: `goes on where attempt ${previous.attempt} broke${after}` }
  }
  const after = previous.error === undefined ? "" : ` after ${errorName(previous.error._tag)}`
  const waited = attempt.waitedMs > 0 ? `, ${duration(attempt.waitedMs)} later` : ""
  return previous.target === attempt.target
    ? { cause: "retry", link: `retry${after}${waited}` }
    : { cause: "failover", link: `failover from ${previous.target}${after}${waited}` }
}

/** The sentence of an event that is worth a line, or `undefined`. */
export const eventText = (event: RequestEvent): string | undefined => {
  const error = (event["error"] as { readonly _tag?: string } | undefined)?._tag
  const why = error === undefined ? "" : `: ${errorName(error)}`
  const at = text(event["target"]) ?? text(event["key"])
  const where = at === undefined ? "" : ` at ${at}`
  const waited = duration(number(event["waitedMs"]))
  switch (event.type) {
    case "attempt-started":
      return `attempt ${String(event["attempt"])} begins${where}`
    case "attempt-succeeded":
      return `attempt ${String(event["attempt"])} succeeds${where}`
    case "attempt-failed":
      return `attempt ${String(event["attempt"])} fails${where}${why}`
    case "retry-scheduled":
      return `waits ${duration(number(event["delayMs"]))} before the next try${where}`
    case "failed-over":
      return `fails over from ${String(event["from"])} to ${String(event["to"])}${why}`
    case "stream-committed":
      return `first content is handed on, from ${at ?? "the target"}`
    case "stream-continued":
      return `goes on${where} (${String(event["method"])})`
    case "circuit-rejected":
      return `the circuit is ${String(event["state"])}${where}: turned away`
    case "bulkhead-queued":
      return `waits for a place${where}, ${String(event["queued"])} in the queue`
    case "bulkhead-waited":
      return `has a place${where} after ${waited}`
    case "bulkhead-rejected":
      return `no place${where} (${String(event["reason"])})`
    case "limit-waited":
      return `waited ${waited} for the limit${where}`
    case "hedge-started":
      return `a hedge begins${where} after ${duration(number(event["afterMs"]))}`
    case "hedge-won":
      return `the hedge wins${where}`
    case "hedge-lost":
      return `the other attempt is given up${where}`
    case "cache-hit":
      return `the ${String(event["cache"])} cache answers`
    case "cache-miss":
      return `the ${String(event["cache"])} cache has no answer (${String(event["reason"])})`
    case "cache-stored":
      return `the answer is kept in the ${String(event["cache"])} cache`
    case "context-fitted":
      return `the prompt is fitted to the window${where}`
    case "budget-rejected":
      return `the budget ${String(event["budget"])} has not enough left`
    default:
      return `${event.type.replaceAll("-", " ")}${where}${why}`
  }
}

/** Lays a request out. */
export const timelineOf = (request: RecentRequest): Timeline => {
  const ends = request.attempts.map(({ startedAt, tookMs }) => startedAt - request.at + tookMs)
  const totalMs = Math.max(request.tookMs, ...ends, 1)
  const percent = (ms: number): number => clamp((ms / totalMs) * 100)
  const span = (fromMs: number, toMs: number): Span => {
    const width = Math.max(narrowest, percent(toMs) - percent(fromMs))
    return { left: Math.min(percent(fromMs), 100 - width), width }
  }
  const rows = request.attempts.map((attempt, i): Row => {
    const startMs = Math.max(0, attempt.startedAt - request.at)
    return {
      attempt,
      ...causeOf(attempt, request.attempts[i - 1], request.events),
      wait: attempt.waitedMs > 0 ? span(Math.max(0, startMs - attempt.waitedMs), startMs) : undefined,
      bar: span(startMs, startMs + attempt.tookMs),
      firstToken: attempt.firstTokenMs === undefined ? undefined : percent(startMs + attempt.firstTokenMs),
      unsent: attempt.sent === false
    }
  })
  const marks = request.events.flatMap((event): ReadonlyArray<Mark> => {
    const sentence = eventText(event)
    return sentence === undefined ? [] : [{ at: percent(event.atMs), atMs: event.atMs, text: sentence }]
  })
  return { totalMs, ticks: ticksOf(totalMs), rows, marks }
}
