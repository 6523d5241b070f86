/** What no name, remedy, notifier or clock may do to the watching. */
import { Alerts, Incident, type Notifier, Remedy, type Rules, Webhook } from "@breakwater/alerts"
import { CircuitBreaker, Event } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { Evaluator } from "../../../packages/alerts/src/internal/evaluator.ts"
import { slackBody } from "../../../packages/alerts/src/internal/bodies.ts"
import { Book } from "../../../packages/alerts/src/internal/book.ts"
import { circuit, failed, finished, threshold } from "./support.ts"

const open: Rules.Rule = { kind: "circuit-open", name: "open", resolveAfter: "0s" }

const listener = () => {
  const told: Array<Notifier.Notification> = []
  const notifier = Effect.succeed<Notifier.Notifier>({
    name: "test",
    notify: (notification) => void told.push(notification),
    stats: () => ({ name: "test", queued: 0, delivered: told.length, failed: 0, dropped: 0 })
  })
  return { told, notifier, said: () => told.map(({ alert, status }) => `${status} ${alert.key}`) }
}

const passing = (seconds: number) => TestClock.adjust(`${seconds} seconds`)

describe("the watching goes on", () => {
  it.effect("after a key with half a surrogate pair", () =>
    Effect.gen(function* () {
      const { notifier, said } = listener()
      const alerts = yield* Alerts.make({ rules: [open], notify: [notifier] })
      alerts.handle(circuit("a/\ud800", "open"))
      yield* passing(10)
      alerts.handle(circuit("b/m", "open"))
      yield* passing(10)
      expect(said()).toEqual(["firing a/\ud800", "firing b/m"])
    })
  )

  it.effect("beside a notifier, and a remedy, that throw", () =>
    Effect.gen(function* () {
      const { notifier, said } = listener()
      const records: Array<string> = []
      const broken = Effect.succeed<Notifier.Notifier>({
        name: "broken",
        notify: () => {
          throw new Error("no")
        },
        stats: () => ({ name: "broken", queued: 0, delivered: 0, failed: 0, dropped: 0 })
      })
      const breaker = yield* CircuitBreaker.make()
      const alerts = yield* Alerts.make({
        rules: [open],
        notify: [broken, notifier],
        remedies: [
          Remedy.callback({
            name: "throws",
            rules: ["open"],
            apply: () => {
              throw new Error("thrown")
            }
          }),
          Remedy.callback({ name: "dies", rules: ["open"], apply: () => Effect.die(new Error("died")) }),
          Remedy.openBreaker({
            rules: ["open"],
            breaker,
            key: () => {
              throw new Error("keyless")
            }
          })
        ],
        onRecord: (record) => {
          if (record.type === "remedy-failed") records.push(`${record.remedy}: ${record.message}`)
        }
      })
      alerts.handle(circuit("a/m", "open"))
      yield* passing(10)
      alerts.handle(circuit("b/m", "open"))
      yield* passing(10)
      expect(said()).toEqual(["firing a/m", "firing b/m"])
      expect(records).toEqual([1, 2].flatMap(() => ["throws: thrown", "dies: died", "open-breaker: keyless"]))
    })
  )

  it.effect("and what listens beside it hears everything, whatever an event is", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const layer = Alerts.layer({ rules: [{ kind: "budget", name: "budget" }] }).pipe(
        Layer.provide(Layer.succeed(Event.EventSink, (event: Event.PolicyEvent) => void heard.push(event.type)))
      )
      const sink = Context.get(yield* Layer.build(layer), Event.EventSink)!
      // Not of this library: amounts that are no bigints.
      sink({ ...threshold(0.9), limit: 1 as never, spent: undefined as never, period: undefined as never })
      sink(finished("success"))
      expect(heard).toEqual(["budget-threshold", "request-finished"])
    })
  )
})

describe("remedies", () => {
  it.effect("of one name are two, and each is taken back", () =>
    Effect.gen(function* () {
      const breakers = [yield* CircuitBreaker.make(), yield* CircuitBreaker.make()]
      const alerts = yield* Alerts.make({
        rules: [open],
        remedies: breakers.map((breaker) => Remedy.openBreaker({ rules: ["open"], breaker }))
      })
      const states = Effect.forEach(breakers, (breaker) =>
        Effect.map(breaker.snapshot("a/m"), (snapshot) => snapshot.state)
      )
      alerts.handle(circuit("a/m", "open"))
      yield* passing(10)
      expect(yield* states).toEqual(["forced-open", "forced-open"])
      alerts.handle(circuit("a/m", "closed"))
      yield* passing(20)
      expect(yield* states).toEqual(["closed", "closed"])
    })
  )

  it.effect("that end do not end others of their name", () =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const note = (what: string) =>
        Remedy.callback({
          name: "note",
          rules: ["open"],
          apply: () => Effect.sync(() => void done.push(what)),
          takeBack: () => Effect.sync(() => void done.push(`-${what}`))
        })
      const alerts = yield* Alerts.make({ rules: [open], remedies: [note("kept")] })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* alerts.withRemedy(note("left"))
          alerts.handle(circuit("a/m", "open"))
          yield* passing(10)
        })
      )
      expect(done).toEqual(["kept", "left", "-left"])
    })
  )

  it.effect("are applied anew where the alert fires again while the last one is taken back", () =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const alerts = yield* Alerts.make({
        rules: [open],
        remedies: [
          Remedy.callback({
            name: "slow",
            rules: ["open"],
            apply: () => Effect.sync(() => void done.push("applied")),
            // The last one, when the test is over, has no clock to wait for.
            takeBack: () =>
              Effect.andThen(
                done.length > 1 ? Effect.void : Effect.sleep("9 seconds"),
                Effect.sync(() => void done.push("back"))
              )
          })
        ]
      })
      alerts.handle(circuit("a/m", "open"))
      yield* alerts.evaluate
      yield* passing(1)
      alerts.handle(circuit("a/m", "closed"))
      yield* alerts.evaluate
      yield* passing(1)
      alerts.handle(circuit("a/m", "open"))
      yield* alerts.evaluate
      yield* passing(9)
      expect(done).toEqual(["applied", "back", "applied"])
    })
  )

  it.effect("that cannot be taken back are a record", () =>
    Effect.gen(function* () {
      const records: Array<string> = []
      const alerts = yield* Alerts.make({
        rules: [open],
        remedies: [
          { name: "stuck", rules: ["open"], apply: () => Effect.succeed(Effect.die(new Error("stuck"))) },
          { name: "slow", rules: ["open"], apply: () => Effect.succeed(Effect.never) }
        ],
        onRecord: (record) =>
          void (
            record.type.startsWith("remedy") &&
            records.push([record.type, "message" in record ? record.message : ""].join(" "))
          )
      })
      alerts.handle(circuit("a/m", "open"))
      yield* passing(10)
      alerts.handle(circuit("a/m", "closed"))
      yield* passing(30)
      expect(records.slice(2)).toEqual([
        "remedy-failed it was not taken back: stuck",
        expect.stringMatching(/^remedy-failed it was not taken back: /)
      ])
    })
  )
})

describe("time", () => {
  it.effect("a silence lasts as long as it was made for, wherever the clock on the wall is put", () =>
    Effect.gen(function* () {
      const { notifier, said } = listener()
      const clock = yield* Clock.Clock
      let shift = 0
      const shifted: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + shift,
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(shift) * 1_000_000n,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        sleep: (duration) => clock.sleep(duration)
      }
      const alerts = yield* Effect.provideService(
        Alerts.make({ rules: [open], notify: [notifier] }),
        Clock.Clock,
        shifted
      )
      yield* alerts.silence({ for: "1 minute" })
      alerts.handle(circuit("a/m", "open"))
      shift = -86_400_000
      yield* passing(30)
      expect(said()).toEqual([])
      yield* passing(60)
      expect(said()).toEqual(["firing a/m"])
      const silence = yield* alerts.silence({ for: "1 hour" })
      shift = 86_400_000
      yield* passing(10)
      const { firing, silences } = yield* alerts.snapshot
      expect([firing[0]!.silenced, silences.map(({ id }) => id)]).toEqual([true, [silence.id]])
    })
  )
})

describe("a circuit", () => {
  const at = (rules: ReadonlyArray<Rules.Rule>) => {
    const now = { ms: 0, wallMs: 0 }
    const evaluator = new Evaluator(rules, Number, now)
    return {
      pass: (byMs: number) => void (now.ms += byMs),
      send: (event: Event.PolicyEvent) => evaluator.event(now, event),
      tick: () => evaluator.tick(now).map(({ alert, type }) => `${type} ${alert.id}`)
    }
  }

  it("that nobody asks for any more, after a reload say, does not fire for ever", () => {
    const { pass, send, tick } = at([open])
    const rejected = { type: "circuit-rejected", key: "a/m", state: "open", retryAfterMs: 60_000 } as const
    send({ ...circuit("a/m", "open"), openForMs: 600_000 })
    expect(tick()).toEqual(["firing open/a/m"])
    pass(65 * 60_000)
    send(rejected)
    pass(50 * 60_000)
    expect(tick()).toEqual([])
    pass(15 * 60_000)
    expect(tick()).toEqual(["resolved open/a/m"])
    send(rejected)
    expect(tick()).toEqual([])
  })

  it("that is held by hand fires until it is let go", () => {
    const { pass, send, tick } = at([{ ...open, forced: true }])
    send(circuit("a/m", "forced-open"))
    expect(tick()).toEqual(["firing open/a/m"])
    pass(30 * 86_400_000)
    expect(tick()).toEqual([])
    send(circuit("a/m", "closed", "forced-open"))
    expect(tick()).toEqual(["resolved open/a/m"])
  })
})

describe("budgets", () => {
  const stage = () => {
    const now = { ms: 0, wallMs: Date.UTC(2026, 0, 15, 12) }
    const evaluator = new Evaluator([{ kind: "budget", name: "budget" }], Number, now)
    return {
      send: (event: Event.PolicyEvent) => evaluator.event(now, event),
      tick: () => evaluator.tick(now).map(({ alert, type }) => `${type} ${alert.id}`)
    }
  }

  it("of one name and two periods, or two scopes, are two accounts", () => {
    const { send, tick } = stage()
    send(threshold(0.9, "day"))
    send(threshold(0.5, "month"))
    send({ ...threshold(0.95, "day"), scope: "user" })
    expect(tick()).toEqual(["firing budget/team:x (project, day)", "firing budget/team:x (user, day)"])
  })

  it("that are named after scope and period need not say it twice", () => {
    const { send, tick } = stage()
    send({ ...threshold(0.9, "day"), budget: "project day" })
    send({ ...threshold(0.9, "day"), budget: "global day", scope: "global", value: "" })
    expect(tick()).toEqual(["firing budget/project day:x", "firing budget/global day"])
  })
})

describe("what is told", () => {
  it.effect("has an id of its own, however long the key", () =>
    Effect.gen(function* () {
      const { notifier, told } = listener()
      const alerts = yield* Alerts.make({ rules: [open], notify: [notifier] })
      const long = "x".repeat(300)
      alerts.handle(circuit(`${long}/a`, "open"))
      alerts.handle(circuit(`${long}/b`, "open"))
      yield* passing(10)
      expect(new Set(told.map(({ id }) => id)).size).toBe(2)
      for (const { id } of told) expect(id).toMatch(/^[\x21-\x7e]{1,256}$/)
    })
  )

  const alert: Alerts.Alert = {
    id: "open/a",
    rule: "open",
    kind: "circuit-open",
    key: "a",
    severity: "page",
    state: "firing",
    since: 0,
    value: 1,
    threshold: 1,
    summary: "it"
  }

  it("is whole characters for a chat, also where it is cut", () => {
    for (let pad = 0; pad < 8; pad++) {
      const summary = `${"y".repeat(pad)}${"😀&".repeat(2_000)}`
      const body = slackBody({ id: "1", status: "firing", at: 0, alert: { ...alert, summary } })
      const { text } = JSON.parse(body) as { text: string }
      expect(text.isWellFormed()).toBe(true)
      expect(text.length).toBeLessThanOrEqual(2_900)
      expect(text).toMatch(/(?:&amp;|😀|…)$/u)
    }
  })

  it("has no control characters on a page", () => {
    const book = new Book("inc")
    const now = { ms: 0, wallMs: 0 }
    book.event(now, failed("a/\u001b[2J\u0007m\u202e\ud800"))
    book.changes(now, [{ type: "firing", alert: { ...alert, summary: "bell \u0007 and\u2028line" } }])
    expect(Incident.toMarkdown(book.all(now)[0]!)).not.toMatch(
      // oxlint-disable-next-line no-control-regex
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e\ud800]/
    )
  })
})

describe("a signature", () => {
  it.effect("by a secret that is empty or short is refused, not a defect", () =>
    Effect.gen(function* () {
      for (const secret of ["", "short"]) {
        const header = `t=0,kid=a,v1=${"0".repeat(64)}`
        const exit = yield* Effect.exit(
          Webhook.verify({ header, body: "{}", keys: [{ id: "a", secret: Redacted.make(secret) }] })
        )
        expect(exit._tag === "Failure" && exit.cause.reasons[0]?._tag).toBe("Fail")
      }
    })
  )
})
