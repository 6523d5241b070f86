/**
 * A summary of calls in bounded memory. Calls are added as they end; summaries of several processes are added to one.
 */
import type { AttemptRecord } from "../domain/Call.ts"
import {
  type FinishedCall,
  maxPoints,
  maxTargets,
  other,
  stepMs,
  type SummaryState,
  type SummaryView
} from "./summaryState.ts"
import { ErrorTally } from "./summaryCounts.ts"
import { PointTally, TargetTally, TotalsTally } from "./summaryTallies.ts"

const hourMs = stepMs * maxPoints

/** The summary of one process: adds up calls. */
export class SummaryBook {
  private readonly sinceAt: number
  private readonly totals = new TotalsTally()
  private readonly errors = new ErrorTally()
  private readonly targets = new Map<string, TargetTally>()
  /** A ring: the place of a step is its number modulo the length. */
  private readonly ring: Array<PointTally | undefined> = Array.from({ length: maxPoints }, () => undefined)

  constructor(sinceAt: number) {
    this.sinceAt = sinceAt
  }

  /** `nowAt`: by the clock on the wall, which may have been set since the call began. */
  record(call: FinishedCall, nowAt = call.startedAt + call.tookMs): void {
    this.totals.add(call)
    if (call.error !== undefined) this.errors.add(call.error._tag)
    for (const attempt of call.attempts) {
      this.totals.tokens.add(attempt)
      this.target(attempt).add(attempt)
    }
    this.point(nowAt).add(call)
  }

  state(nowAt: number): SummaryState {
    const { errors, sinceAt, targets, totals } = this
    return {
      version: 1,
      sinceAt,
      nowAt,
      totals: totals.state(),
      latency: totals.latency.state(),
      firstToken: totals.firstToken.state(),
      errors: errors.view(),
      targets: Object.fromEntries(Array.from(targets, ([name, tally]) => [name, tally.state()])),
      series: this.points(nowAt).map((point) => point.state())
    }
  }

  view(nowAt: number): SummaryView {
    return viewOf(this.sinceAt, nowAt, this.totals, this.errors, this.targets, this.points(nowAt))
  }

  private target({ target }: AttemptRecord): TargetTally {
    const known = this.targets.get(target)
    if (known !== undefined) return known
    return this.targets.size < maxTargets ? added(this.targets, target) : tallyOf(this.targets, other)
  }

  private point(at: number): PointTally {
    const step = Math.floor(at / stepMs)
    const place = ((step % maxPoints) + maxPoints) % maxPoints
    const point = (this.ring[place] ??= new PointTally(step * stepMs))
    // Also where that is a later one: the clock was set back, and goes by these numbers now.
    if (point.at !== step * stepMs) point.restart(step * stepMs)
    return point
  }

  private points(nowAt: number): ReadonlyArray<PointTally> {
    const points = this.ring.filter((point) => point !== undefined)
    return points.filter((point) => isRecent(point.at, nowAt)).toSorted((a, b) => a.at - b.at)
  }
}

/** Those that are ahead were written before the clock was set back. */
const isRecent = (at: number, nowAt: number): boolean => at > nowAt - hourMs && at <= nowAt

const added = (targets: Map<string, TargetTally>, name: string): TargetTally => {
  const tally = new TargetTally()
  targets.set(name, tally)
  return tally
}

const tallyOf = (targets: Map<string, TargetTally>, name: string): TargetTally =>
  targets.get(name) ?? added(targets, name)

/** Keeps the busiest targets by name, and adds up the rest. */
const bounded = (targets: ReadonlyMap<string, TargetTally>): ReadonlyMap<string, TargetTally> => {
  const named = Array.from(targets).filter(([name]) => name !== other)
  if (named.length <= maxTargets) return targets
  named.sort(([a, x], [b, y]) => y.attempts - x.attempts || (a < b ? -1 : 1))
  const kept = new Map(named.slice(0, maxTargets))
  const rest = new TargetTally()
  for (const [, tally] of named.slice(maxTargets)) rest.merge(tally.state())
  const known = targets.get(other)
  if (known !== undefined) rest.merge(known.state())
  return kept.set(other, rest)
}

const viewOf = (
  sinceAt: number,
  nowAt: number,
  totals: TotalsTally,
  errors: ErrorTally,
  targets: ReadonlyMap<string, TargetTally>,
  points: ReadonlyArray<PointTally>
): SummaryView => ({
  sinceAt,
  nowAt,
  totals: totals.view(),
  ...totals.latencies(),
  errors: errors.view(),
  targets: Object.fromEntries(Array.from(bounded(targets), ([name, tally]) => [name, tally.view()])),
  series: { stepMs, points: points.map((point) => point.view()) }
})

/** The sum of several summaries: it knows no order, and is not bounded but by what is added. */
class SummarySum {
  private sinceAt = Infinity
  private nowAt = 0
  private readonly totals = new TotalsTally()
  private readonly errors = new ErrorTally()
  private readonly targets = new Map<string, TargetTally>()
  private readonly points = new Map<number, PointTally>()

  constructor(states: ReadonlyArray<SummaryState>) {
    for (const state of states) this.add(state)
  }

  state(): SummaryState {
    const { errors, nowAt, sinceAt, targets, totals } = this
    const names = Array.from(targets.keys()).toSorted()
    return {
      version: 1,
      sinceAt: Number.isFinite(sinceAt) ? sinceAt : 0,
      nowAt,
      totals: totals.state(),
      latency: totals.latency.state(),
      firstToken: totals.firstToken.state(),
      errors: sorted(errors.view()),
      targets: Object.fromEntries(names.map((name) => [name, targets.get(name)!.state()])),
      series: this.recent().map((point) => point.state())
    }
  }

  view(): SummaryView {
    const { errors, nowAt, sinceAt, targets, totals } = this
    return viewOf(Number.isFinite(sinceAt) ? sinceAt : 0, nowAt, totals, errors, targets, this.recent())
  }

  private add(state: SummaryState): void {
    // The sum of nothing began at no time.
    if (state.nowAt === 0 && state.totals.requests === 0) return
    this.sinceAt = Math.min(this.sinceAt, state.sinceAt)
    this.nowAt = Math.max(this.nowAt, state.nowAt)
    this.totals.merge(state.totals)
    this.totals.latency.merge(state.latency)
    this.totals.firstToken.merge(state.firstToken)
    this.errors.merge(state.errors)
    for (const [name, target] of Object.entries(state.targets)) tallyOf(this.targets, name).merge(target)
    for (const point of state.series) {
      const known = this.points.get(point.at) ?? new PointTally(point.at)
      known.merge(point)
      this.points.set(point.at, known)
    }
  }

  private recent(): ReadonlyArray<PointTally> {
    const points = Array.from(this.points.values())
    return points.filter(({ at }) => at > this.nowAt - hourMs).toSorted((a, b) => a.at - b.at)
  }
}

const sorted = (counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** Adds summaries up, in any order and grouping. */
export const mergeStates = (states: ReadonlyArray<SummaryState>): SummaryState => new SummarySum(states).state()

/** Reads a summary that was sent. */
export const viewState = (state: SummaryState): SummaryView => new SummarySum([state]).view()
