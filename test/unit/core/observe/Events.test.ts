import { Event, Events } from "@breakwater/core"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { setup } from "../../../composition/support.ts"

const malformed = (inARow: number): Event.PolicyEvent => ({
  type: "malformed-event",
  provider: "p",
  model: "m",
  inARow
})

const emit = (from: number, to: number) =>
  Effect.map(Event.EventSink, (sink) => {
    for (let n = from; n < to; n++) sink?.(malformed(n))
  })

const numbers = (heard: Iterable<Events.Heard>) =>
  Array.from(heard, ({ dropped, event }) => [event.type === "malformed-event" ? event.inARow : -1, dropped])

describe("events as a stream", () => {
  it.effect("reach every reader from when it began to read, and none that has gone", () =>
    Effect.gen(function* () {
      const first = yield* Effect.forkChild(Stream.runCollect(Stream.take(Events.stream, 3)))
      yield* Effect.yieldNow
      yield* emit(0, 1)
      const second = yield* Effect.forkChild(Stream.runCollect(Stream.take(Events.stream, 3)))
      yield* Effect.yieldNow
      yield* emit(1, 5)
      expect(numbers(yield* Fiber.join(first))).toEqual([
        [0, 0],
        [1, 0],
        [2, 0]
      ])
      expect(numbers(yield* Fiber.join(second))).toEqual([
        [1, 0],
        [2, 0],
        [3, 0]
      ])
      yield* emit(5, 1_000_000)
    }).pipe(Effect.provide(Events.layerStream()))
  )

  it.effect("lose the oldest for a reader that is too slow, and say how many: nobody waits for it", () =>
    Effect.gen(function* () {
      const seen: Array<Events.Heard> = []
      const gate = yield* Latch.make()
      const reader = yield* Stream.runForEach(Stream.take(Events.stream, 5), (heard) => {
        seen.push(heard)
        return seen.length === 1 ? gate.await : Effect.void
      }).pipe(Effect.forkChild)
      yield* Effect.yieldNow
      yield* emit(0, 1)
      yield* Effect.yieldNow
      yield* emit(1, 101)
      yield* gate.open
      yield* Fiber.join(reader)
      expect(numbers(seen)).toEqual([
        [0, 0],
        [97, 96],
        [98, 96],
        [99, 96],
        [100, 96]
      ])
    }).pipe(Effect.provide(Events.layerStream({ capacity: 4 })))
  )

  it.effect("end with the Layer, and keep nothing of readers that leave", () =>
    Effect.gen(function* () {
      const reader = yield* Effect.gen(function* () {
        const events = yield* Effect.service(Events.EventStream)
        yield* Stream.runDrain(Stream.take(events.stream, 0))
        const reader = yield* Effect.forkDetach(Stream.runCollect(events.stream))
        yield* Effect.yieldNow
        yield* emit(0, 2)
        return reader
      }).pipe(Effect.provide(Events.layerStream()))
      expect(numbers(yield* Fiber.join(reader))).toEqual([
        [0, 0],
        [1, 0]
      ])
    })
  )

  it.effect("are those of calls, beside another listener, though one throws", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const { llm } = yield* setup({ a: ["x"] }, { targets: ["a/m"] })
      const types = yield* Effect.gen(function* () {
        const reader = yield* Effect.forkChild(Stream.runCollect(Stream.take(Events.stream, 4)))
        yield* Effect.yieldNow
        const answer = yield* llm.generate({ prompt: "hi" })
        assert.strictEqual(answer.text, "x")
        return Array.from(yield* Fiber.join(reader), ({ event }) => event.type)
      }).pipe(
        Effect.provide(
          Events.layerAll(
            Events.layer((event) => heard.push(event.type)),
            Events.layer(() => {
              throw new Error("broken")
            }),
            Events.layerStream()
          )
        )
      )
      expect(types).toEqual(["request-started", "attempt-started", "attempt-succeeded", "request-finished"])
      expect(heard).toEqual(types)
    })
  )

  it.effect("refuse a wrong capacity", () =>
    Effect.gen(function* () {
      for (const capacity of [0, 1.5, NaN, Infinity]) {
        const error = yield* Effect.flip(Layer.build(Events.layerStream({ capacity })))
        expect(String(error)).toContain("capacity")
      }
    })
  )
})
