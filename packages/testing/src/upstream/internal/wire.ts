/** What the two wires have in common, as the faults see them. */
import type { Answer } from "./answer.ts"
import type { Ask } from "./Ask.ts"

/** One server-sent event, or several that belong together. */
export interface Frame {
  readonly kind: "head" | "content" | "finish" | "done"
  readonly bytes: string
}

export type Problem =
  | "rate-limit"
  | "rate-limit-no-hint"
  | "rate-limit-body-hint"
  | "quota"
  | "server"
  | "overloaded-503"
  | "overloaded-529"
  | "context-length"
  | "content-filter"
  | "prefill"
  | "auth"
  | "not-found"
  | "bad-request"

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What an answer is stamped with. */
export interface Stamp {
  /** Counts the server's requests: ids are made of it. */
  readonly number: number
  readonly seconds: number
}

export interface Wire {
  readonly headers: (stamp: Stamp) => Readonly<Record<string, string>>
  readonly whole: (ask: Ask, answer: Answer, stamp: Stamp) => string
  readonly frames: (ask: Ask, answer: Answer, stamp: Stamp) => ReadonlyArray<Frame>
  /** `detail` is the Retry-After in seconds for rate limits, and the complaint for a bad request. */
  readonly problem: (problem: Problem, ask: { readonly model: string }, stamp: Stamp, detail?: string) => Reply
  readonly errorFrame: string
  readonly malformedFrame: string
  readonly keepAlive: string
}

export const id = (prefix: string, stamp: Stamp): string => `${prefix}${String(stamp.number).padStart(12, "0")}`
