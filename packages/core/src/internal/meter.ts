/**
 * A meter of one kind of quota (requests, or tokens): a bucket that refills over its window, may be overdrawn by
 * what a call really took, and takes over what a provider says of it.
 */
import { slack } from "./limitRule.ts"

/** What a provider's headers say of one kind. */
export interface Learned {
  readonly limit?: number
  readonly remaining?: number
  readonly resetMs?: number
}

export interface Meter {
  /** What the options allow in `windowMs`; `Infinity` for nothing said. */
  readonly configured: number
  /** The lower of what is configured and what the provider said. */
  limit: number
  windowMs: number
  /** Used as of `atMs`; above the limit it is debt. */
  used: number
  atMs: number
  /** Everything ever reserved, so that a call can tell what was reserved after it. */
  total: number
  /** When the provider says all it had counted is gone, and how much of `used` that is. */
  fullAtMs: number
  past: number
}

/** Growth of the allowance after a pause or a cold start. */
export interface Ramp {
  /** The part allowed at once at the beginning, over 0 to 1. */
  readonly from: number
  readonly overMs: number
}

const minute = 60_000
/** Windows that providers' continuous refills have. */
const knownWindows = [minute, 3_600_000, 86_400_000]

export const makeMeter = (configured: number): Meter => ({
  configured,
  limit: configured,
  windowMs: minute,
  used: 0,
  atMs: 0,
  total: 0,
  fullAtMs: Infinity,
  past: 0
})

/** What is used at a time not before the last change. */
export const usedAt = (meter: Meter, time: number): number => {
  const refill = meter.limit === Infinity ? 0 : (time - meter.atMs) * (meter.limit / meter.windowMs)
  const gone = time >= meter.fullAtMs ? Math.max(refill, meter.past) : refill
  return meter.used > gone ? meter.used - gone : 0
}

const advance = (meter: Meter, now: number): void => {
  if (now <= meter.atMs) return
  meter.used = usedAt(meter, now)
  meter.past = now >= meter.fullAtMs ? 0 : Math.max(0, meter.past - (now - meter.atMs) * (meter.limit / meter.windowMs))
  if (now >= meter.fullAtMs) meter.fullAtMs = Infinity
  meter.atMs = now
}

/**
 * Milliseconds until `amount` has gone, be it above the limit (that of many calls). During a ramp the allowance
 * grows from `ramp.from` of the limit; a meter at rest lets one call go whatever the ramp says.
 */
export const waitFor = (meter: Meter, now: number, amount: number, ramp: Ramp, rampFromMs: number): number => {
  const { limit } = meter
  if (limit === Infinity || amount === 0) return 0
  const used = usedAt(meter, now)
  const single = amount <= limit
  if (single && used <= slack) return 0
  const rampLeft = Math.max(0, rampFromMs + ramp.overMs - now)
  const rate = limit / meter.windowMs
  const growth = rampLeft > 0 ? (limit * (1 - ramp.from)) / ramp.overMs : 0
  const over = used + amount - (limit - growth * rampLeft)
  if (over <= slack) return 0
  const inRamp = over / (rate + growth)
  const wait = inRamp <= rampLeft ? inRamp : rampLeft + Math.max(0, used - rate * rampLeft + amount - limit) / rate
  return single ? Math.min(wait, used / rate, meter.fullAtMs > now ? meter.fullAtMs - now : Infinity) : wait
}

export const reserve = (meter: Meter, now: number, amount: number): void => {
  advance(meter, now)
  meter.used += amount
  meter.total += amount
}

/** Replaces a reservation by what was really used: more of it overdraws. */
export const settle = (meter: Meter, now: number, reserved: number, actual: number): void => {
  advance(meter, now)
  meter.used = Math.max(0, meter.used + actual - reserved)
}

/**
 * Takes over what a provider said in the answer to a call, after which `total - since` has been reserved and
 * cannot have been counted. True when the limit or its window is another one than before.
 */
export const learn = (meter: Meter, now: number, said: Learned, since: number): boolean => {
  advance(meter, now)
  const limit = positive(said.limit)
  const resetMs = positive(said.resetMs)
  const counted = limit === undefined || said.remaining === undefined ? 0 : limit - said.remaining
  const implied =
    counted >= 1 && resetMs !== undefined ? (windowOf((resetMs * limit!) / counted) ?? minute) : meter.windowMs
  // A provider's limit for an hour or a day says nothing of the options' limit for a minute.
  if (meter.configured !== Infinity && implied !== minute) return false
  const changed =
    limit !== undefined && (Math.min(meter.configured, limit) !== meter.limit || implied !== meter.windowMs)
  if (limit !== undefined) {
    meter.limit = Math.min(meter.configured, limit)
    meter.windowMs = implied
  }
  if (said.remaining !== undefined && said.remaining >= 0 && meter.limit !== Infinity) {
    const claimed = meter.limit - (said.remaining - (meter.total - since))
    // A share smaller than the provider's limit stays as it was counted here, unless even that is not left.
    meter.used = Math.max(0, limit === meter.limit ? claimed : Math.max(meter.used, claimed))
    meter.past = Math.min(meter.used, Math.max(0, meter.limit - said.remaining))
    meter.fullAtMs = resetMs === undefined ? Infinity : now + resetMs
  }
  return changed
}

const positive = (value: number | undefined): number | undefined =>
  value !== undefined && value > 0 && value < Infinity ? value : undefined

const windowOf = (implied: number): number | undefined =>
  knownWindows.find((window) => Math.abs(implied / window - 1) <= 0.25)
