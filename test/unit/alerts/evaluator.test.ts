import { Rules } from "@breakwater/alerts"
import type { Event } from "@breakwater/core"
import { Failures } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Evaluator, maxAlerts } from "../../../packages/alerts/src/internal/evaluator.ts"
import { endOfPeriod } from "../../../packages/alerts/src/internal/periods.ts"
import { circuit, costing, failed, finished, succeeded, threshold } from "./support.ts"

const minute = 60_000
const hour = 60 * minute

/** An evaluator with a clock of its own. */
const stage = (...rules: ReadonlyArray<Rules.Rule>) => {
  let ms = 0
  const wall = Date.UTC(2026, 0, 15, 12)
  const now = () => ({ ms, wallMs: wall + ms })
  const evaluator = new Evaluator(rules, (text) => Number(text) * 1e9, now())
  const self = {
    evaluator,
    send: (...events: ReadonlyArray<Event.PolicyEvent>) => events.forEach((event) => evaluator.event(now(), event)),
    times: (count: number, make: () => Event.PolicyEvent) => {
      for (let i = 0; i < count; i++) self.send(make())
    },
    pass: (byMs: number) => void (ms += byMs),
    tick: () => evaluator.tick(now()).map(({ alert, type }) => `${type} ${alert.id}`),
    state: () => evaluator.alerts().map(({ id, state }) => `${state} ${id}`)
  }
  return self
}

describe("the life of an alert", () => {
  const rule: Rules.Rule = {
    kind: "error-ratio",
    name: "errors",
    ratio: 0.5,
    window: "1m",
    minimumCalls: 4,
    for: "30s",
    resolveAfter: "1m"
  }

  it("is pending, fires, and is resolved after it has been over for a while", () => {
    const { pass, send, state, tick, times } = stage(rule)
    expect(tick()).toEqual([])
    times(4, () => finished("failure"))
    expect(tick()).toEqual(["pending errors"])
    pass(29_000)
    expect(tick()).toEqual([])
    pass(1_000)
    expect(tick()).toEqual(["firing errors"])
    expect(tick()).toEqual([])
    pass(minute)
    times(4, () => finished("success"))
    expect(tick()).toEqual([])
    expect(state()).toEqual(["firing errors"])
    pass(30_000)
    times(8, () => finished("failure"))
    expect(tick()).toEqual([])
    pass(2 * minute)
    send(finished("success"))
    expect(tick()).toEqual([])
    pass(minute)
    expect(tick()).toEqual(["resolved errors"])
    expect(state()).toEqual([])
  })

  it("is cleared when it was over before it fired", () => {
    const { pass, tick, times } = stage(rule)
    times(4, () => finished("failure"))
    tick()
    times(10, () => finished("success"))
    pass(1_000)
    expect(tick()).toEqual(["cleared errors"])
  })

  it("does not flutter at its threshold", () => {
    const { tick, times } = stage({ ...rule, for: "0s", resolveAfter: "0s" })
    times(50, () => finished("failure"))
    times(50, () => finished("success"))
    expect(tick()).toEqual(["firing errors"])
    // 48 %: below the threshold, and above 0.9 of it.
    times(4, () => finished("success"))
    expect(tick()).toEqual([])
    times(10, () => finished("success"))
    expect(tick()).toEqual(["resolved errors"])
  })

  it("needs enough calls", () => {
    const { send, tick, times } = stage({ ...rule, for: "0s" })
    times(3, () => finished("failure"))
    expect(tick()).toEqual([])
    send(finished("failure"))
    expect(tick()).toEqual(["firing errors"])
  })

  it("leaves out what callers did themselves, and what was interrupted", () => {
    const { tick, times } = stage({ ...rule, for: "0s" })
    times(20, () => finished("failure", { error: Failures.invalidRequest() }))
    times(20, () => finished("interrupted"))
    times(4, () => finished("success"))
    expect(tick()).toEqual([])
  })

  it("may count some kinds of error only", () => {
    const { tick, times } = stage({ ...rule, for: "0s", errors: ["AuthenticationError"] })
    times(10, () => finished("failure"))
    expect(tick()).toEqual([])
    times(10, () => finished("failure", { error: Failures.authentication() }))
    expect(tick()).toEqual(["firing errors"])
  })

  it("is one for each target", () => {
    const { state, tick, times } = stage({ ...rule, for: "0s", perTarget: true })
    times(5, () => failed("a/m"))
    times(5, () => succeeded("b/m"))
    times(5, () => failed("c/m", Failures.timeout()))
    tick()
    expect(state()).toEqual(["firing errors/a/m", "firing errors/c/m"])
  })

  it("keeps to a bound of keys and of alerts, whatever the events say", () => {
    const { evaluator, send, tick } = stage(
      { ...rule, for: "0s", perTarget: true, minimumCalls: 1 },
      ...Array.from({ length: 9 }, (_, i): Rules.Rule => ({ kind: "circuit-open", name: `c${i}` }))
    )
    for (let i = 0; i < 1_000; i++) send(failed(`t${i}/m`), circuit(`t${i}/m`, "open"))
    tick()
    expect(evaluator.alerts().length).toBeLessThanOrEqual(maxAlerts)
    expect(evaluator.alerts().filter((each) => each.rule === "errors").length).toBeLessThanOrEqual(101)
  })
})

describe("an objective", () => {
  const slo: Rules.Rule = { kind: "slo", name: "availability", objective: 0.99, resolveAfter: "0s" }

  /** A call a second for a time, of which every `every`th fails. */
  const traffic = (it: ReturnType<typeof stage>, seconds: number, every: number) => {
    for (let i = 0; i < seconds; i++) {
      it.pass(1_000)
      it.send(finished(i % every === 0 ? "failure" : "success"))
    }
  }

  it("pages when an hour's burn rate is above 14.4, and stops soon after the cause", () => {
    const it = stage({ ...slo, windows: [Rules.defaultBurnWindows[0]] })
    traffic(it, 3_600, 1_000_000)
    expect(it.tick()).toEqual([])
    // All calls fail: the hour's share passes 14.4 % after 8 minutes and 38 seconds.
    traffic(it, 500, 1)
    expect(it.tick()).toEqual([])
    traffic(it, 60, 1)
    expect(it.tick()).toEqual(["firing availability"])
    expect(it.evaluator.alerts()[0]!.severity).toBe("page")
    traffic(it, 200, 1_000_000)
    expect(it.tick()).toEqual([])
    // The hour still remembers; the five minutes do not.
    traffic(it, 120, 1_000_000)
    expect(it.tick()).toEqual(["resolved availability"])
  })

  it("pages for six hours at a burn rate of 6, and makes a ticket beside it", () => {
    const it = stage(slo)
    traffic(it, 7 * 3_600, 15)
    expect(it.tick()).toEqual(["firing availability/page", "firing availability/ticket"])
  })

  it("makes a ticket of a slow burn", () => {
    const it = stage({ ...slo, windows: [{ long: "3h", short: "1h", burnRate: 1, severity: "ticket" }] })
    traffic(it, 3 * 3_600, 50)
    expect(it.tick()).toEqual(["firing availability"])
    expect(it.evaluator.alerts()[0]!.severity).toBe("ticket")
    expect(it.evaluator.alerts()[0]!.value).toBeCloseTo(2, 1)
  })

  it("is not judged before its short window was lived through", () => {
    const it = stage(slo)
    traffic(it, 299, 1)
    expect(it.tick()).toEqual([])
    traffic(it, 2, 1)
    expect(it.tick()).toEqual(["firing availability/page"])
  })

  it("of latency counts slow answers as bad", () => {
    const it = stage({ ...slo, signal: "latency", withinMs: 1_000 })
    for (let i = 0; i < 400; i++) {
      it.pass(1_000)
      it.send(finished("success", { tookMs: i % 2 === 0 ? 5_000 : 100 }))
    }
    expect(it.tick()).toEqual(["firing availability/page"])
    expect(it.evaluator.alerts()[0]!.summary).toContain("slower than 1000 ms")
  })

  it.effect.prop(
    "fires exactly when both windows burn above the rate, as a list of all calls says",
    {
      calls: Schema.Array(
        Schema.Struct({
          waitMs: Schema.Int.check(Schema.isBetween({ minimum: 100, maximum: 20_000 })),
          bad: Schema.Boolean
        })
      )
    },
    ({ calls }) =>
      Effect.sync(() => {
        const window = { long: "10m", short: "1m", burnRate: 2 }
        const it = stage({ ...slo, objective: 0.8, minimumCalls: 1, windows: [window] })
        const all: Array<{ readonly atMs: number; readonly bad: boolean }> = []
        let atMs = 0
        for (const { bad, waitMs } of calls) {
          it.pass(waitMs)
          atMs += waitMs
          all.push({ atMs, bad })
          it.send(finished(bad ? "failure" : "success"))
          const firing = it.tick() !== undefined && it.state().length > 0
          if (atMs < minute) {
            expect(firing).toBe(false)
            continue
          }
          // The edge of a window may be off by one bucket: only what does not hang on it is judged.
          const burns = (slack: number) =>
            [10 * minute, minute].map((span) => {
              const within = all.filter((each) => each.atMs > atMs - span * slack)
              return within.filter((each) => each.bad).length / within.length / 0.2
            })
          const shares = [...burns(1), ...burns(1 + 1 / 60)]
          if (shares.every((burn) => burn >= 2.0001)) expect(firing).toBe(true)
          if (shares.every((burn) => burn < 1.7999)) expect(firing).toBe(false)
        }
      })
  )
})

describe("the other rules", () => {
  it("see a circuit that is open for too long", () => {
    const { pass, send, tick } = stage({
      kind: "circuit-open",
      name: "open",
      for: "2m",
      resolveAfter: "0s",
      key: "a/*"
    })
    send(circuit("a/m", "open"), circuit("b/m", "open"))
    expect(tick()).toEqual(["pending open/a/m"])
    pass(minute)
    send(circuit("a/m", "half-open", "open"))
    pass(minute)
    expect(tick()).toEqual(["firing open/a/m"])
    send(circuit("a/m", "closed", "half-open"))
    expect(tick()).toEqual(["resolved open/a/m"])
    send(circuit("a/m", "forced-open"))
    expect(tick()).toEqual([])
  })

  it("see a budget until its period ends", () => {
    const { pass, send, tick } = stage({ kind: "budget", name: "budget", resolveAfter: "0s" })
    send(threshold(0.5))
    expect(tick()).toEqual([])
    send(threshold(0.8))
    expect(tick()).toEqual(["firing budget/team:x (project, day)"])
    pass(11 * hour)
    expect(tick()).toEqual([])
    pass(hour + 1)
    expect(tick()).toEqual(["resolved budget/team:x (project, day)"])
    send(threshold(1, "lifetime"))
    expect(tick()).toEqual(["firing budget/team:x (project, lifetime)"])
    send(threshold(0.5, "lifetime"))
    expect(tick()).toEqual(["resolved budget/team:x (project, lifetime)"])
  })

  it("see money that is spent too fast", () => {
    const { pass, times, tick } = stage({
      kind: "cost-rate",
      name: "cost",
      perHour: "6",
      window: "10m",
      resolveAfter: "0s"
    })
    times(9, () => costing(100_000_000n))
    expect(tick()).toEqual([])
    times(1, () => costing(100_000_000n))
    expect(tick()).toEqual(["firing cost"])
    pass(11 * minute)
    expect(tick()).toEqual(["resolved cost"])
  })

  it("see stores that are lost, also those that do not say when they are back", () => {
    const { pass, send, tick } = stage({ kind: "store-lost", name: "store", resolveAfter: "0s" })
    const error = { _tag: "StoreError" } as never
    send({ type: "store-lost", store: "redis", mode: "local", error })
    send({
      type: "cache-store-failed",
      cache: "exact",
      tenant: "t",
      namespace: "d",
      target: "a/m",
      store: "cache",
      operation: "get",
      reason: "failed"
    })
    send({
      type: "cache-store-failed",
      cache: "exact",
      tenant: "t",
      namespace: "d",
      target: "a/m",
      store: "big",
      operation: "set",
      reason: "too-large"
    })
    send({ type: "ledger-store-changed", store: "books", available: false, waiting: 1 })
    send({ type: "circuit-store-changed", available: false })
    expect(tick()).toEqual(["redis", "cache", "books", "circuit-breakers"].map((store) => `firing store/${store}`))
    pass(minute + 1)
    expect(tick()).toEqual(["resolved store/cache"])
    send({ type: "store-recovered", store: "redis", mode: "local", lostMs: 1 })
    send({ type: "ledger-store-changed", store: "books", available: true, waiting: 0 })
    send({ type: "circuit-store-changed", available: true })
    expect(tick().length).toBe(3)
  })

  it("see records that were lost, and say so for an hour", () => {
    const { pass, send, tick } = stage({ kind: "records-lost", name: "lost", resolveAfter: "0s" })
    send({ type: "ledger-records-lost", store: "books", count: 7 })
    expect(tick()).toEqual(["firing lost/books"])
    pass(59 * minute)
    expect(tick()).toEqual([])
    pass(3 * minute)
    expect(tick()).toEqual(["resolved lost/books"])
  })

  it("see a quantile above its bound", () => {
    const { evaluator, tick, times } = stage(
      { kind: "latency", name: "slow", boundMs: 2_000 },
      { kind: "latency", name: "first", boundMs: 500, measure: "first-token" }
    )
    times(94, () => succeeded("a/m", 100, 100))
    times(94, () => finished("success", { tookMs: 100 }))
    times(6, () => finished("success", { tookMs: 4_000 }))
    times(6, () => succeeded("a/m", 100, 400))
    expect(tick()).toEqual(["firing slow"])
    expect(evaluator.alerts()[0]!.summary).toMatch(/^p95 of requests is 4\d\d\d ms/)
  })
})

describe("the period of a budget", () => {
  const at = Date.UTC(2026, 0, 15, 12, 30)
  it.each([
    ["hour", Date.UTC(2026, 0, 15, 13)],
    ["day", Date.UTC(2026, 0, 16)],
    ["day Europe/Berlin", Date.UTC(2026, 0, 15, 23)],
    ["week", Date.UTC(2026, 0, 19)],
    ["month", Date.UTC(2026, 1, 1)],
    ["quarter", Date.UTC(2026, 3, 1)],
    ["rolling 30d", at + 30 * 24 * hour],
    ["lifetime", Infinity],
    ["something else", at + hour],
    ["day No/Where", at + hour]
  ])("%s", (period, end) => {
    expect(endOfPeriod(period, at)).toBe(end)
  })
})

describe("rules as data", () => {
  const decode = (rules: unknown) => Effect.result(Rules.decode(rules))

  it.effect("are what they are after they were JSON", () =>
    Effect.gen(function* () {
      const read = yield* Rules.decode(JSON.parse(JSON.stringify(Rules.recommended)))
      expect(read).toEqual(Rules.recommended)
    })
  )

  it.effect.each([
    [[], "rules"],
    [[{ kind: "slo", name: "a", objective: 1 }], "objective"],
    [[{ kind: "slo", name: "a", objective: 0.9, signal: "latency" }], "withinMs"],
    [[{ kind: "slo", name: "a", objective: 0.9, windows: [{ long: "1m", short: "1h", burnRate: 1 }] }], "shorter"],
    [[{ kind: "error-ratio", name: "a", ratio: 0 }], "ratio"],
    [[{ kind: "error-ratio", name: "a", ratio: Number.NaN }], "ratio"],
    [[{ kind: "error-ratio", name: "a", ratio: 0.5, window: "soon" }], "duration"],
    [[{ kind: "error-ratio", name: "a", ratio: 0.5, window: "40d" }], "31d"],
    [[{ kind: "cost-rate", name: "a", perHour: "-1" }], "dollars"],
    [[{ kind: "circuit-open", name: "a", typo: 1 }], "typo"],
    [
      [
        { kind: "circuit-open", name: "a" },
        { kind: "budget", name: "a" }
      ],
      "two rules"
    ]
  ] as ReadonlyArray<readonly [unknown, string]>)("%j is refused for its %s", ([rules, word]) =>
    Effect.gen(function* () {
      const result = yield* decode(rules)
      expect(result._tag).toBe("Failure")
      if (result._tag === "Failure") expect(result.failure.cause.message).toContain(word)
    })
  )

  it.each([
    ["5m", 300_000],
    ["1.5h", 5_400_000],
    ["3d", 259_200_000],
    ["5 minutes", 300_000],
    ["0s", 0],
    ["", undefined],
    ["5 apples", undefined]
  ])("a duration of %s", (text, millis) => {
    expect(Rules.millisOf(text)).toBe(millis)
  })
})
