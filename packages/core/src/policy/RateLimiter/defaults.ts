/**
 * What options have that are left out.
 */
import type { LimiterOptions } from "../RateLimiter.ts"

/** Defaults of `make`. */
export const defaults = {
  name: "limiter",
  maxWait: "60 seconds",
  maxWaiting: 10_000,
  patience: "30 seconds",
  onStoreError: "local"
} as const satisfies LimiterOptions
