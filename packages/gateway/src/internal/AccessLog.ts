/** One record a request: who, what, how it ended. Never a prompt, never a key. */
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
  readonly target?: string
  readonly attempts: number
  readonly error?: string
}

export const recordOf = (exchange: Exchange, tookMs: number): AccessRecord => {
  const { principal, req, res } = exchange
  return {
    requestId: exchange.requestId,
    method: req.method ?? "",
    path: exchange.path.slice(0, 200),
    status: res.headersSent ? res.statusCode : 499,
    tookMs: Math.round(tookMs * 1_000) / 1_000,
    ...(principal === undefined ? {} : { caller: principal.id, tenant: principal.tenant }),
    ...(exchange.target === undefined ? {} : { target: exchange.target }),
    attempts: exchange.attempts,
    ...(exchange.error === undefined ? {} : { error: exchange.error })
  }
}
