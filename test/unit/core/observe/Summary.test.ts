import { Event, Events, LLM, LLMProvider, Summary } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { SummaryBook } from "../../../../packages/core/src/internal/summaryBook.ts"

setFlagsFromString("--expose_gc")
const collect = runInNewContext("gc") as () => void
const heap = () => {
  collect()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}

const finished = (n: number): Event.RequestFinished => ({
  type: "request-finished",
  requestId: `r${n}`,
  operation: "stream",
  outcome: n % 10 === 0 ? "interrupted" : "success",
  context: { tenant: `t${n}`, user: `u${n}` },
  startedAt: n * 10,
  tookMs: 10 + (n % 9_973),
  attempts: [
    {
      attempt: 1,
      target: `p${n % 7}/m${n % 1_013}`,
      outcome: "success",
      startedAt: n * 10,
      tookMs: 10 + (n % 9_973),
      firstTokenMs: n % 977,
      waitedMs: 0,
      usage: { inputTokens: 100, outputTokens: 10 },
      costNanos: 1_000n
    }
  ],
  retries: 0,
  failovers: 0,
  hedges: 0,
  firstTokenMs: n % 977,
  cost: { nanoDollars: 1_000n, estimated: false, unknownAttempts: 0 }
})

describe("Summary", () => {
  it("holds a million requests in the memory of a few, at less than 2 µs each", () => {
    const book = new SummaryBook(0)
    const times = 1_000_000
    for (let n = 0; n < 400_000; n++) book.record(finished(n))
    const before = heap()
    for (let n = 400_000; n < times; n++) book.record(finished(n))
    const grown = heap() - before
    expect(grown).toBeLessThan(2_000_000)
    const view = book.view(times * 10)
    expect(view.totals.requests).toBe(times)
    expect(Object.keys(view.targets)).toHaveLength(101)
    expect(view.series.points.length).toBeLessThanOrEqual(361)
    const [events, rounds] = [Array.from({ length: 1_000 }, (_, n) => finished(n)), 100]
    const tookNs = Array.from({ length: rounds }, () => {
      const start = process.hrtime.bigint()
      for (const event of events) book.record(event)
      return Number(process.hrtime.bigint() - start) / events.length
    })
    expect(tookNs.toSorted((a, b) => a - b)[rounds / 2]).toBeLessThan(2_000)
  })

  it.effect("is JSON on demand: amounts as texts, and the mergeable form reads as the snapshot", () =>
    Effect.gen(function* () {
      const { json, snapshot, state } = yield* Effect.gen(function* () {
        const sink = yield* Event.EventSink
        sink?.(finished(1))
        const snapshot = yield* Summary.snapshot
        return { snapshot, json: Summary.toJson(snapshot), state: yield* Summary.state }
      }).pipe(Effect.provide(Summary.layer))
      expect(json).toMatchObject({
        totals: { requests: 1, costNanos: "1000", tokens: { input: 100 } },
        targets: { "p1/m1": { costNanos: "1000" } },
        series: { stepMs: 10_000, points: [{ at: 0, costNanos: "1000", savedNanos: "0" }] }
      })
      expect(JSON.parse(JSON.stringify(json))).toEqual(json)
      expect(Summary.view(JSON.parse(JSON.stringify(state)))).toEqual(snapshot)
    })
  )

  it.effect("leaves another listener in place, inside and outside", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const llm = LLM.layerPreset("interactive", { targets: ["demo/any"] }).pipe(
        Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "demo", script: ["Hello!"] })))
      )
      const { totals } = yield* Effect.andThen(LLM.generateText("hi"), Summary.snapshot).pipe(
        Events.listen((event) => heard.push(`inside ${event.type}`)),
        Effect.provide(Layer.mergeAll(llm, Summary.layer)),
        Events.listen((event) => heard.push(`outside ${event.type}`))
      )
      expect(totals.requests).toBe(1)
      expect(heard).toContain("inside request-finished")
      expect(heard).toContain("outside request-finished")
    })
  )
})
