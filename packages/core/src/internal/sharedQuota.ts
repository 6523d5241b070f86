/**
 * The quota that several processes share: a bucket for each kind (requests, tokens, tokens of prompts, of answers) that
 * refills over its window and may be overdrawn, and a pause, decided together.
 *
 * Each caller brings the limits it knows; a kind it knows no limit of has the limit that others brought.
 */
import { slack } from "./limitRule.ts"

/** One value for each kind of quota. */
export type PerKind<A> = readonly [requests: A, tokens: A, inputTokens: A, outputTokens: A]

/** A kind's limit; `Infinity` for none. */
export interface Limit {
  readonly limit: number
  readonly windowMs: number
}

/** A grant, as far as it takes to correct it later. */
export interface Grant {
  /** The store's time. */
  readonly at: number
  /** What was used of each kind right after it. */
  readonly used: PerKind<number>
}

export interface Decision {
  readonly granted: boolean
  /** Milliseconds until it may be worth asking again: 0 for a grant, `Infinity` for never. */
  readonly waitMs: number
  /** The place of the kind that makes wait the longest; `undefined` for none, or only a pause. */
  readonly kind: number | undefined
  /** What is left of each kind: below 0 while overdrawn, `Infinity` without a limit. */
  readonly remaining: PerKind<number>
  /** Milliseconds that nothing is granted, 0 for none. */
  readonly pausedMs: number
  readonly grant: Grant
}

export interface SharedQuotaState {
  atMs: number
  /** Grants from before are not known here, and are not given back. */
  begunMs: number
  pausedUntilMs: number
  readonly used: [number, number, number, number]
  /** 0 where no limit is known. */
  readonly limits: [number, number, number, number]
  readonly windows: [number, number, number, number]
}

export const makeSharedQuota = (now: number): SharedQuotaState => ({
  atMs: now,
  begunMs: now,
  pausedUntilMs: -Infinity,
  used: [0, 0, 0, 0],
  limits: [0, 0, 0, 0],
  windows: [1, 1, 1, 1]
})

const kinds = [0, 1, 2, 3] as const
const perKind = (f: (kind: 0 | 1 | 2 | 3) => number): PerKind<number> => [f(0), f(1), f(2), f(3)]
const rateOf = (state: SharedQuotaState, kind: 0 | 1 | 2 | 3): number => state.limits[kind] / state.windows[kind]

const advance = (state: SharedQuotaState, now: number): void => {
  const passed = Math.max(0, now - state.atMs)
  for (const kind of kinds) state.used[kind] = Math.max(0, state.used[kind] - passed * rateOf(state, kind))
  state.atMs = Math.max(state.atMs, now)
}

const adopt = (state: SharedQuotaState, limits: PerKind<Limit>): void => {
  for (const kind of kinds) {
    if (limits[kind].limit === Infinity) continue
    state.limits[kind] = limits[kind].limit
    state.windows[kind] = limits[kind].windowMs
  }
}

/** Milliseconds until a kind has room, or `Infinity`. */
const waitOf = (state: SharedQuotaState, kind: 0 | 1 | 2 | 3, need: number, startMs: number): number => {
  const limit = state.limits[kind]
  if (limit === 0 || need === 0) return 0
  if (need > limit) return Infinity
  const over = state.used[kind] + need - limit
  return over <= slack ? 0 : Math.max(0, over / rateOf(state, kind) - (startMs - state.atMs))
}

/** Counts the need of every kind if all of it fits, and nothing otherwise. A need of nothing is a look. */
export const sharedReserve = (
  state: SharedQuotaState,
  limits: PerKind<Limit>,
  need: PerKind<number>,
  now: number
): Decision => {
  advance(state, now)
  adopt(state, limits)
  const startMs = Math.max(state.atMs, state.pausedUntilMs)
  let longest = 0
  let kind: number | undefined
  for (const each of kinds) {
    const wait = waitOf(state, each, need[each], startMs)
    if (wait > longest) [longest, kind] = [wait, each]
  }
  const pausedMs = startMs - state.atMs
  const granted = pausedMs + longest === 0
  if (granted) for (const each of kinds) if (state.limits[each] > 0) state.used[each] += need[each]
  return {
    granted,
    waitMs: pausedMs + longest,
    kind,
    remaining: perKind((each) => (state.limits[each] === 0 ? Infinity : state.limits[each] - state.used[each])),
    pausedMs,
    grant: { at: state.atMs, used: perKind((each) => state.used[each]) }
  }
}

/**
 * Corrects a grant: above 0 is used on top, be it more than there is; below 0 is given back, as far as it cannot have
 * refilled by itself since.
 */
export const sharedSettle = (
  state: SharedQuotaState,
  limits: PerKind<Limit>,
  grant: Grant,
  correction: PerKind<number>,
  now: number
): void => {
  advance(state, now)
  adopt(state, limits)
  const known = grant.at >= state.begunMs
  for (const kind of kinds) {
    if (state.limits[kind] === 0) continue
    const left = known ? Math.max(0, grant.used[kind] - (state.atMs - grant.at) * rateOf(state, kind)) : 0
    state.used[kind] = Math.max(0, state.used[kind] + Math.max(correction[kind], -left))
  }
}

/** Grants nothing for so many milliseconds, or for longer if that was so before. */
export const sharedPause = (state: SharedQuotaState, ms: number, now: number): void => {
  advance(state, now)
  state.pausedUntilMs = Math.max(state.pausedUntilMs, state.atMs + ms)
}
