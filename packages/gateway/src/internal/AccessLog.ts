/** One record a request: who, what, how it ended and what it took. Never a prompt, never a key. */
import type { Event } from "@breakwater/core"
import { dollars } from "../wire/Finished.ts"
import type { Exchange } from "./Exchange.ts"

export interface AccessRecord {
  readonly requestId: string
  readonly method: string
  readonly path: string
  /** 499 when the client left before there was an answer. */
  readonly status: number
  readonly tookMs: number
  /** The id of the key, or the subject of the token. */
  readonly caller?: string
  readonly tenant?: string
  readonly user?: string
  readonly project?: string
  readonly target?: string
  readonly attempts: number
  readonly error?: string
  /** Of all attempts together, as far as they are known. */
  readonly tokens?: { readonly input: number; readonly output: number; readonly cachedInput?: number }
  /** Dollars, of all attempts whose cost is known. */
  readonly cost?: string
  /** Dollars that a cached answer had cost when it was made. */
  readonly saved?: string
  /** Which cache answered. */
  readonly cached?: string
  /** From the beginning of the call to its first content; streams only. */
  readonly firstTokenMs?: number
  /** The same for calls that ask the same, where hashes are wanted. */
  readonly promptHash?: string
  /** Of the `traceparent` that the request came with. */
  readonly traceId?: string
}

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000

const tokensOf = ({ attempts }: Event.RequestFinished): AccessRecord["tokens"] => {
  let [input, output, cachedInput, known] = [0, 0, 0, false]
  for (const { usage } of attempts) {
    if (usage === undefined) continue
    known = true
    input += usage.inputTokens
    output += usage.outputTokens
    cachedInput += usage.cachedInputTokens ?? 0
  }
  return known ? { input, output, ...(cachedInput === 0 ? {} : { cachedInput }) } : undefined
}

const firstTokenOf = ({ attempts, startedAt }: Event.RequestFinished): number | undefined => {
  const first = attempts.find(({ firstTokenMs }) => firstTokenMs !== undefined)
  return first === undefined ? undefined : rounded(first.startedAt - startedAt + first.firstTokenMs!)
}

const callOf = (finished: Event.RequestFinished): Partial<AccessRecord> => {
  const { cached, context, cost, promptHash, savedNanos } = finished
  const tokens = tokensOf(finished)
  const firstTokenMs = firstTokenOf(finished)
  return {
    ...(context.user === undefined ? {} : { user: context.user }),
    ...(context.project === undefined ? {} : { project: context.project }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(cost === undefined ? {} : { cost: dollars(cost.nanoDollars) }),
    ...(savedNanos === undefined ? {} : { saved: dollars(savedNanos) }),
    ...(cached === undefined ? {} : { cached: cached.source }),
    ...(firstTokenMs === undefined ? {} : { firstTokenMs }),
    ...(promptHash === undefined ? {} : { promptHash })
  }
}

const traceOf = (exchange: Exchange): string | undefined => {
  const id = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(exchange.header("traceparent") ?? "")?.[1]
  return id === undefined || /^0+$/.test(id) ? undefined : id
}

export const recordOf = (exchange: Exchange, tookMs: number): AccessRecord => {
  const { finished, principal, req, res } = exchange
  const traceId = traceOf(exchange)
  return {
    requestId: exchange.requestId,
    method: req.method ?? "",
    path: exchange.path.slice(0, 200),
    status: res.headersSent ? res.statusCode : 499,
    tookMs: rounded(tookMs),
    ...(principal === undefined ? {} : { caller: principal.id, tenant: principal.tenant }),
    ...(exchange.target === undefined ? {} : { target: exchange.target }),
    attempts: exchange.attempts,
    ...(exchange.error === undefined ? {} : { error: exchange.error }),
    ...(finished === undefined ? {} : callOf(finished)),
    ...(traceId === undefined ? {} : { traceId })
  }
}
