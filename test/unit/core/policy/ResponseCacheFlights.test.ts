import { type Call, Events, LLMError, ResponseCache } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { sweep } from "../../../support/sweep.ts"
import {
  callOf,
  counted,
  countedStream,
  down,
  finishOf,
  partsOf,
  recorder,
  responseOf,
  textOf
} from "../support/cache.ts"

const make = Effect.map(ResponseCache.make(), (cache) => ({ ...cache, around: cache.around! }))

/** A call that waits until it is let go. */
const gated = <A, E>(answer: Effect.Effect<A, E>) =>
  Effect.map(Deferred.make<void>(), (gate) => ({
    open: Deferred.succeed(gate, undefined),
    ...counted(Effect.andThen(Deferred.await(gate), answer))
  }))

const fails = (error: LLMError.LLMError): Effect.Effect<Call.LLMResponse, LLMError.LLMError> => Effect.fail(error)

const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow)

describe("identical requests in flight", () => {
  it.effect("10,000 callers share one call; the others' answers say so", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const { open, run, state } = yield* gated(Effect.succeed(responseOf("answer")))
      const fibers = yield* Effect.forEach(Array.from({ length: 10_000 }), () =>
        Effect.forkChild(cache.around.generate(callOf(), run))
      )
      yield* settle
      expect((yield* cache.stats).inFlight).toBe(1)
      yield* open
      const answers = yield* Effect.forEach(fibers, Fiber.join)
      expect(state.runs).toBe(1)
      expect(answers.filter((answer) => answer.cached === undefined)).toHaveLength(1)
      expect(answers[9_999]).toMatchObject({
        text: "answer",
        requestId: "mine",
        attempts: [],
        cached: { source: "in-flight", ageMs: 0 }
      })
      expect(yield* cache.stats).toMatchObject({ misses: 1, shared: 9_999, hits: 0, inFlight: 0 })
    })
  )

  it.effect("a failure goes to all of them, and the next request asks again", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const { open, run, state } = yield* gated(fails(down))
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(cache.around.generate(callOf(), run)))
      yield* settle
      yield* open
      for (const fiber of fibers) expect(yield* Effect.flip(Fiber.join(fiber))).toBe(down)
      expect(state.runs).toBe(1)
      expect((yield* cache.around.generate(callOf(), Effect.succeed(responseOf("ok")))).text).toBe("ok")
    })
  )

  it.effect("the first caller's interruption is its own", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const { open, run, state } = yield* gated(Effect.succeed(responseOf("answer")))
      const [first, second] = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(cache.around.generate(callOf(), run))
      )
      yield* settle
      yield* Fiber.interrupt(first!)
      yield* open
      expect((yield* Fiber.join(second!)).text).toBe("answer")
      expect(state).toEqual({ runs: 1, interrupted: 0 })
    })
  )

  it.effect("the last one to leave cancels the call, and waits until it is over", () =>
    Effect.gen(function* () {
      const cache = yield* make
      let released = false
      const { run, state } = counted(
        Effect.ensuring(
          Effect.never,
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => (released = true))
          )
        )
      )
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(cache.around.generate(callOf(), run)))
      yield* settle
      yield* Fiber.interrupt(fibers[0]!)
      yield* Fiber.interrupt(fibers[2]!)
      expect(state.interrupted).toBe(0)
      yield* Fiber.interrupt(fibers[1]!)
      expect(state.interrupted).toBe(1)
      expect(released).toBe(true)
      expect((yield* cache.stats).inFlight).toBe(0)
    })
  )

  it.effect("a caller that comes while a call is being given up makes its own", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const stuck = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
      const first = yield* Effect.forkChild(cache.around.generate(callOf(), stuck))
      yield* settle
      const leaving = yield* Effect.forkChild(Fiber.interrupt(first))
      yield* settle
      expect((yield* cache.around.generate(callOf(), Effect.succeed(responseOf("new")))).text).toBe("new")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(leaving)
    })
  )

  it.effect("a follower's own deadline ends its wait, and nobody else's", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const { open, run } = yield* gated(Effect.succeed(responseOf("answer")))
      const first = yield* Effect.forkChild(cache.around.generate(callOf(), run))
      yield* settle
      const hurried = yield* Effect.forkChild(cache.around.generate(callOf({ rest: { deadlineMs: 100 } }), run))
      yield* settle
      yield* TestClock.adjust("100 millis")
      const error = yield* Effect.flip(Fiber.join(hurried))
      expect(error).toMatchObject({ _tag: "DeadlineExceededError", limit: Duration.millis(100) })
      yield* open
      expect((yield* Fiber.join(first)).text).toBe("answer")
    })
  )

  const late = new LLMError.DeadlineExceededError({
    message: "late",
    elapsed: Duration.millis(1),
    limit: Duration.millis(1)
  })
  const broke = new LLMError.BudgetExceededError({
    message: "broke",
    scope: "user",
    period: "day",
    limit: 1n,
    spent: 1n,
    reserved: 0n,
    needed: 1n
  })

  it.effect("the first caller's deadline is no verdict on one with more time: they ask again, once", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const first = yield* gated(fails(late))
      const second = yield* gated(Effect.succeed(responseOf("answer")))
      const leader = yield* Effect.forkChild(cache.around.generate(callOf({ rest: { deadlineMs: 100 } }), first.run))
      yield* settle
      const followers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(cache.around.generate(callOf({ rest: { deadlineMs: 10_000 } }), second.run))
      )
      yield* settle
      yield* first.open
      yield* settle
      yield* second.open
      expect(yield* Effect.flip(Fiber.join(leader))).toBe(late)
      for (const fiber of followers) expect((yield* Fiber.join(fiber)).text).toBe("answer")
      expect(second.state.runs).toBe(1)
    })
  )

  it.effect("the first caller's empty budget is a verdict on its own account only", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const first = yield* gated(fails(broke))
      const other = counted(Effect.succeed(responseOf("answer")))
      const of = (user: string) => callOf({ rest: { context: { tenant: "acme", user } } })
      const leader = yield* Effect.forkChild(cache.around.generate(of("a"), first.run))
      yield* settle
      const same = yield* Effect.forkChild(cache.around.generate(of("a"), other.run))
      const rich = yield* Effect.forkChild(cache.around.generate(of("b"), other.run))
      yield* settle
      yield* first.open
      expect(yield* Effect.flip(Fiber.join(leader))).toBe(broke)
      expect(yield* Effect.flip(Fiber.join(same))).toBe(broke)
      expect((yield* Fiber.join(rich)).text).toBe("answer")
    })
  )

  it.effect("the empty budget of one API key is no verdict on another key", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const first = yield* gated(fails(broke))
      const other = counted(Effect.succeed(responseOf("answer")))
      const of = (key: string) => callOf({ rest: { context: { tenant: "acme", key } } })
      const leader = yield* Effect.forkChild(cache.around.generate(of("a"), first.run))
      yield* settle
      const rich = yield* Effect.forkChild(cache.around.generate(of("b"), other.run))
      yield* settle
      yield* first.open
      expect(yield* Effect.flip(Fiber.join(leader))).toBe(broke)
      expect((yield* Fiber.join(rich)).text).toBe("answer")
    })
  )

  it.effect("is shared neither across targets to fail over to, nor with noCache and noStore", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const { open, run, state } = yield* gated(Effect.succeed(responseOf("answer")))
      const calls = [
        callOf({ rest: { targets: ["a/x"] } }),
        callOf({ rest: { targets: ["a/x", "b/y"] } }),
        callOf({ controls: { noCache: true } }),
        callOf({ controls: { noStore: true } }),
        callOf({ controls: { readOnly: true }, rest: { targets: ["a/x"] } })
      ]
      const fibers = yield* Effect.forEach(calls, (call) => Effect.forkChild(cache.around.generate(call, run)))
      yield* settle
      expect(state.runs).toBe(4)
      yield* open
      yield* Effect.forEach(fibers, Fiber.join)
    })
  )

  it.effect("can be turned off", () =>
    Effect.gen(function* () {
      const { around } = yield* ResponseCache.make({ singleFlight: false })
      const { open, run, state } = yield* gated(Effect.succeed(responseOf("answer")))
      const fibers = yield* Effect.forEach([1, 2], () => Effect.forkChild(around!.generate(callOf(), run)))
      yield* settle
      yield* open
      yield* Effect.forEach(fibers, Fiber.join)
      expect(state.runs).toBe(2)
    })
  )
})

/** A stream that is fed by hand. */
const fed = Effect.map(Queue.make<Call.LLMStreamPart, LLMError.LLMError | Cause.Done>(), (queue) => ({
  feed: (...parts: ReadonlyArray<Call.LLMStreamPart>) => Effect.andThen(Queue.offerAll(queue, parts), settle),
  end: Effect.andThen(Queue.end(queue), settle),
  fail: (error: LLMError.LLMError) => Effect.andThen(Queue.fail(queue, error), settle),
  ...countedStream(Stream.fromQueue(queue))
}))

describe("identical streams in flight", () => {
  it.effect("1,000 readers share one call, and all get every part", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const source = yield* fed
      const { events, record } = recorder()
      const texts = Array.from({ length: 50 }, (_, index) => `part ${index} `)
      const parts = partsOf(...texts)
      const fibers = yield* Effect.forEach(Array.from({ length: 1_000 }), () =>
        Effect.forkChild(Events.listen(record)(Stream.runCollect(cache.around.stream(callOf(), source.run))))
      )
      yield* settle
      for (const part of parts) yield* source.feed(part)
      yield* source.end
      const read = yield* Effect.forEach(fibers, Fiber.join)
      expect(source.state).toEqual({ opened: 1, closed: 1, parts: parts.length })
      for (const each of read) {
        expect(each).toHaveLength(parts.length)
        expect(textOf(each)).toBe(texts.join(""))
      }
      expect(read.filter((each) => finishOf(each)!.cached === undefined)).toHaveLength(1)
      expect(read.filter((each) => finishOf(each)!.cached?.source === "in-flight")).toHaveLength(999)
      expect(events.filter((event) => event.type === "cache-hit")).toHaveLength(999)
      expect(yield* cache.stats).toMatchObject({ inFlight: 0, misses: 1, shared: 999, stored: 1 })
    })
  )

  it.effect("a late reader gets the parts so far, and then the rest", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const source = yield* fed
      const parts = partsOf("a", "b", "c")
      const first = yield* Effect.forkChild(Stream.runCollect(cache.around.stream(callOf(), source.run)))
      yield* settle
      for (const part of parts.slice(0, 4)) yield* source.feed(part)
      const seen: Array<Call.LLMStreamPart> = []
      const late = yield* Effect.forkChild(
        Stream.runForEach(cache.around.stream(callOf(), source.run), (part) => Effect.sync(() => seen.push(part)))
      )
      yield* settle
      expect(textOf(seen)).toBe("ab")
      for (const part of parts.slice(4)) yield* source.feed(part)
      yield* source.end
      yield* Fiber.join(first)
      yield* Fiber.join(late)
      expect(textOf(seen)).toBe("abc")
      expect(source.state.opened).toBe(1)
    })
  )

  it.effect("a slow reader holds up nobody", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const source = countedStream(Stream.fromIterable(partsOf(..."abcdefgh")).pipe(Stream.rechunk(1)))
      const slow = yield* Effect.forkChild(
        Stream.runCollect(Stream.tap(cache.around.stream(callOf(), source.run), () => Effect.sleep("1 hour")))
      )
      yield* settle
      const fast = yield* Stream.runCollect(cache.around.stream(callOf(), source.run))
      expect(textOf(fast)).toBe("abcdefgh")
      expect(slow.pollUnsafe()).toBeUndefined()
      expect(source.state.opened).toBe(1)
      yield* TestClock.adjust("20 hours")
      expect(textOf(yield* Fiber.join(slow))).toBe("abcdefgh")
    })
  )

  it.effect("each reader leaves alone; the last one closes the stream", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const source = yield* fed
      const fibers = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(Stream.runCollect(cache.around.stream(callOf(), source.run)))
      )
      yield* settle
      yield* source.feed(...partsOf("a").slice(0, 3))
      yield* Fiber.interrupt(fibers[0]!)
      expect(source.state.closed).toBe(0)
      yield* Fiber.interrupt(fibers[1]!)
      expect(source.state.closed).toBe(1)
      expect(yield* cache.stats).toMatchObject({ inFlight: 0, entries: 0 })
    })
  )

  it.effect("a failure goes to all readers, after the parts they have", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const source = yield* fed
      const fibers = yield* Effect.forEach([1, 2], () => {
        const seen: Array<Call.LLMStreamPart> = []
        return Effect.forkChild(
          Effect.flip(
            Stream.runForEach(cache.around.stream(callOf(), source.run), (part) => Effect.sync(() => seen.push(part)))
          ).pipe(Effect.map((error) => ({ error, seen })))
        )
      })
      yield* settle
      yield* source.feed(...partsOf("a").slice(0, 3))
      yield* source.fail(down)
      for (const fiber of fibers) {
        const { error, seen } = yield* Fiber.join(fiber)
        expect(error).toBe(down)
        expect(textOf(seen)).toBe("a")
      }
    })
  )

  it.effect("a follower's own deadline ends its stream only", () =>
    Effect.gen(function* () {
      const cache = yield* make
      const source = yield* fed
      const first = yield* Effect.forkChild(Stream.runCollect(cache.around.stream(callOf(), source.run)))
      yield* settle
      const hurried = yield* Effect.forkChild(
        Stream.runDrain(cache.around.stream(callOf({ rest: { deadlineMs: 100 } }), source.run))
      )
      yield* settle
      yield* source.feed(...partsOf("a").slice(0, 3))
      yield* TestClock.adjust("100 millis")
      expect(yield* Effect.flip(Fiber.join(hurried))).toMatchObject({ _tag: "DeadlineExceededError" })
      yield* source.feed(partsOf("a")[3]!)
      yield* source.end
      expect(textOf(yield* Fiber.join(first))).toBe("a")
    })
  )

  it.effect("past its bound nobody joins any more, and nothing is kept", () =>
    Effect.gen(function* () {
      const { around, stats } = yield* ResponseCache.make({ maxEntryBytes: 100 })
      const source = yield* fed
      const parts = partsOf("x".repeat(500), "y")
      const first = yield* Effect.forkChild(Stream.runCollect(around!.stream(callOf(), source.run)))
      yield* settle
      yield* source.feed(...parts.slice(0, 3))
      const own = yield* Stream.runCollect(around!.stream(callOf(), Stream.fromIterable(partsOf("own"))))
      expect(textOf(own)).toBe("own")
      yield* source.feed(...parts.slice(3))
      yield* source.end
      expect(textOf(yield* Fiber.join(first))).toHaveLength(501)
      expect(yield* stats).toMatchObject({ inFlight: 0, refused: 2 })
    })
  )
})

// A fiber that gives way every one or two operations never gets on: resuming costs as many.
describe("interruption at every operation", () => {
  for (const yieldEvery of [undefined, 3, 4, 7]) {
    const options = yieldEvery === undefined ? {} : { yieldEvery }
    const often = yieldEvery ?? "∞"
    let begun = 0
    let over = 0
    const work = Effect.acquireUseRelease(
      Effect.sync(() => begun++),
      () => Effect.andThen(Effect.yieldNow, Effect.as(Effect.sleep(10), responseOf("answer"))),
      () => Effect.sync(() => over++)
    )

    it(`of a lone caller leaves no call behind, giving way every ${often} operations`, async () => {
      let cache = Effect.runSync(make)
      const points = await sweep(
        () => {
          cache = Effect.runSync(make)
          return cache.around.generate(callOf(), work)
        },
        ({ clock, exit }) => {
          expect(over).toBe(begun)
          expect(clock.sleeping()).toBe(0)
          expect(Effect.runSync(cache.stats).inFlight).toBe(0)
          if (Exit.isSuccess(exit)) expect(exit.value).toMatchObject({ text: "answer" })
        },
        options
      )
      expect(points).toBeGreaterThan(5)
    })

    it(`of the first of two harms the second never, giving way every ${often} operations`, async () => {
      const second: { exit?: Exit.Exit<Call.LLMResponse, unknown> } = {}
      await sweep(
        () => {
          const cache = Effect.runSync(make)
          delete second.exit
          return Effect.gen(function* () {
            const other = yield* Effect.forkDetach(
              Effect.andThen(Effect.yieldNow, cache.around.generate(callOf(), work))
            )
            other.addObserver((exit) => {
              second.exit = exit
            })
            const mine = yield* cache.around.generate(callOf(), work)
            yield* Fiber.join(other)
            return mine
          })
        },
        ({ exit }) => {
          // The clock stops with the first caller; what counts is that the second has not failed by then.
          if (second.exit !== undefined) expect(Exit.isSuccess(second.exit)).toBe(true)
          if (Exit.isSuccess(exit)) expect(exit.value).toMatchObject({ text: "answer" })
        },
        options
      )
    })

    it(`of a stream leaves no source open, giving way every ${often} operations`, async () => {
      begun = over = 0
      let cache = Effect.runSync(make)
      const points = await sweep(
        () => {
          cache = Effect.runSync(make)
          const parts = Stream.fromIterable(partsOf("a", "b")).pipe(
            Stream.rechunk(1),
            Stream.tap(() => Effect.yieldNow)
          )
          const source = Stream.unwrap(
            Effect.as(
              Effect.acquireRelease(
                Effect.sync(() => begun++),
                () => Effect.sync(() => over++)
              ),
              parts
            )
          )
          return Stream.runDrain(cache.around.stream(callOf(), source))
        },
        ({ exit }) => {
          const stats = Effect.runSync(cache.stats)
          expect(over).toBe(begun)
          expect(stats.inFlight).toBe(0)
          if (Exit.isSuccess(exit)) expect(stats.stored).toBe(1)
        },
        options
      )
      expect(points).toBeGreaterThan(10)
    })
  }
})
