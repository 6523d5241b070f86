/** From draws between 0 and 1 to the fate of a call: pure, so that a seed always means the same faults. */
import type { Kind } from "../Failures.ts"

export type Fate =
  | { readonly _tag: "none" }
  | { readonly _tag: "error"; readonly kind: Kind }
  | { readonly _tag: "rate-limit"; readonly retryAfterMillis: number | undefined }
  | { readonly _tag: "cut"; readonly afterParts: number }
  | { readonly _tag: "stall"; readonly afterParts: number }
  | { readonly _tag: "malformed"; readonly as: "error" | "text"; readonly afterParts: number }

export type Wait =
  | { readonly kind: "constant"; readonly millis: number }
  | { readonly kind: "uniform"; readonly min: number; readonly max: number }
  | { readonly kind: "exponential"; readonly mean: number; readonly max: number }
  | { readonly kind: "lognormal"; readonly median: number; readonly sigma: number; readonly max: number }

/** Options as numbers: rates that add up to at most 1, waits in milliseconds. */
export interface Chances {
  readonly errors: { readonly rate: number; readonly mix: ReadonlyArray<readonly [Kind, number]> }
  readonly rateLimits: { readonly rate: number; readonly hint: readonly [min: number, max: number] | undefined }
  readonly cut: { readonly rate: number; readonly withinParts: number }
  readonly stall: { readonly rate: number; readonly withinParts: number }
  readonly malformed: { readonly rate: number; readonly as: "error" | "text"; readonly withinParts: number }
}

const pick = (mix: ReadonlyArray<readonly [Kind, number]>, draw: number): Kind => {
  let left = draw * mix.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [kind, weight] of mix) {
    left -= weight
    if (left < 0) return kind
  }
  return (mix[mix.length - 1] as readonly [Kind, number])[0]
}

/** What happens to a call: `which` chooses the fault, `detail` its details. */
export const fateOf = (chances: Chances, which: number, detail: number): Fate => {
  const place = (within: number) => Math.floor(detail * (within + 1))
  let left = which
  if ((left -= chances.errors.rate) < 0) return { _tag: "error", kind: pick(chances.errors.mix, detail) }
  if ((left -= chances.rateLimits.rate) < 0) {
    const hint = chances.rateLimits.hint
    return { _tag: "rate-limit", retryAfterMillis: hint && Math.round(hint[0] + detail * (hint[1] - hint[0])) }
  }
  if ((left -= chances.cut.rate) < 0) return { _tag: "cut", afterParts: place(chances.cut.withinParts) }
  if ((left -= chances.stall.rate) < 0) return { _tag: "stall", afterParts: place(chances.stall.withinParts) }
  if ((left -= chances.malformed.rate) < 0) {
    return { _tag: "malformed", as: chances.malformed.as, afterParts: place(chances.malformed.withinParts) }
  }
  return { _tag: "none" }
}

/**
 * A wait drawn from a distribution, in milliseconds. The normal behind the lognormal is one of Box and Muller's
 * pair, made of both draws.
 */
export const waitOf = (wait: Wait, draw: number, other: number): number => {
  // A draw of exactly 0 would be an infinite wait.
  const above0 = 1 - draw
  switch (wait.kind) {
    case "constant":
      return wait.millis
    case "uniform":
      return wait.min + draw * (wait.max - wait.min)
    case "exponential":
      return Math.min(wait.max, -Math.log(above0) * wait.mean)
    case "lognormal": {
      const normal = Math.sqrt(-2 * Math.log(above0)) * Math.cos(2 * Math.PI * other)
      return Math.min(wait.max, wait.median * Math.exp(wait.sigma * normal))
    }
  }
}
