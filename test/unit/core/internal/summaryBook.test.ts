import { LLMError } from "@breakwater/core"
import { mergeStates, SummaryBook, viewState } from "../../../../packages/core/src/internal/summaryBook.ts"
import type { FinishedCall } from "../../../../packages/core/src/internal/summaryState.ts"
import { describe, expect, it } from "vitest"

const attempt = (target: string, more: Partial<FinishedCall["attempts"][number]> = {}) => ({
  attempt: 1,
  target,
  outcome: "success" as const,
  startedAt: 0,
  tookMs: 100,
  waitedMs: 0,
  ...more
})

const call = (more: Partial<FinishedCall> = {}): FinishedCall => ({
  outcome: "success",
  startedAt: 0,
  tookMs: 100,
  attempts: [attempt("a/m")],
  retries: 0,
  failovers: 0,
  hedges: 0,
  ...more
})

const down = new LLMError.ServerError({ message: "down" })

describe("SummaryBook", () => {
  it("counts requests by how they ended, and attempts by target", () => {
    const book = new SummaryBook(0)
    const usage = { inputTokens: 10, outputTokens: 5, cachedInputTokens: 4, reasoningTokens: 3 }
    book.record(
      call({
        attempts: [
          attempt("a/m", { outcome: "failure", error: down }),
          attempt("b/n", { usage, costNanos: 7n, firstTokenMs: 40 })
        ],
        failovers: 1,
        firstTokenMs: 50,
        cost: { nanoDollars: 7n, estimated: false, unknownAttempts: 1 }
      })
    )
    book.record(
      call({ outcome: "failure", attempts: [attempt("a/m", { outcome: "failure", error: down })], error: down })
    )
    book.record(call({ outcome: "interrupted", attempts: [attempt("a/m", { outcome: "interrupted" })], retries: 2 }))
    book.record(call({ attempts: [], cached: true, savedNanos: 9n, tookMs: 1 }))
    const view = book.view(1_000)
    expect(view.totals).toEqual({
      requests: 4,
      success: 2,
      failure: 1,
      interrupted: 1,
      cached: 1,
      attempts: 4,
      retries: 2,
      failovers: 1,
      hedges: 0,
      tokens: { input: 10, output: 5, cachedInput: 4, reasoning: 3 },
      costNanos: 7n,
      savedNanos: 9n,
      unknownCostAttempts: 1
    })
    expect(view.latency.count).toBe(3)
    expect(view.firstToken).toMatchObject({ count: 1, maxMs: 50 })
    expect(view.errors).toEqual({ ServerError: 1 })
    expect(view.targets["a/m"]).toMatchObject({
      attempts: 3,
      success: 0,
      failure: 2,
      interrupted: 1,
      errors: { ServerError: 2 },
      latency: { count: 2 }
    })
    expect(view.targets["b/n"]).toMatchObject({ attempts: 1, success: 1, costNanos: 7n, firstToken: { maxMs: 40 } })
    expect(view.series.points).toHaveLength(1)
    expect(view.series.points[0]).toMatchObject({ at: 0, requests: 4, retries: 2, inputTokens: 10, costNanos: 7n })
  })

  it("an attempt that was turned away before it was sent says nothing of the target's latency", () => {
    const book = new SummaryBook(0)
    book.record(call({ attempts: [attempt("a/m", { outcome: "failure", sent: false, tookMs: 0 })] }))
    expect(book.view(0).targets["a/m"]).toMatchObject({ attempts: 1, latency: { count: 0 } })
  })

  it("keeps an hour in steps of ten seconds, and leaves out empty ones", () => {
    const book = new SummaryBook(0)
    for (let at = 0; at < 7_200_000; at += 20_000) book.record(call({ startedAt: at, tookMs: 5_000 }))
    const { points, stepMs } = book.view(7_200_000).series
    expect(stepMs).toBe(10_000)
    expect(points[0]!.at).toBeGreaterThan(7_200_000 - 3_600_000)
    expect(points.at(-1)!.at).toBe(7_180_000)
    expect(points.length).toBe(179)
    expect(points.every((point) => point.requests === 1 && point.p50Ms === 5_000)).toBe(true)
  })

  it("goes on when the clock is set back, by an hour and by years", () => {
    const book = new SummaryBook(0)
    const now = Date.UTC(2030, 0, 1)
    for (const at of [now, now + 9 * 3_600_000, Date.UTC(2045, 0, 1)]) book.record(call({ startedAt: at }))
    book.record(call({ startedAt: now, tookMs: 1 }))
    const { points } = book.view(now + 1_000).series
    expect(points.map((point) => point.at)).toEqual([now])
    expect(book.view(now).totals.requests).toBe(4)
  })

  it("tells a hundred targets apart, and adds up the rest", () => {
    const book = new SummaryBook(0)
    for (let target = 0; target < 1_000; target++) book.record(call({ attempts: [attempt(`a/${target}`)] }))
    const { targets } = book.view(0)
    expect(Object.keys(targets)).toHaveLength(101)
    expect(targets["other"]?.attempts).toBe(900)
    const other = new SummaryBook(0)
    for (let target = 0; target < 1_000; target++) {
      other.record(call({ attempts: [attempt(`b/${target}`), attempt(`b/${target}`)] }))
    }
    const both = viewState(mergeStates([book.state(0), other.state(0)])).targets
    expect(Object.keys(both)).toHaveLength(101)
    expect(both["b/0"]?.attempts).toBe(2)
    expect(both["a/0"]).toBeUndefined()
    expect(both["other"]?.attempts).toBe(900 + 1_800 + 100)
  })

  it("takes names as they are", () => {
    const book = new SummaryBook(0)
    for (const name of ["__proto__", "constructor", "toString"]) book.record(call({ attempts: [attempt(name)] }))
    const state = JSON.parse(JSON.stringify(book.state(0)))
    expect(Object.keys(viewState(mergeStates([state, state])).targets).toSorted()).toEqual([
      "__proto__",
      "constructor",
      "toString"
    ])
  })
})
