import { Alerts, Notifier, Remedy, type Rules } from "@breakwater/alerts"
import { CircuitBreaker, Event, LLM, LLMProvider } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { circuit, failed, finished } from "./support.ts"

const errors: Rules.Rule = {
  kind: "error-ratio",
  name: "errors",
  ratio: 0.5,
  window: "1m",
  minimumCalls: 1,
  resolveAfter: "10s"
}

/** A notifier that keeps what it was told. */
const listener = () => {
  const told: Array<Notifier.Notification> = []
  const notifier = Effect.succeed<Notifier.Notifier>({
    name: "test",
    notify: (notification) => void told.push(notification),
    stats: () => ({ name: "test", queued: 0, delivered: told.length, failed: 0, dropped: 0 })
  })
  return { told, notifier, said: () => told.map(({ alert, status }) => `${status} ${alert.id}`) }
}

const passing = (seconds: number) => TestClock.adjust(`${seconds} seconds`)

describe("alerts", () => {
  it.effect("are told once when they fire and once when they are resolved", () =>
    Effect.gen(function* () {
      const { notifier, said, told } = listener()
      const alerts = yield* Alerts.make({ rules: [errors], notify: [notifier] })
      alerts.handle(finished("failure"))
      expect(said()).toEqual([])
      yield* passing(10)
      expect(said()).toEqual(["firing errors"])
      yield* passing(30)
      expect(said()).toEqual(["firing errors"])
      yield* passing(60)
      expect(said()).toEqual(["firing errors", "resolved errors"])
      expect(new Set(told.map(({ id }) => id)).size).toBe(2)
      expect(told[0]!.incident?.status).toBe("open")
      expect(told[1]!.incident?.status).toBe("closed")
      expect(told[1]!.alert.resolvedAt).toBeGreaterThan(told[0]!.alert.firingAt!)
    })
  )

  it.effect("are told again after four hours", () =>
    Effect.gen(function* () {
      const { notifier, said, told } = listener()
      const alerts = yield* Alerts.make({ rules: [{ kind: "circuit-open", name: "open" }], notify: [notifier] })
      alerts.handle(circuit("a/m", "open"))
      for (let half = 0; half < 16; half++) {
        yield* passing(1_800)
        alerts.handle({ type: "circuit-rejected", key: "a/m", state: "open", retryAfterMs: 1_000 })
      }
      yield* passing(20)
      expect(said()).toEqual(["firing open/a/m", "reminder open/a/m", "reminder open/a/m"])
      expect(new Set(told.map(({ id }) => id)).size).toBe(3)
    })
  )

  it.effect("are silent while they are silenced, and told afterwards if they fire still", () =>
    Effect.gen(function* () {
      const { notifier, said } = listener()
      const rules: ReadonlyArray<Rules.Rule> = [{ kind: "circuit-open", name: "open", resolveAfter: "0s" }]
      const alerts = yield* Alerts.make({ rules, notify: [notifier] })
      const silence = yield* alerts.silence({ rule: "open", key: "a/m", for: "1 minute", comment: "known" })
      yield* alerts.silence({ key: "c/m", for: "1 minute" })
      alerts.handle(circuit("a/m", "open"))
      alerts.handle(circuit("b/m", "open"))
      alerts.handle(circuit("c/m", "open"))
      yield* passing(20)
      expect(said()).toEqual(["firing open/b/m"])
      const { firing, silences } = yield* alerts.snapshot
      expect(firing.map(({ id, silenced }) => [id, silenced])).toEqual([
        ["open/a/m", true],
        ["open/b/m", false],
        ["open/c/m", true]
      ])
      expect(silences.map(({ comment }) => comment)).toEqual(["", "known"])
      alerts.handle(circuit("c/m", "closed"))
      yield* passing(10)
      yield* alerts.unsilence(silence.id)
      yield* passing(10)
      // c was over before its silence was: nobody has heard of it.
      expect(said()).toEqual(["firing open/b/m", "firing open/a/m"])
      expect((yield* Effect.exit(alerts.silence({ for: -1 })))._tag).toBe("Failure")
    })
  )

  it.effect("give a snapshot that goes into JSON", () =>
    Effect.gen(function* () {
      const alerts = yield* Alerts.make()
      for (let i = 0; i < 30; i++) alerts.handle(failed("a/m"))
      yield* alerts.evaluate
      const snapshot = yield* alerts.snapshot
      expect(snapshot.rules.map(({ name, state }) => `${name} ${state}`)).toEqual([
        "availability inactive",
        "target-failing pending",
        "circuit-open inactive",
        "budget inactive",
        "store-lost inactive",
        "records-lost inactive"
      ])
      yield* passing(70)
      const later = yield* alerts.snapshot
      expect(JSON.parse(JSON.stringify(later))).toEqual(later)
      expect(later.firing.map(({ id }) => id)).toEqual(["target-failing/a/m"])
      expect(later.incidents[0]!.causes[0]!.name).toBe("all-targets")
    })
  )

  it.effect("tell every record, and a listener that throws harms nobody", () =>
    Effect.gen(function* () {
      const records: Array<string> = []
      const alerts = yield* Alerts.make({
        rules: [{ ...errors, for: "10s" }],
        onRecord: ({ type }) => {
          records.push(type)
          throw new Error("no")
        }
      })
      alerts.handle(finished("failure"))
      yield* passing(100)
      expect(records).toEqual(["alert-pending", "alert-firing", "incident-opened", "alert-resolved", "incident-closed"])
    })
  )

  it.effect("refuse wrong options", () =>
    Effect.gen(function* () {
      for (const options of [{ every: 0 }, { remindEvery: Infinity }, { rules: [] }] as const) {
        expect((yield* Effect.exit(Alerts.make(options)))._tag).toBe("Failure")
      }
      const remedy = Remedy.callback({ name: "x", rules: [], apply: () => Effect.void })
      expect((yield* Effect.exit(Alerts.make({ remedies: [remedy] })))._tag).toBe("Failure")
    })
  )

  it.effect("hear beside a listener that was there", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const outer = Layer.succeed(Event.EventSink, (event) => void heard.push(event.type))
      const context = yield* Layer.build(Layer.provide(Alerts.layer({ rules: [errors] }), outer))
      const sink = Context.get(context, Event.EventSink)
      sink?.(finished("failure"))
      yield* Context.get(context, Alerts.Alerts).evaluate
      expect(heard).toEqual(["request-finished"])
      expect((yield* Context.get(context, Alerts.Alerts).snapshot).firing.length).toBe(1)
    })
  )
})

describe("a notifier", () => {
  const notification = (id: string): Notifier.Notification => ({
    id,
    status: "firing",
    at: 0,
    alert: {
      id,
      rule: "r",
      kind: "slo",
      key: "",
      severity: "page",
      state: "firing",
      since: 0,
      value: 1,
      threshold: 1,
      summary: ""
    }
  })

  it.effect("tries again with growing waits, in order, and gives up in time", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const notifier = yield* Notifier.make({
        name: "flaky",
        giveUpAfter: "1 minute",
        send: ({ id }) =>
          Effect.suspend(() => {
            sent.push(id)
            return id === "first" && sent.length > 4
              ? Effect.void
              : Effect.fail(new Notifier.NotifyError({ message: `no ${id}`, retryable: id !== "wrong" }))
          })
      })
      for (const id of ["first", "wrong", "dead"]) notifier.notify(notification(id))
      yield* TestClock.adjust("30 seconds")
      expect(sent.slice(0, 6)).toEqual(["first", "first", "first", "first", "first", "wrong"])
      yield* TestClock.adjust("2 minutes")
      expect(sent.filter((id) => id === "dead").length).toBeGreaterThan(2)
      expect(sent.filter((id) => id === "dead").length).toBeLessThan(60)
      expect(notifier.stats()).toEqual({
        name: "flaky",
        queued: 0,
        delivered: 1,
        failed: 2,
        dropped: 0,
        lastError: "no dead"
      })
    })
  )

  it.effect("drops the oldest when its queue is full", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const notifier = yield* Notifier.make({
        name: "slow",
        capacity: 2,
        send: ({ id }) =>
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => void sent.push(id))
          )
      })
      notifier.notify(notification("0"))
      yield* Effect.yieldNow
      for (const id of ["1", "2", "3", "4"]) notifier.notify(notification(id))
      yield* TestClock.adjust("10 seconds")
      expect(sent).toEqual(["0", "3", "4"])
      expect(notifier.stats().dropped).toBe(2)
    })
  )

  it.effect("sends what is queued before it ends, if that is quick", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const scope = yield* Scope.make()
      const notifier = yield* Scope.provide(
        Notifier.make({ name: "quick", send: ({ id }) => Effect.sync(() => void sent.push(id)) }),
        scope
      )
      for (const id of ["1", "2", "3"]) notifier.notify(notification(id))
      yield* Scope.close(scope, Exit.void)
      expect(sent).toEqual(["1", "2", "3"])
      notifier.notify(notification("late"))
      expect(sent.length).toBe(3)
    })
  )

  it.live("does not hold up the end of a scope for an endpoint that hangs", () =>
    Effect.gen(function* () {
      const before = performance.now()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const notifier = yield* Notifier.make({ name: "dead", send: () => Effect.never, farewell: "50 millis" })
          notifier.notify(notification("1"))
        })
      )
      expect(performance.now() - before).toBeLessThan(2_000)
    })
  )
})

describe("remedies", () => {
  const rules: ReadonlyArray<Rules.Rule> = [{ ...errors, perTarget: true }]

  it.effect("hold a circuit open until the alert is resolved", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make()
      const records: Array<string> = []
      const alerts = yield* Alerts.make({
        rules,
        remedies: [Remedy.openBreaker({ rules: ["errors"], breaker })],
        onRecord: (record) => void (record.type.startsWith("remedy") && records.push(record.type))
      })
      const state = Effect.map(breaker.snapshot("a/m"), (snapshot) => snapshot.state)
      alerts.handle(failed("a/m"))
      expect(yield* state).toBe("closed")
      yield* passing(10)
      expect(yield* state).toBe("forced-open")
      yield* passing(120)
      expect(yield* state).toBe("closed")
      expect(records).toEqual(["remedy-applied", "remedy-taken-back"])
      const { incidents } = yield* alerts.snapshot
      expect(incidents[0]!.timeline.map(({ what }) => what)).toContain("remedy applied: open-breaker for errors/a/m")
    })
  )

  it.effect("are taken back after their time, and by the end of the scope", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make()
      const state = Effect.map(breaker.snapshot("a/m"), (snapshot) => snapshot.state)
      const scope = yield* Scope.make()
      const make = (maxFor: "30 seconds" | "1 hour") =>
        Alerts.make({ rules, remedies: [Remedy.openBreaker({ rules: ["errors"], breaker, maxFor })] })
      const short = yield* make("30 seconds")
      short.handle(failed("a/m"))
      yield* passing(10)
      expect(yield* state).toBe("forced-open")
      yield* passing(31)
      expect(yield* state).toBe("closed")
      const long = yield* Scope.provide(make("1 hour"), scope)
      long.handle(failed("a/m"))
      yield* passing(10)
      expect(yield* state).toBe("forced-open")
      yield* Scope.close(scope, Exit.void)
      expect(yield* state).toBe("closed")
    })
  )

  it.effect("are bounded in number, and one that fails is a record", () =>
    Effect.gen(function* () {
      const applied: Array<string> = []
      const records: Array<string> = []
      const counting = Remedy.callback({
        name: "count",
        rules: ["errors"],
        perHour: 2,
        apply: ({ key }) => Effect.sync(() => void applied.push(key)),
        takeBack: ({ key }) => Effect.sync(() => void applied.push(`-${key}`))
      })
      const failing = Remedy.callback({ name: "fail", rules: ["errors"], apply: () => Effect.fail("boom") })
      const alerts = yield* Alerts.make({
        rules,
        remedies: [counting, failing],
        onRecord: (record) => void (record.type.startsWith("remedy") && records.push(record.type))
      })
      for (const target of ["a", "b", "c"]) alerts.handle(failed(`${target}/m`))
      yield* passing(10)
      expect(applied).toEqual(["a/m", "b/m"])
      expect(records.filter((type) => type === "remedy-refused").length).toBe(1)
      expect(records.filter((type) => type === "remedy-failed").length).toBe(3)
      yield* passing(120)
      expect(applied.slice(2).sort()).toEqual(["-a/m", "-b/m"])
    })
  )

  it.effect("can be added for a while, and do nothing for silenced alerts", () =>
    Effect.gen(function* () {
      const applied: Array<string> = []
      const alerts = yield* Alerts.make({ rules })
      const remedy = Remedy.callback({
        name: "note",
        rules: ["errors"],
        apply: ({ key }) => Effect.sync(() => void applied.push(key)),
        takeBack: ({ key }) => Effect.sync(() => void applied.push(`-${key}`))
      })
      yield* alerts.silence({ key: "b/m", for: "1 hour" })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* alerts.withRemedy(remedy)
          alerts.handle(failed("a/m"))
          alerts.handle(failed("b/m"))
          yield* passing(10)
          expect(applied).toEqual(["a/m"])
        })
      )
      expect(applied).toEqual(["a/m", "-a/m"])
      alerts.handle(failed("c/m"))
      yield* passing(10)
      expect(applied).toEqual(["a/m", "-a/m"])
    })
  )
})

describe("an outage, in virtual time", () => {
  it.effect("fires, says which target it is, and is over when it is over", () =>
    Effect.gen(function* () {
      let down = false
      const scripted = (name: string, script: ScriptedProvider.Script) => ScriptedProvider.layer({ name, script })
      const providers = LLMProvider.layer(
        scripted("first", () =>
          down ? ScriptedProvider.fail(Failures.server()) : ScriptedProvider.text("from the first")
        ),
        scripted("second", ["from the second"])
      )
      const { notifier, said, told } = listener()
      const alerts = Alerts.layer({
        rules: [
          {
            kind: "error-ratio",
            name: "target",
            ratio: 0.5,
            minimumCalls: 10,
            perTarget: true,
            window: "2m",
            for: "30s"
          },
          { kind: "circuit-open", name: "circuit", for: "20s" },
          { kind: "slo", name: "availability", objective: 0.99 }
        ],
        notify: [notifier]
      })
      const llm = LLM.layerPreset("interactive", { targets: ["first/m", "second/m"] }).pipe(
        Layer.provide(providers),
        Layer.provideMerge(alerts)
      )
      yield* Effect.gen(function* () {
        const service = yield* Alerts.Alerts
        /** A call each two seconds; its waits pass meanwhile. */
        const traffic = (seconds: number) =>
          Effect.gen(function* () {
            const texts: Array<string> = []
            for (let i = 0; i < seconds / 2; i++) {
              const fiber = yield* Effect.forkChild(LLM.generateText("Hello?"), { startImmediately: true })
              yield* TestClock.adjust("2 seconds")
              const exit = fiber.pollUnsafe()
              if (exit?._tag === "Success") texts.push(exit.value)
            }
            return texts
          })
        yield* traffic(600)
        expect((yield* service.snapshot).firing).toEqual([])
        down = true
        const during = yield* traffic(240)
        expect(during.filter((text) => text === "from the second").length).toBeGreaterThan(80)
        expect(said()).toContain("firing target/first/m")
        expect(said()).toContain("firing circuit/first/m")
        // The callers got their answers: the objective is kept.
        expect(said().some((each) => each.includes("availability"))).toBe(false)
        const [incident] = (yield* service.snapshot).incidents
        expect(incident!.causes[0]).toMatchObject({
          name: "one-target",
          sentence: "first/m fails while others do not."
        })
        expect(incident!.policies.failovers).toBeGreaterThan(10)
        expect(incident!.errors.during).toEqual({})
        down = false
        yield* traffic(600)
        const after = yield* service.snapshot
        expect(after.firing).toEqual([])
        expect(after.incidents).toMatchObject([{ status: "closed" }])
        expect(after.incidents[0]!.durationMs).toBeGreaterThan(120_000)
        expect(told.at(-1)!.status).toBe("resolved")
        expect(said().filter((each) => each.startsWith("firing")).length).toBe(
          said().filter((each) => each.startsWith("resolved")).length
        )
      }).pipe(Effect.provide(llm))
    })
  )
})
