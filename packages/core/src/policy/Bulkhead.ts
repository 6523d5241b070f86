/**
 * Bounds the calls under way at a target.
 *
 * This file fixes the service and its place in the pipeline; the queue itself comes with its own release.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Admit } from "../domain/Attempt.ts"

/** The bulkhead as the pipeline uses it. */
export interface BulkheadService {
  /** Takes a slot, waiting in a bounded queue, or fails with `BulkheadFullError`; `undefined` for no bound. */
  readonly admit: Admit | undefined
}

export class Bulkhead extends Context.Service<Bulkhead, BulkheadService>()("@breakwater/core/Bulkhead") {}

/** A bulkhead without a bound, which costs nothing. */
export const layerNoop: Layer.Layer<Bulkhead> = Layer.succeed(Bulkhead, { admit: undefined })
