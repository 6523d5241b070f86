import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { AttemptRecord } from "../domain/Call.ts"
import type { CallContext } from "../domain/CallContext.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"

/** A call as the ledger sees it. */
export interface LedgerCall {
  readonly context: CallContext
  readonly request: ProviderRequest | ProviderEmbedRequest
  readonly requestId?: string
}

export interface LedgerService {
  readonly record: ((call: LedgerCall, attempts: ReadonlyArray<AttemptRecord>) => void) | undefined
}

export class Ledger extends Context.Service<Ledger, LedgerService>()("@breakwater/core/Ledger") {}

/** No ledger, at no cost. */
export const layerNoop: Layer.Layer<Ledger> = Layer.succeed(Ledger, { record: undefined })
