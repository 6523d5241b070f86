/**
 * Keeps requests and tokens per minute within a provider's limits.
 *
 * This file fixes the service and its place in the pipeline; the quota itself comes with its own release.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Admit } from "../domain/Attempt.ts"

/** The limiter as the pipeline uses it. */
export interface TokenQuotaService {
  /** Reserves an attempt's share or fails with a local `RateLimitError`; `undefined` for no limit. */
  readonly admit: Admit | undefined
}

export class TokenQuota extends Context.Service<TokenQuota, TokenQuotaService>()("@breakwater/core/TokenQuota") {}

/** A quota without a limit, which costs nothing. */
export const layerNoop: Layer.Layer<TokenQuota> = Layer.succeed(TokenQuota, { admit: undefined })
