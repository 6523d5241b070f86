/**
 * What the limit algorithms have in common: a rule as plain numbers, cells for the state of a key, and the
 * handful of questions every algorithm answers.
 *
 * Cells that are all zero are the state of a key nobody has asked for. The state of a key is a few numbers in
 * a shared `Float64Array`, so that a million keys are a few large arrays and not millions of objects. Times are
 * milliseconds of a monotonic clock; nothing here reads a clock.
 */

/** The five algorithms. */
export type AlgorithmName = "token-bucket" | "gcra" | "sliding-log" | "sliding-counter" | "fixed-window"

/** One window: at most `limit` in `windowMs`, counted as `algorithm` says. */
export interface Rule {
  readonly algorithm: AlgorithmName
  readonly limit: number
  readonly windowMs: number
  /** The most that can go at once. The windowed algorithms have their limit here. */
  readonly burst: number
}

/** Grants of one key in order: time and weight by turns, from `head` on. */
export interface Log {
  items: Array<number>
  head: number
}

/** The memory that states live in. */
export interface Cells {
  readonly numbers: Float64Array
  /** The sliding log's grants, at the index of the key's first cell. */
  readonly logs: Array<Log | undefined>
}

/** One algorithm. `at` is the index of the key's first cell. */
export interface Algorithm {
  /** How many cells a key takes. */
  readonly width: number
  /** Milliseconds until `weight`, at most the rule's burst, fits: 0 when it fits now. */
  readonly wait: (rule: Rule, cells: Cells, at: number, now: number, weight: number) => number
  /** Counts `weight`, whether it fits or not. */
  readonly take: (rule: Rule, cells: Cells, at: number, now: number, weight: number) => void
  /** Takes back a grant of `takenAt`, as far as it still counts. */
  readonly give: (rule: Rule, cells: Cells, at: number, now: number, weight: number, takenAt: number) => void
  /** How much could go now; never below zero. */
  readonly remaining: (rule: Rule, cells: Cells, at: number, now: number) => number
  /** From when on the state is as if nobody had asked. */
  readonly idleAt: (rule: Rule, cells: Cells, at: number) => number
}

/** Tokens of rounding that are forgiven, so that a wait of exactly the computed time is enough. */
export const slack = 1e-6

/** A wait as timers and hints have it: whole milliseconds, at least one, without the rounding of a division. */
export const wholeMs = (ms: number): number => Math.max(1, Math.ceil(ms - slack))
