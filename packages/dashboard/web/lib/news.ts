/** An event of a policy as a line of news: pure. */
import type { PolicyEvent } from "../api/types.ts"
import { count, duration, errorName, nanos, percent } from "./format.ts"

export interface News {
  readonly tone: "good" | "warn" | "bad" | "plain" | "accent"
  readonly title: string
  readonly text: string
}

const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "")
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined)

const errorOf = (event: PolicyEvent): string => {
  const error = event["error"] as { readonly _tag?: unknown } | undefined
  return typeof error?._tag === "string" ? errorName(error._tag) : ""
}

const circuitTones = { closed: "good", "half-open": "warn", open: "bad", "forced-open": "bad" } as const

type Writer = (event: PolicyEvent) => News

const news = (tone: News["tone"], title: string, ...parts: ReadonlyArray<string>): News => ({
  tone,
  title,
  text: parts.filter((part) => part !== "").join(" ")
})

const writers: Readonly<Record<string, Writer>> = {
  "circuit-changed": (event) => {
    const to = text(event["to"])
    const openFor = number(event["openForMs"])
    return news(
      circuitTones[to as keyof typeof circuitTones] ?? "plain",
      `circuit ${to}`,
      text(event["key"]),
      `(${text(event["reason"]).replaceAll("-", " ")}${openFor === undefined ? "" : `, for ${duration(openFor)}`})`
    )
  },
  "circuit-rejected": (event) => news("plain", "turned away", `by the circuit of ${text(event["key"])}`),
  "retry-scheduled": (event) =>
    news("warn", "retry", `${text(event["target"])} in ${duration(number(event["delayMs"]))},`, errorOf(event)),
  "failed-over": (event) => news("warn", "failover", `${text(event["from"])} → ${text(event["to"])},`, errorOf(event)),
  "stream-continued": (event) =>
    news(
      "warn",
      "stream goes on",
      `at ${text(event["target"])} after ${count(number(event["characters"]))} characters`
    ),
  "hedge-started": (event) => news("accent", "hedge", `beside ${text(event["key"])}, ${text(event["reason"])}`),
  "hedge-won": (event) => news("good", "hedge won", text(event["target"])),
  "hedge-lost": (event) => news("plain", "hedge lost", text(event["target"])),
  "request-finished": (event) => news("bad", "request failed", errorOf(event)),
  "cache-hit": (event) => news("good", "cache hit", `${text(event["target"])} (${text(event["cache"])})`),
  "limit-rejected": (event) => news("bad", "limit", `${text(event["limiter"])} turned ${text(event["key"])} away`),
  "limit-waited": (event) =>
    news("plain", "waited", `${duration(number(event["waitedMs"]))} for the limit of ${text(event["key"])}`),
  "bulkhead-rejected": (event) => news("bad", "no place", `${text(event["key"])} (${text(event["reason"])})`),
  "bulkhead-waited": (event) =>
    news("plain", "waited", `${duration(number(event["waitedMs"]))} for a place at ${text(event["key"])}`),
  "quota-paused": (event) =>
    news("warn", "paused", `${text(event["key"])} for ${duration(number(event["pauseMs"]))}, as the provider asked`),
  "budget-threshold": (event) =>
    news(
      event["threshold"] === "soft" ? "warn" : "accent",
      "budget",
      `${text(event["budget"])} ${text(event["value"])} has spent`,
      event["threshold"] === "soft" ? "its soft limit" : percent(number(event["threshold"])),
      `(${nanos(text(event["spent"]))} of ${nanos(text(event["limit"]))})`
    ),
  "budget-rejected": (event) =>
    news("bad", "budget", `${text(event["budget"])} ${text(event["value"])} has not enough left`),
  "store-lost": (event) => news("bad", "store lost", `${text(event["store"])}, ${text(event["mode"])}`),
  "store-recovered": (event) => news("good", "store is back", text(event["store"])),
  "malformed-event": (event) =>
    news("warn", "unreadable event", `from ${text(event["provider"])}/${text(event["model"])}`)
}

/** The line of an event; one of a kind this page does not know is told by its name. */
export const newsOf = (event: PolicyEvent): News => {
  const writer = Object.hasOwn(writers, event.type) ? writers[event.type] : undefined
  if (writer !== undefined) return writer(event)
  const about = text(event["key"]) || text(event["target"]) || text(event["store"])
  return news(errorOf(event) === "" ? "plain" : "warn", event.type.replaceAll("-", " "), about, errorOf(event))
}
