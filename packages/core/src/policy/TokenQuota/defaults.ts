/**
 * What options have that are left out.
 */

/** Defaults of `make`. */
export const defaults = {
  keyBy: "target",
  defaultOutputTokens: 1_024,
  maxWait: "30 seconds",
  maxWaiting: 10_000,
  patience: "15 seconds",
  learn: true,
  ramp: { from: 0.1, over: "10 seconds" },
  adaptive: { min: 0.5, max: 20, decrease: 0.5, increase: 1.1, after: 10 },
  pause: "1 second",
  maxPause: "60 seconds",
  maxKeys: 10_000
} as const

/** Defaults of `makeShared`, beside those of `make`. */
export const sharedDefaults = { name: "quota", onStoreError: "local" } as const
