/** What the headers of a request say of the call: whose it is, how long it may take, and how strict it is. */
import { type Call, LLMConfig } from "@breakwater/core"
import * as Duration from "effect/Duration"
import type { Exchange } from "./Exchange.ts"
import { type Problem, problem } from "./Problem.ts"

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** Controls of one call. */
export type Controls = Pick<
  Call.StreamOptions,
  "context" | "requestId" | "timeout" | "strict" | "cache" | "streamPolicy"
>

const wrongHeader = (name: string, allowed: string): Problem =>
  problem("invalid-request", `The header ${name} must be ${allowed}.`, { param: name })

const cacheModes: { readonly [mode: string]: Call.CallControls["cache"] } = {
  "no-cache": { noCache: true },
  "no-store": { noStore: true },
  "read-only": { readOnly: true },
  off: { noCache: true, noStore: true }
}

const label = /^[\x21-\x7e]{1,128}$/

const contextOf = (exchange: Exchange): Call.CallControls["context"] | Problem => {
  const principal = exchange.principal!
  const tags = exchange
    .header("x-breakwater-tags")
    ?.split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "")
  // What the key or the token says was accepted with it, whatever it looks like; only the client's own words are checked.
  const userHeader = principal.user === undefined ? exchange.header("x-breakwater-user") : undefined
  const projectHeader = principal.project === undefined ? exchange.header("x-breakwater-project") : undefined
  const user = principal.user ?? userHeader
  const project = principal.project ?? projectHeader
  const priority = principal.priority ?? exchange.header("x-breakwater-priority")
  if (tags !== undefined && (tags.length > 20 || !tags.every((tag) => label.test(tag)))) {
    return wrongHeader("x-breakwater-tags", "at most 20 tags with commas between, each at most 128 visible characters")
  }
  if (userHeader !== undefined && !label.test(userHeader))
    return wrongHeader("x-breakwater-user", "1 to 128 visible characters")
  if (projectHeader !== undefined && !label.test(projectHeader))
    return wrongHeader("x-breakwater-project", "1 to 128 visible characters")
  if (priority !== undefined && priority !== "interactive" && priority !== "batch") {
    return wrongHeader("x-breakwater-priority", "interactive or batch")
  }
  return {
    tenant: principal.tenant,
    key: principal.id,
    ...(user === undefined ? {} : { user }),
    ...(project === undefined ? {} : { project }),
    ...(tags === undefined ? {} : { tags }),
    ...(priority === undefined ? {} : { priority })
  }
}

/**
 * Reads the headers, or says which one is wrong. A client may want its answer sooner than the configuration allows for, and
 * not later.
 */
export const controlsOf = (exchange: Exchange, totalMs: number | undefined): Controls | Problem => {
  const context = contextOf(exchange)
  if (context !== undefined && "_tag" in context) return context
  const out: Mutable<Controls> = { requestId: exchange.requestId, ...(context === undefined ? {} : { context }) }
  const timeout = exchange.header("x-breakwater-timeout")
  if (timeout !== undefined) {
    const parsed = LLMConfig.parseDuration(timeout)
    if (parsed === undefined) return wrongHeader("x-breakwater-timeout", "a duration such as 30s or 1500ms")
    out.timeout = totalMs === undefined ? parsed : Duration.min(parsed, Duration.millis(totalMs))
  }
  const strict = exchange.header("x-breakwater-strict")
  if (strict !== undefined) {
    if (strict !== "true" && strict !== "false") return wrongHeader("x-breakwater-strict", "true or false")
    out.strict = strict === "true"
  }
  const cache = exchange.header("x-breakwater-cache")
  if (cache !== undefined) {
    const mode = Object.hasOwn(cacheModes, cache) ? cacheModes[cache] : undefined
    if (mode === undefined) return wrongHeader("x-breakwater-cache", Object.keys(cacheModes).join(", "))
    out.cache = mode
  }
  const policy = exchange.header("x-breakwater-stream-policy")
  if (policy !== undefined) {
    if (policy !== "fail" && policy !== "continue" && policy !== "buffer") {
      return wrongHeader("x-breakwater-stream-policy", "fail, continue or buffer")
    }
    out.streamPolicy = policy
  }
  return out
}
