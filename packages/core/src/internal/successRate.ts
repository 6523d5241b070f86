/**
 * What retries of each kind of error have been worth lately.
 *
 * For every kind two weights are kept: retries made and retries that helped. Both halve every `halfLifeMs`. The
 * estimate is (helped + 1) / (made + 2), Laplace's rule of succession, which starts at one half.
 */

/** Validated settings; times in milliseconds. */
export interface Settings {
  readonly halfLifeMs: number
  /** Below this rate retries are held back. */
  readonly minRate: number
  /** Retries (after decay) before the rate is believed. */
  readonly minSamples: number
  /** The share of held-back retries that is made all the same. */
  readonly exploration: number
  /** Kinds kept; the one unused for longest gives way. */
  readonly maxKinds: number
}

interface Entry {
  made: number
  helped: number
  atMs: number
}

/** One kind of error, as of now. */
export interface KindRate {
  readonly kind: string
  readonly made: number
  readonly helped: number
  readonly rate: number
}

const decay = (entry: Entry, nowMs: number, halfLifeMs: number): void => {
  const elapsed = nowMs - entry.atMs
  if (elapsed <= 0) return
  const share = 0.5 ** (elapsed / halfLifeMs)
  entry.made *= share
  entry.helped *= share
  entry.atMs = nowMs
}

const rateOf = (entry: Entry): number => (entry.helped + 1) / (entry.made + 2)

/** The learned rates. Not to be shared between clocks. */
export class SuccessRates {
  readonly settings: Settings
  private readonly entries = new Map<string, Entry>()

  constructor(settings: Settings) {
    this.settings = settings
  }

  /** Whether a retry is worth making. `u` is a draw from [0, 1). */
  worthwhile(kind: string, nowMs: number, u: number): boolean {
    const entry = this.entries.get(kind)
    if (entry === undefined) return true
    decay(entry, nowMs, this.settings.halfLifeMs)
    if (entry.made < this.settings.minSamples || rateOf(entry) >= this.settings.minRate) return true
    return u < this.settings.exploration
  }

  /** Books how a retry went. */
  record(kind: string, helped: boolean, nowMs: number): void {
    const entry = this.entries.get(kind) ?? { made: 0, helped: 0, atMs: nowMs }
    decay(entry, nowMs, this.settings.halfLifeMs)
    entry.made += 1
    if (helped) entry.helped += 1
    // Deleting first moves the kind to the end: the map's order is the order of use.
    this.entries.delete(kind)
    this.entries.set(kind, entry)
    if (this.entries.size > this.settings.maxKinds) {
      for (const oldest of this.entries.keys()) {
        this.entries.delete(oldest)
        break
      }
    }
  }

  /** Takes back that the latest retry of a kind helped. */
  retract(kind: string, nowMs: number): void {
    const entry = this.entries.get(kind)
    if (entry === undefined) return
    decay(entry, nowMs, this.settings.halfLifeMs)
    entry.helped = Math.max(0, entry.helped - 1)
  }

  snapshot(nowMs: number): ReadonlyArray<KindRate> {
    return Array.from(this.entries, ([kind, entry]) => {
      decay(entry, nowMs, this.settings.halfLifeMs)
      return { kind, made: entry.made, helped: entry.helped, rate: rateOf(entry) }
    })
  }
}
