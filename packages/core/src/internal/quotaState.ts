/**
 * The quota of one target: requests and tokens a minute, a pause after a refusal, a ramp after a pause, and an
 * adaptive rate, decided together.
 */
import type { RateLimits } from "../domain/RateLimits.ts"
import {
  type AimdRate,
  type AimdRateOptions,
  aimdClean,
  aimdGive,
  aimdRefused,
  aimdTake,
  aimdWait,
  makeAimdRate
} from "./aimdRate.ts"
import { learn, makeMeter, type Meter, type Ramp, reserve, settle, waitFor } from "./meter.ts"

/** What a call needs: tokens of the prompt and of the answer. */
export interface Need {
  readonly inputTokens: number
  readonly outputTokens: number
}

/** The kinds of quota, in the order of their meters. */
export const scopes = ["requests", "tokens", "input-tokens", "output-tokens"] as const
export type Scope = (typeof scopes)[number]

const headers = ["requests", "tokens", "inputTokens", "outputTokens"] as const

export interface QuotaRules {
  /** Calls and tokens a minute, in the order of {@link scopes}; `Infinity` for no limit. */
  readonly limits: readonly [requests: number, tokens: number, input: number, output: number]
  readonly ramp: Ramp
  readonly aimd: AimdRateOptions | undefined
  readonly learn: boolean
  /** The first pause after a refusal without a hint; doubled with every further one, up to `maxPauseMs`. */
  readonly pauseMs: number
  readonly maxPauseMs: number
}

export interface QuotaState {
  readonly rules: QuotaRules
  readonly meters: readonly [Meter, Meter, Meter, Meter]
  readonly aimd: AimdRate | undefined
  pausedUntilMs: number
  rampFromMs: number
  /** Refusals without a hint in a row. */
  hintless: number
}

/** What a call took, and what had been reserved when it did. */
export interface Reservation extends Need {
  readonly atMs: number
  readonly totals: readonly [number, number, number, number]
}

export const makeQuotaState = (rules: QuotaRules, now: number): QuotaState => ({
  rules,
  meters: [
    makeMeter(rules.limits[0]),
    makeMeter(rules.limits[1]),
    makeMeter(rules.limits[2]),
    makeMeter(rules.limits[3])
  ],
  aimd: rules.aimd === undefined ? undefined : makeAimdRate(rules.aimd),
  pausedUntilMs: -Infinity,
  rampFromMs: now,
  hintless: 0
})

const amount = (need: Need, calls: number, kind: number): number =>
  kind === 0
    ? calls
    : kind === 1
      ? need.inputTokens + need.outputTokens
      : kind === 2
        ? need.inputTokens
        : need.outputTokens

/** The kind that can never hold this, or `undefined`. */
export const neverFits = (state: QuotaState, need: Need): Scope | undefined => {
  for (let kind = 1; kind < 4; kind++) {
    if (amount(need, 1, kind) > state.meters[kind]!.limit) return scopes[kind]
  }
  return undefined
}

/** Milliseconds until so many calls with so many tokens in all can have gone. */
export const quotaWait = (state: QuotaState, need: Need, calls: number, now: number): number => {
  const start = Math.max(now, state.pausedUntilMs)
  let wait = 0
  for (let kind = 0; kind < 4; kind++) {
    const meter = state.meters[kind]!
    if (meter.limit === Infinity) continue
    wait = Math.max(wait, waitFor(meter, start, amount(need, calls, kind), state.rules.ramp, state.rampFromMs))
  }
  if (state.aimd !== undefined) {
    const next = aimdWait(state.aimd, state.rules.aimd!, start)
    if (next > 0 || calls > 1) wait = Math.max(wait, next + pacing(state, calls))
  }
  return start - now + wait
}

const pacing = (state: QuotaState, calls: number): number =>
  state.aimd!.rate >= state.rules.aimd!.max ? 0 : ((calls - 1) * 1000) / state.aimd!.rate

/** The kind that makes wait the longest. */
export const tightest = (state: QuotaState, need: Need, now: number): Scope => {
  const start = Math.max(now, state.pausedUntilMs)
  let found: Scope = "requests"
  let most = 0
  for (let kind = 0; kind < 4; kind++) {
    const wait = waitFor(state.meters[kind]!, start, amount(need, 1, kind), state.rules.ramp, state.rampFromMs)
    if (wait > most) {
      most = wait
      found = scopes[kind]!
    }
  }
  return found
}

export const quotaTake = (state: QuotaState, need: Need, now: number): Reservation => {
  const [requests, tokens, input, output] = state.meters
  reserve(requests, now, 1)
  reserve(tokens, now, need.inputTokens + need.outputTokens)
  reserve(input, now, need.inputTokens)
  reserve(output, now, need.outputTokens)
  if (state.aimd !== undefined) aimdTake(state.aimd, now)
  return {
    inputTokens: need.inputTokens,
    outputTokens: need.outputTokens,
    atMs: now,
    totals: [requests.total, tokens.total, input.total, output.total]
  }
}

/** Milliseconds until the pause and the adaptive rate let the next call go, whatever the limits say. */
export const paceWait = (state: QuotaState, now: number): number => {
  const start = Math.max(now, state.pausedUntilMs)
  return start - now + (state.aimd === undefined ? 0 : aimdWait(state.aimd, state.rules.aimd!, start))
}

/** Lets a call go that keeps to the pace and is not counted. Only what it says of the limits and the pace is taken. */
export const paceTake = (state: QuotaState, now: number): Reservation => {
  if (state.aimd !== undefined) aimdTake(state.aimd, now)
  const [requests, tokens, input, output] = state.meters
  const totals = [requests.total, tokens.total, input.total, output.total] as const
  return { inputTokens: 0, outputTokens: 0, atMs: now, totals }
}

/** A pause that somebody else has met: the pace grows back after it as after one of our own. */
export const quotaPausedUntil = (state: QuotaState, untilMs: number): void => {
  if (untilMs <= state.pausedUntilMs) return
  state.pausedUntilMs = untilMs
  state.rampFromMs = untilMs
}

/** Replaces a reservation by what was really used; `called` is false for a call that never reached the provider. */
export const quotaSettle = (state: QuotaState, held: Reservation, actual: Need, called: boolean, now: number): void => {
  const [requests, tokens, input, output] = state.meters
  if (!called) {
    settle(requests, now, 1, 0)
    if (state.aimd !== undefined) aimdGive(state.aimd, now)
  }
  settle(tokens, now, held.inputTokens + held.outputTokens, actual.inputTokens + actual.outputTokens)
  settle(input, now, held.inputTokens, actual.inputTokens)
  settle(output, now, held.outputTokens, actual.outputTokens)
}

/** Takes over a provider's limits. Calls back for each that was not known before. */
export const quotaLearn = (
  state: QuotaState,
  held: Reservation,
  limits: RateLimits,
  now: number,
  changed: (scope: Scope, meter: Meter) => void
): void => {
  if (!state.rules.learn) return
  for (let kind = 0; kind < 4; kind++) {
    const said = limits[headers[kind]!]
    if (said !== undefined && learn(state.meters[kind]!, now, said, held.totals[kind]!)) {
      changed(scopes[kind]!, state.meters[kind]!)
    }
  }
}

/** A call went well. True when the adaptive rate has changed. */
export const quotaClean = (state: QuotaState): boolean => {
  state.hintless = 0
  return state.aimd !== undefined && aimdClean(state.aimd, state.rules.aimd!)
}

/** The provider said "too many": pauses, and ramps up afterwards. Answers the pause in milliseconds. */
export const quotaRefused = (state: QuotaState, hintMs: number | undefined, held: Reservation, now: number) => {
  const stale = held.atMs < state.pausedUntilMs && hintMs === undefined
  const guess = stale ? 0 : Math.min(state.rules.maxPauseMs, state.rules.pauseMs * 2 ** Math.min(state.hintless++, 30))
  const pauseMs = hintMs ?? guess
  if (now + pauseMs > state.pausedUntilMs) state.pausedUntilMs = now + pauseMs
  state.rampFromMs = state.pausedUntilMs
  const adapted = state.aimd !== undefined && aimdRefused(state.aimd, state.rules.aimd!, held.atMs, now)
  return { pauseMs: Math.max(0, state.pausedUntilMs - now), adapted }
}
