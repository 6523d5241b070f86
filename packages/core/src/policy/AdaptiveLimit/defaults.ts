/**
 * What options have that are left out.
 */
import type { Options } from "../AdaptiveLimit.ts"

/** Defaults of `make`. */
export const defaults = {
  algorithm: "gradient2",
  initial: 20,
  min: 1,
  max: 200,
  smoothing: 0.2,
  longWindow: 600,
  tolerance: 1.5,
  queueSize: 4,
  backoff: 0.9,
  slow: "10 seconds",
  maxWait: "30 seconds",
  maxWaiting: 10_000,
  patience: "15 seconds",
  maxKeys: 10_000
} as const satisfies Options
