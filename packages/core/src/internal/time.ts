/**
 * Reading Effect's clock without an effect.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"

/** The clock of a fiber, or of the context it had: a fiber loses its own when it ends. */
export const clockOf = (from: { readonly context: Context.Context<never> }): Clock.Clock =>
  Context.get(from.context, Clock.Clock)

/** Milliseconds of a clock's monotonic time; fractions are kept. */
export const monotonicMs = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
