/** What the policies did, a line each. */
import { type Event, Money } from "@breakwater/core"
import { oneLine, type Style } from "./Style.ts"
import { time } from "./Time.ts"

const targets = (names: ReadonlyArray<string>): string => names.join(" → ")

/** An error in a few words: its kind, and its message. */
const errorText = (error: { readonly _tag: string; readonly message: string }, columns = 160): string =>
  `${error._tag}: ${oneLine(error.message, columns)}`

/** The line for an event; `undefined` for one that says nothing to a reader. */
export const eventLine = (event: Event.PolicyEvent, style: Style): string | undefined => {
  switch (event.type) {
    case "request-started":
      return style.dim(
        `${targets(event.targets)}, at most ${event.maxAttempts} ${event.maxAttempts === 1 ? "attempt" : "attempts"}`
      )
    case "attempt-started":
      return `attempt ${event.attempt} asks ${style.bold(event.target)}`
    case "attempt-succeeded":
      return (
        style.green(`attempt ${event.attempt} answered in ${time(event.tookMs)}`) +
        (event.firstTokenMs === undefined ? "" : style.dim(` (first token after ${time(event.firstTokenMs)})`))
      )
    case "attempt-failed":
      return `${style.red(`attempt ${event.attempt} failed after ${time(event.tookMs)}`)}: ${errorText(event.error)}`
    case "retry-scheduled":
      return (
        style.yellow(`waiting ${time(event.delayMs)}, then asking ${event.target} again`) +
        (event.error.retryAfter === undefined ? "" : style.dim(" (the provider said when)"))
      )
    case "failed-over":
      return style.yellow(`switching from ${event.from} to ${event.to}`)
    case "stream-continued":
      return style.yellow(`${event.target} goes on after ${event.characters} characters (${event.method})`)
    case "malformed-event":
      return style.yellow(`skipped an event of ${event.provider}/${event.model} that could not be read`)
    case "circuit-rejected":
      return style.yellow(`the circuit of ${event.key} is ${event.state}, for ${time(event.retryAfterMs)} more`)
    case "circuit-changed":
      return style.yellow(`the circuit of ${event.key} is ${event.to} (${event.reason})`)
    case "quota-paused":
      return style.yellow(`nothing is sent to ${event.key} for ${time(event.pauseMs)}`)
    case "limit-waited":
      return style.yellow(`waited ${time(event.waitedMs)} for the limit ${event.limiter}`)
    case "cache-hit":
      return style.green(`answered from the cache (${event.cached.source})`)
    case "budget-threshold":
      return style.yellow(`${Money.format(event.spent)} of the budget of ${Money.format(event.limit)} is spent`)
    case "budget-rejected":
      return style.yellow(`the call may cost ${Money.format(event.needed)}, which the budget does not have`)
    case "budget-unpriced":
      return style.yellow(`${event.target} has no price: what it costs is not counted`)
    case "ledger-records-lost":
      return style.yellow("records of the ledger were lost")
    case "request-finished":
      return style.dim(
        `${event.outcome === "success" ? "answered" : event.outcome === "failure" ? "not answered" : "interrupted"} ` +
          `after ${event.attempts.length} ${event.attempts.length === 1 ? "attempt" : "attempts"} in ${time(event.tookMs)}`
      )
    default:
      return undefined
  }
}
