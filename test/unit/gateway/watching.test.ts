/** The ring of the last requests, and the readers of events. */
import { type Event, LLMError } from "@breakwater/core"
import { assert, describe, it } from "@effect/vitest"
import { LiveHub, maxReaders } from "../../../packages/gateway/src/internal/LiveHub.ts"
import { plainEvent } from "../../../packages/gateway/src/internal/PlainEvent.ts"
import { capacity, RecentRequests } from "../../../packages/gateway/src/internal/RecentRequests.ts"

const started = (requestId: string): Event.PolicyEvent => ({
  type: "request-started",
  requestId,
  operation: "generate",
  targets: ["a/m"],
  maxAttempts: 3,
  context: { tenant: "default" }
})

const ended = (requestId: string, more: Partial<Event.RequestFinished> = {}): Event.RequestFinished => ({
  type: "request-finished",
  requestId,
  outcome: "success",
  tookMs: 12.34567,
  attempts: [],
  operation: "generate",
  context: { tenant: "default" },
  startedAt: 1_000,
  retries: 0,
  failovers: 0,
  hedges: 0,
  ...more
})

const broken = LLMError.withoutStack(
  () => new LLMError.StreamInterruptedError({ message: "it broke", partialText: "SECRET TEXT", parts: [] })
)

describe("the last requests", () => {
  it("keep what happened to each, by the time since its start", () => {
    let now = 5
    const recent = new RecentRequests(() => now)
    recent.record(started("one"))
    now = 8.5
    recent.record({ type: "attempt-started", requestId: "one", attempt: 1, target: "a/m" })
    recent.record({ type: "attempt-started", requestId: "unknown", attempt: 1, target: "a/m" })
    recent.record({ type: "circuit-changed", key: "a/m", from: "closed", to: "open", reason: "manual" })
    assert.deepEqual(recent.list({ limit: 10 }), [])
    recent.record(ended("one", { cost: { nanoDollars: 12n, estimated: false, unknownAttempts: 0 }, savedNanos: 3n }))
    const [one] = recent.list({ limit: 10 })
    assert.deepEqual(one!.events, [{ atMs: 3.5, type: "attempt-started", requestId: "one", attempt: 1, target: "a/m" }])
    assert.strictEqual(one!.tookMs, 12.346)
    assert.strictEqual(one!.costNanos, "12")
    assert.strictEqual(one!.savedNanos, "3")
    assert.deepEqual(recent.find("one"), one)
    assert.isUndefined(recent.find("two"))
  })

  it("are a ring, newest first, and can be told by how they ended", () => {
    const recent = new RecentRequests(() => 0)
    for (let i = 0; i < capacity + 50; i++)
      recent.record(ended(`r${i}`, { outcome: i % 2 === 0 ? "success" : "failure" }))
    const all = recent.list({ limit: 10_000 })
    assert.strictEqual(all.length, capacity)
    assert.strictEqual(all[0]!.requestId, `r${capacity + 49}`)
    assert.strictEqual(all.at(-1)!.requestId, "r50")
    assert.strictEqual(recent.list({ limit: 3, outcome: "success" }).length, 3)
    assert.isTrue(recent.list({ limit: 10_000, outcome: "failure" }).every(({ outcome }) => outcome === "failure"))
    assert.isUndefined(recent.find("r49"))
  })

  it("hold a bounded number of events, of a bounded number of requests", () => {
    const recent = new RecentRequests(() => 0)
    recent.record(started("long"))
    for (let i = 0; i < 500; i++) {
      recent.record({ type: "attempt-started", requestId: "long", attempt: i, target: "a/m" })
    }
    recent.record(ended("long"))
    assert.strictEqual(recent.find("long")!.events.length, 200)
    assert.strictEqual(recent.find("long")!.eventsLeftOut, 300)
    // Requests that never end do not stay for ever.
    recent.record(started("first"))
    for (let i = 0; i < 2_000; i++) recent.record(started(`open${i}`))
    recent.record({ type: "attempt-started", requestId: "first", attempt: 1, target: "a/m" })
    recent.record(ended("first"))
    assert.deepEqual(recent.find("first")!.events, [])
  })

  it("hold no word of an answer", () => {
    const recent = new RecentRequests(() => 0)
    recent.record(started("one"))
    recent.record({ type: "retry-scheduled", requestId: "one", attempt: 1, target: "a/m", delayMs: 5, error: broken })
    recent.record(
      ended("one", {
        outcome: "failure",
        error: broken,
        attempts: [
          { attempt: 1, target: "a/m", outcome: "failure", error: broken, startedAt: 0, tookMs: 1, waitedMs: 0 }
        ]
      })
    )
    const text = JSON.stringify(recent.list({ limit: 1 }))
    assert.notInclude(text, "SECRET")
    assert.include(text, '"error":{"_tag":"StreamInterruptedError","message":"it broke"}')
  })
})

describe("an event as JSON", () => {
  it("has amounts as text, no number that is none, and no end of a deep thing", () => {
    const deep: Record<string, unknown> = {}
    deep["self"] = deep
    const event = { type: "budget-rejected", reserved: 5n, retryMs: Infinity, deep, f: () => 1, u: undefined }
    const plain = plainEvent(event as unknown as Event.PolicyEvent)
    assert.strictEqual(plain["reserved"], "5")
    assert.isNull(plain["retryMs"])
    assert.isFalse("f" in plain || "u" in plain)
    assert.isBelow(JSON.stringify(plain).length, 300)
  })

  it("cuts what is too long", () => {
    const plain = plainEvent({ type: "x", text: "y".repeat(100_000) } as unknown as Event.PolicyEvent)
    assert.isBelow(JSON.stringify(plain).length, 2_100)
  })
})

describe("readers", () => {
  it("get every event in order, with its time", () => {
    const hub = new LiveHub(() => 77)
    const reader = hub.join()!
    let woken = 0
    reader.onReady(() => woken++)
    hub.publish(started("one"))
    hub.publish(started("two"))
    assert.strictEqual(woken, 1)
    const { dropped, events } = reader.take()
    assert.strictEqual(dropped, 0)
    assert.deepEqual(
      events
        .map((each) => JSON.parse(each) as { at: number; requestId: string })
        .map(({ at, requestId }) => [at, requestId]),
      [
        [77, "one"],
        [77, "two"]
      ]
    )
    assert.deepEqual(reader.take().events, [])
  })

  it("that are slow lose the oldest, and are told how many", () => {
    const hub = new LiveHub(() => 0)
    const [slow, quick] = [hub.join()!, hub.join()!]
    let seen = 0
    for (let i = 0; i < 5_000; i++) {
      hub.publish(started(`r${i}`))
      seen += quick.take().events.length
    }
    const { dropped, events } = slow.take()
    assert.strictEqual(seen, 5_000)
    assert.isAtMost(events.length, 512)
    assert.strictEqual(dropped + events.length, 5_000)
    assert.include(events.at(-1), "r4999")
  })

  it("are bounded in number, and cost nothing when there are none", () => {
    let asked = 0
    const hub = new LiveHub(() => asked++)
    hub.publish(started("unseen"))
    assert.strictEqual(asked, 0)
    const readers = Array.from({ length: maxReaders }, () => hub.join())
    assert.isTrue(readers.every((reader) => reader !== undefined))
    assert.isUndefined(hub.join())
    hub.leave(readers[0]!)
    assert.isDefined(hub.join())
  })

  it("are not called after they have taken their request back", () => {
    const hub = new LiveHub(() => 0)
    const reader = hub.join()!
    let woken = 0
    reader.onReady(() => woken++)()
    hub.publish(started("one"))
    assert.strictEqual(woken, 0)
    reader.onReady(() => woken++)
    assert.strictEqual(woken, 1)
  })
})
