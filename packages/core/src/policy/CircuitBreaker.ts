/**
 * Stops calls to a target that keeps failing.
 *
 * This file fixes the service and its place in the pipeline; the state machine comes with its own release.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Admit } from "../domain/Attempt.ts"

/** The circuit breaker as the pipeline uses it. */
export interface CircuitBreakerService {
  /** Admits an attempt or fails with `CircuitOpenError`; `undefined` for a breaker that admits everything. */
  readonly admit: Admit | undefined
}

export class CircuitBreaker extends Context.Service<CircuitBreaker, CircuitBreakerService>()(
  "@breakwater/core/CircuitBreaker"
) {}

/** A breaker that admits everything and costs nothing. */
export const layerNoop: Layer.Layer<CircuitBreaker> = Layer.succeed(CircuitBreaker, { admit: undefined })
