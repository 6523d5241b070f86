/**
 * Random histories of one circuit against a model that keeps every call it ever saw and works everything out anew.
 */
import * as Breaker from "../../packages/core/src/internal/breaker.ts"
import * as Manual from "../../packages/core/src/internal/breakerManual.ts"
import { describe, expect, it } from "@effect/vitest"

const histories = 10_000
const steps = 60

const generator = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

type Chance = () => number
const pick = <A>(chance: Chance, values: ReadonlyArray<A>): A => values[Math.floor(chance() * values.length)]!

const randomSettings = (chance: Chance): Breaker.Settings => {
  const probes = pick(chance, [1, 2, 3, 5])
  return {
    window: pick<Breaker.Settings["window"]>(chance, [
      { kind: "time", spanMs: 1000, buckets: 10 },
      { kind: "time", spanMs: 700, buckets: 3 },
      { kind: "time", spanMs: 500, buckets: 1 },
      { kind: "count", size: 5 },
      { kind: "count", size: 20 },
      { kind: "consecutive", length: 3 }
    ]),
    failureRate: pick(chance, [0.2, 0.5, 1]),
    minimumCalls: pick(chance, [1, 3, 5]),
    slow: pick<Breaker.Settings["slow"]>(chance, [undefined, { limitMs: 100, rate: 0.5, measure: "call" }]),
    adaptive: pick<Breaker.Settings["adaptive"]>(chance, [
      undefined,
      undefined,
      { min: 0.2, max: 0.8, sigmas: 2, halfLifeMs: 5000, minimumCalls: 6 }
    ]),
    openMs: 300,
    openFactor: pick(chance, [1, 2]),
    openMaxMs: 2000,
    jitter: pick(chance, [0, 0.5]),
    healthyMs: 800,
    probes,
    probeSuccesses: 1 + Math.floor(chance() * probes),
    leaseMs: 400,
    halfOpenMs: pick(chance, [Infinity, 600])
  }
}

interface ModelCall {
  readonly round: number
  readonly kind: "counted" | "probe" | "measured" | "free"
  readonly atMs: number
  leaseUntilMs: number
  over: boolean
  verdict: boolean | undefined
}

interface Finished {
  readonly atMs: number
  readonly failed: boolean
  readonly slow: boolean
  readonly learned: boolean
}

/** The reference: lists and filters, no counters. */
class Model {
  state: "closed" | "open" | "half-open" = "closed"
  round = 0
  finished: Array<Finished> = []
  history: Array<Finished> = []
  calls: Array<ModelCall> = []
  hints: Array<number> = []
  holds: Array<Breaker.HoldMode> = []
  openings = 0
  openUntilMs = 0
  closedAtMs = -Infinity
  halfOpenAtMs = 0
  readonly settings: Breaker.Settings
  readonly luck: number

  constructor(settings: Breaker.Settings, luck: number) {
    this.settings = settings
    this.luck = luck
  }

  shown(): Breaker.State {
    for (const mode of ["forced-open", "disabled", "metrics-only"] as const) if (this.holds.includes(mode)) return mode
    return this.state
  }

  probesOfRound(): ReadonlyArray<ModelCall> {
    return this.calls.filter((call) => call.kind === "probe" && call.round === this.round)
  }

  underWay(nowMs: number): number {
    return this.probesOfRound().filter((call) => !call.over && call.leaseUntilMs > nowMs).length
  }

  verdicts(good: boolean): number {
    return this.probesOfRound().filter((call) => call.verdict === good).length
  }

  counted(nowMs: number): { readonly calls: number; readonly failures: number; readonly slow: number } {
    const { window } = this.settings
    if (window.kind === "consecutive") {
      const run = (is: (each: Finished) => boolean) =>
        this.finished.length - 1 - this.finished.findLastIndex((each) => !is(each))
      return { calls: this.finished.length, failures: run((each) => each.failed), slow: run((each) => each.slow) }
    }
    const width = window.kind === "time" ? window.spanMs / window.buckets : 1
    const inside =
      window.kind === "count"
        ? this.finished.slice(-window.size)
        : this.finished.filter((each) => Math.floor(nowMs / width) - Math.floor(each.atMs / width) <= window.buckets)
    return {
      calls: inside.length,
      failures: inside.filter((each) => each.failed).length,
      slow: inside.filter((each) => each.slow).length
    }
  }

  threshold(calls: number, before: ReadonlyArray<Finished>, nowMs: number): number {
    const { adaptive, failureRate } = this.settings
    const last = before.at(-1)?.atMs ?? nowMs
    if (adaptive === undefined) return failureRate
    const weigh = (each: Finished) => Math.pow(0.5, (last - each.atMs) / adaptive.halfLifeMs)
    const sum = before.reduce((total, each) => total + weigh(each), 0)
    if (sum < adaptive.minimumCalls - 1e-9) return failureRate
    const usual = before.filter((each) => each.failed).reduce((total, each) => total + weigh(each), 0) / sum
    const limit = usual + adaptive.sigmas * Math.sqrt(Math.max(0, usual * (1 - usual)) / calls)
    return Math.min(adaptive.max, Math.max(adaptive.min, limit))
  }

  /** `undefined` where rounding could decide either way. */
  shouldOpen(nowMs: number): boolean | undefined {
    const { minimumCalls, slow, window } = this.settings
    const { calls, failures, slow: slowCalls } = this.counted(nowMs)
    if (window.kind === "consecutive") {
      return failures >= window.length || (slow !== undefined && slowCalls >= window.length)
    }
    if (calls < minimumCalls) return false
    const limit = this.threshold(calls, this.history.slice(0, -1), nowMs)
    if (this.settings.adaptive !== undefined && failures > 0 && Math.abs(failures / calls - limit) < 1e-9)
      return undefined
    return (failures > 0 && failures / calls >= limit) || (slow !== undefined && slowCalls / calls >= slow.rate)
  }

  open(nowMs: number): void {
    const healthy = this.state === "closed" && nowMs - this.closedAtMs >= this.settings.healthyMs
    this.openings = healthy ? 1 : this.openings + 1
    let grown = this.settings.openMs
    for (let n = 1; n < this.openings; n++) grown = Math.min(grown * this.settings.openFactor, this.settings.openMaxMs)
    const chance = this.settings.jitter * this.luck
    const hint = Math.max(0, ...this.hints) - nowMs
    const asked = hint > 0 ? Math.min(this.settings.openMaxMs, hint * (1 + chance)) : 0
    this.openUntilMs = nowMs + Math.max(asked, grown * (1 - chance))
    this.state = "open"
    this.round++
  }

  close(nowMs: number): void {
    this.state = "closed"
    this.round++
    this.closedAtMs = nowMs
    this.finished = []
    this.hints = []
  }

  pass(nowMs: number): void {
    if (this.state !== "half-open" || this.holds.length > 0) return
    const endMs = this.halfOpenAtMs + this.settings.halfOpenMs
    if (nowMs >= endMs) this.open(endMs)
  }

  enter(nowMs: number): ModelCall | undefined {
    const admit = (kind: ModelCall["kind"]): ModelCall => {
      const leaseUntilMs = nowMs + this.settings.leaseMs
      const call: ModelCall = { kind, round: this.round, atMs: nowMs, leaseUntilMs, over: false, verdict: undefined }
      this.calls.push(call)
      return call
    }
    const shown = this.shown()
    if (shown === "forced-open") return undefined
    if (shown === "disabled") return admit("free")
    if (shown === "metrics-only") return admit("measured")
    this.pass(nowMs)
    if (this.state === "closed") return admit("counted")
    if (this.state === "open") {
      if (nowMs < this.openUntilMs) return undefined
      this.state = "half-open"
      this.round++
      this.halfOpenAtMs = nowMs
      this.hints = []
    }
    const taken = this.underWay(nowMs) + this.verdicts(true) + this.verdicts(false)
    return taken < this.settings.probes ? admit("probe") : undefined
  }

  /** Answers `true` where rounding could decide either way: the history ends there. */
  leave(call: ModelCall, nowMs: number, outcome: Breaker.Outcome, slow: boolean, hintMs: number): boolean {
    if (call.over || call.round !== this.round || call.kind === "free") return false
    const failed = outcome === "failure"
    if (call.kind === "probe") {
      this.pass(nowMs)
      if (call.round !== this.round || call.leaseUntilMs <= nowMs) return false
      call.over = true
      if (outcome === "ignored") return false
      if (hintMs > 0) this.hints.push(nowMs + hintMs)
      call.verdict = !failed && !slow
      if (this.verdicts(true) >= this.settings.probeSuccesses) this.close(nowMs)
      else if (this.verdicts(false) > this.settings.probes - this.settings.probeSuccesses) this.open(nowMs)
      return false
    }
    call.over = true
    if (outcome === "ignored") return false
    const entry = { atMs: nowMs, failed, slow, learned: call.kind === "counted" }
    this.finished.push(entry)
    if (call.kind === "measured") return false
    this.history.push(entry)
    if (hintMs > 0) this.hints.push(nowMs + hintMs)
    const verdict = this.shouldOpen(nowMs)
    if (verdict === true) this.open(nowMs)
    return verdict === undefined
  }

  hold(mode: Breaker.HoldMode, by: 1 | -1, nowMs: number): void {
    const before = this.shown()
    const at = this.holds.indexOf(mode)
    if (by === 1) this.holds.push(mode)
    else if (at >= 0) this.holds.splice(at, 1)
    if (this.shown() === before) return
    this.round++
    if (this.state === "half-open") this.halfOpenAtMs = nowMs
  }

  reset(nowMs: number): void {
    this.close(nowMs)
    this.openings = 0
    this.closedAtMs = -Infinity
    this.history = []
  }
}

const runHistory = (seed: number): number => {
  const chance = generator(seed)
  const settings = randomSettings(chance)
  const luck = chance()
  const changes: Array<Breaker.Change> = []
  const machine: Breaker.Machine = { settings, random: () => luck, report: (change) => changes.push(change) }
  const circuit = new Breaker.Circuit("key", settings)
  const model = new Model(settings, luck)
  const open: Array<{ readonly ticket: Breaker.Ticket; readonly call: ModelCall }> = []
  const failing = chance()
  const held = chance() < 0.2
  let nowMs = Math.floor(chance() * 10_000)
  let opened = 0
  for (let step = 0; step < steps; step++) {
    const what = chance()
    if (what < 0.25) nowMs += pick(chance, [0, 1, 7, 50, 99, 100, 150, 300, 400, 600, 1000, 3000])
    else if (what < 0.6) {
      const ticket = Breaker.enter(machine, circuit, nowMs)
      const call = model.enter(nowMs)
      expect(ticket !== undefined, `seed ${seed}, step ${step}: admitted`).toBe(call !== undefined)
      if (ticket !== undefined && call !== undefined) open.push({ ticket, call })
      else {
        const after = Breaker.retryAfterMs(machine, circuit, nowMs)
        expect(after > 0 && Number.isFinite(after), `seed ${seed}, step ${step}: retryAfter`).toBe(true)
      }
    } else if (what < 0.93) {
      if (open.length === 0) continue
      const index = Math.floor(chance() * open.length)
      const { call, ticket } = open.splice(index, 1)[0]!
      const outcome = chance() < 0.1 ? "ignored" : chance() < failing ? "failure" : "success"
      const slow = settings.slow !== undefined && chance() < 0.2
      const hintMs = outcome === "failure" && chance() < 0.1 ? pick(chance, [10, 500, 1500, 100_000]) : 0
      Breaker.leave(machine, ticket, nowMs, outcome, slow, hintMs)
      if (model.leave(call, nowMs, outcome, slow, hintMs)) return opened
    } else if (what < 0.95 && open.length > 0) {
      const { call, ticket } = pick(chance, open)
      Breaker.renew(machine, ticket, nowMs)
      if (call.kind === "probe" && !call.over && call.round === model.round && call.leaseUntilMs > nowMs) {
        call.leaseUntilMs = nowMs + settings.leaseMs
      }
    } else if (what < 0.96) {
      Manual.reset(machine, circuit, nowMs, "manual")
      model.reset(nowMs)
    } else if (held) {
      const mode = pick(chance, ["forced-open", "disabled", "metrics-only"] as const)
      const by = chance() < 0.4 ? 1 : -1
      Manual.hold(machine, circuit, mode, by, nowMs)
      model.hold(mode, by, nowMs)
    }
    Breaker.advance(machine, circuit, nowMs)
    model.pass(nowMs)
    circuit.window.advance(nowMs)
    const trip = Breaker.tripOf(circuit)
    const { calls, failures, slow } = circuit.window
    const seen = {
      state: Breaker.stateOf(circuit),
      measured: circuit.state,
      openings: trip.openings,
      ...(circuit.state === "open" ? { openUntilMs: Math.round(trip.openUntilMs * 1000) } : {}),
      ...(circuit.state === "half-open" && circuit.hold === undefined
        ? { underWay: trip.probes.size, good: trip.successes, bad: trip.failures }
        : {}),
      calls,
      failures,
      slow
    }
    const expected = {
      state: model.shown(),
      measured: model.state,
      openings: model.openings,
      ...(model.state === "open" ? { openUntilMs: Math.round(model.openUntilMs * 1000) } : {}),
      ...(model.state === "half-open" && model.holds.length === 0
        ? { underWay: model.underWay(nowMs), good: model.verdicts(true), bad: model.verdicts(false) }
        : {}),
      ...model.counted(nowMs)
    }
    expect(seen, `seed ${seed}, step ${step}`).toEqual(expected)
    opened = changes.filter((change) => change.to === "open").length
  }
  return opened
}

describe("the circuit against a naive model", () => {
  it(`agrees over ${histories} random histories`, { timeout: 120_000 }, () => {
    let opened = 0
    for (let seed = 1; seed <= histories; seed++) opened += runHistory(seed)
    // The histories are worth something only if they open circuits, again and again.
    expect(opened).toBeGreaterThan(histories)
  })
})
