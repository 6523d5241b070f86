/**
 * Random histories of a queue and of a compartment against models that keep plain lists and work everything out anew.
 */
import { Compartment } from "../../packages/core/src/internal/compartment.ts"
import { FairQueue, type Place } from "../../packages/core/src/internal/fairQueue.ts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

interface Entry {
  readonly id: number
  readonly sinceMs: number
  readonly deadlineMs: number
  readonly priority: number
  readonly partition: string
}

/** The reference: one list in order of arrival, and for each priority the partitions in the order of their turns. */
class Model {
  entries: Array<Entry> = []
  readonly turns = new Map<number, Array<string>>()
  readonly patienceMs: number
  readonly newestAbove: number

  constructor(patienceMs: number, newestAbove: number) {
    this.patienceMs = patienceMs
    this.newestAbove = newestAbove
  }

  push(entry: Entry) {
    const turns = this.turns.get(entry.priority) ?? []
    if (!turns.includes(entry.partition)) turns.push(entry.partition)
    this.turns.set(entry.priority, turns)
    this.entries.push(entry)
  }

  remove(entry: Entry): boolean {
    const there = this.entries.includes(entry)
    this.entries = this.entries.filter((each) => each !== entry)
    for (const [priority, turns] of this.turns) {
      this.turns.set(
        priority,
        turns.filter((name) => this.of(priority, name).length > 0)
      )
    }
    return there
  }

  of(priority: number, partition: string) {
    return this.entries.filter((each) => each.priority === priority && each.partition === partition)
  }

  take(nowMs: number): Entry | undefined {
    if (this.entries.length === 0) return undefined
    const highest = Math.max(...this.entries.map((each) => each.priority))
    const first = this.entries.find((each) => each.priority === highest)!
    const impatient = this.entries.find(
      (each) => each.priority < highest && nowMs - each.sinceMs >= this.patienceMs && each.sinceMs < first.sinceMs
    )
    let taken = impatient
    if (taken === undefined) {
      const turns = this.turns.get(highest)!
      const partition = turns.shift()!
      turns.push(partition)
      const lane = this.of(highest, partition)
      taken = this.entries.length > this.newestAbove ? lane[lane.length - 1]! : lane[0]!
    }
    this.remove(taken)
    return taken
  }
}

const Step = Schema.Struct({
  kind: Schema.Literals(["push", "push", "push", "take", "cancel", "expire"]),
  priority: Schema.Literals([0, 1]),
  partition: Schema.Literals(["", "x", "y", "z"]),
  pick: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })),
  waitMs: Schema.Literals([5, 20, 1_000])
})
const Steps = Schema.Array(Step).check(Schema.isMinLength(20))
const NewestAbove = Schema.Literals([0, 3, 1_000_000])

describe("the fair queue", () => {
  it.effect.prop(
    "serves, cancels and expires as the model does",
    { steps: Steps, newestAbove: NewestAbove },
    ({ newestAbove, steps }) =>
      Effect.sync(() => {
        const queue = new FairQueue<Entry>({ patienceMs: 15, newestAbove })
        const model = new Model(15, newestAbove)
        const places = new Map<Entry, Place<Entry>>()
        let id = 0
        steps.forEach((step, nowMs) => {
          if (step.kind === "push") {
            const { partition, priority } = step
            const entry = { id: id++, sinceMs: nowMs, deadlineMs: nowMs + step.waitMs, priority, partition }
            model.push(entry)
            places.set(entry, queue.push(entry, entry))
          } else if (step.kind === "take") {
            expect(queue.take(nowMs)?.value).toEqual(model.take(nowMs))
          } else if (step.kind === "cancel" && id > 0) {
            const [entry, place] = Array.from(places)[step.pick % id]!
            expect(queue.remove(place)).toBe(model.remove(entry))
          } else if (step.kind === "expire") {
            const late = model.entries.filter((entry) => entry.deadlineMs <= nowMs)
            late.forEach((entry) => model.remove(entry))
            const gone: Array<Entry> = []
            for (let p = queue.removeExpired(nowMs); p !== undefined; p = queue.removeExpired(nowMs)) gone.push(p.value)
            expect(gone.map((entry) => entry.id).sort((a, b) => a - b)).toEqual(
              late.map((entry) => entry.id).sort((a, b) => a - b)
            )
          }
          expect(queue.size).toBe(model.entries.length)
          expect(queue.nextDeadlineMs).toBe(Math.min(Infinity, ...model.entries.map((entry) => entry.deadlineMs)))
          const sums = new Map<string, number>()
          for (const { partition } of model.entries) sums.set(partition, (sums.get(partition) ?? 0) + 1)
          expect(queue.partitions()).toEqual(sums)
        })
        // Nothing stays behind, and nobody is forgotten.
        let left = 0
        while (queue.take(1e6) !== undefined) left++
        expect(left).toBe(model.entries.length)
      })
  )

  it.effect.prop(
    "nobody is overtaken more than once by each other partition of its priority, for one of its own",
    {
      steps: Steps
    },
    ({ steps }) =>
      Effect.sync(() => {
        const queue = new FairQueue<Entry>({ patienceMs: Infinity, newestAbove: Infinity })
        steps.forEach(({ partition }, id) =>
          queue.push(
            { id, sinceMs: 0, deadlineMs: Infinity, priority: 1, partition },
            {
              sinceMs: 0,
              deadlineMs: Infinity,
              priority: 1,
              partition
            }
          )
        )
        const served = Array.from(steps, () => queue.take(0)!.value)
        for (const entry of served) {
          const before = served.slice(0, served.indexOf(entry))
          const own = before.filter((each) => each.partition === entry.partition).length
          for (const other of ["", "x", "y", "z"]) {
            expect(before.filter((each) => each.partition === other).length).toBeLessThanOrEqual(own + 1)
          }
        }
      })
  )

  it.effect.prop(
    "who gives way is never one who would be served before the newcomer",
    {
      steps: Steps,
      priority: Schema.Literals([0, 1]),
      partition: Schema.Literals(["", "x", "y", "z"])
    },
    ({ partition, priority, steps }) =>
      Effect.sync(() => {
        const order = (replace: boolean) => {
          const queue = new FairQueue<string>({ patienceMs: Infinity, newestAbove: Infinity })
          const push = (name: string, priority: number, partition: string) =>
            queue.push(name, { sinceMs: 0, deadlineMs: Infinity, priority, partition })
          steps.forEach((step, id) => push(`${id}`, step.priority, step.partition))
          const victim = queue.givesWay(priority, partition)
          push("newcomer", priority, partition)
          if (replace && victim !== undefined) queue.remove(victim)
          const names = Array.from({ length: queue.size }, () => queue.take(0)!.value)
          return { names, victim: victim?.value }
        }
        const { names, victim } = order(false)
        if (victim === undefined) return
        expect(names.indexOf(victim)).toBeGreaterThan(names.indexOf("newcomer"))
        expect(order(true).names).toEqual(names.filter((name) => name !== victim))
      })
  )
})

describe("a compartment", () => {
  it.effect.prop(
    "never goes above its limit by itself, and never has a free slot while somebody waits",
    {
      steps: Steps
    },
    ({ steps }) =>
      Effect.sync(() => {
        const compartment = new Compartment<number>("k", 2, { patienceMs: 10, newestAbove: 5 })
        let waiting: Array<Place<number>> = []
        let running = 0
        const grant = (nowMs: number) => {
          for (let place = compartment.grant(nowMs); place !== undefined; place = compartment.grant(nowMs)) {
            running++
            waiting = waiting.filter((each) => each !== place)
          }
        }
        steps.forEach((step, nowMs) => {
          const before = running
          if (step.kind === "push") {
            if (compartment.enter()) running++
            else {
              waiting.push(compartment.queue.push(nowMs, { ...step, sinceMs: nowMs, deadlineMs: Infinity }))
            }
          } else if (step.kind === "take" && running > 0) {
            running--
            compartment.leave()
            grant(nowMs)
          } else if (step.kind === "cancel" && waiting.length > 0) {
            compartment.queue.remove(waiting.splice(step.pick % waiting.length, 1)[0]!)
          } else if (step.kind === "expire") {
            compartment.limit = 1 + (step.pick % 4)
            grant(nowMs)
          }
          expect({ active: compartment.active, queued: compartment.queued }).toEqual({
            active: running,
            queued: waiting.length
          })
          expect(running).toBeLessThanOrEqual(Math.max(before, compartment.limit))
          expect(waiting.length > 0 && running < compartment.limit).toBe(false)
        })
      })
  )
})
