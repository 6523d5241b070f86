/**
 * Reading Effect's clock without an effect.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"

/** The clock of a fiber. */
export const clockOf = (fiber: Fiber.Fiber<unknown, unknown>): Clock.Clock => Context.get(fiber.context, Clock.Clock)

/** Milliseconds of a clock's monotonic time; fractions are kept. */
export const monotonicMs = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
