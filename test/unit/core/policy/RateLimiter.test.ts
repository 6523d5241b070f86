import { Event, LLMError, RateLimiter } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"

const algorithms = ["token-bucket", "gcra", "sliding-log", "sliding-counter", "fixed-window"] as const

const retryMs = (error: { readonly retryAfter?: Duration.Duration | undefined }): number =>
  Duration.toMillis(error.retryAfter ?? Duration.zero)

/** Starts fibers that wait, each before the next, and says in which order they got through. */
const waiting = (
  limiter: RateLimiter.RateLimiterService,
  names: ReadonlyArray<string>,
  options: (name: string) => RateLimiter.AcquireOptions = () => ({})
) =>
  Effect.gen(function* () {
    const order: Array<string> = []
    const fibers: Record<string, Fiber.Fiber<unknown, LLMError.LLMError>> = {}
    for (const name of names) {
      const wait = Effect.tap(limiter.acquire("key", options(name)), () => Effect.sync(() => order.push(name)))
      fibers[name] = yield* Effect.forkChild(wait, { startImmediately: true })
    }
    return { order, fibers }
  })

const full = (options: Partial<RateLimiter.LimiterOptions> = {}, limit = 1) =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make({ limit, window: `${limit} seconds`, ...options })
    yield* limiter.consume("key", limit)
    return limiter
  })

describe("consume", () => {
  it.effect("lets a burst go, then what refills, and idle time never adds to the burst", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 10, window: "10 seconds" })
      const burst = Effect.gen(function* () {
        let gone = 0
        while ((yield* Effect.exit(limiter.consume("key")))._tag === "Success") gone++
        return gone
      })
      expect(yield* burst).toBe(10)
      yield* TestClock.adjust("3 seconds")
      expect(yield* burst).toBe(3)
      yield* TestClock.adjust("1 hour")
      expect(yield* burst).toBe(10)
    })
  )

  for (const algorithm of algorithms) {
    it.effect(`rejects with a positive, finite retryAfter that is enough: ${algorithm}`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make({ limit: 3, window: "7 seconds", algorithm })
        for (let round = 0; round < 20; round++) {
          const error = yield* Effect.flip(Effect.forever(limiter.consume("key")))
          if (error._tag !== "RateLimitError") throw error
          expect(error.source).toBe("local")
          expect(error.key).toBe("key")
          expect(error.isRetryable).toBe(true)
          expect(retryMs(error)).toBeGreaterThan(0)
          expect(retryMs(error)).toBeLessThanOrEqual(8_000)
          const { waitMs } = yield* limiter.check("key")
          expect(Math.abs(waitMs - retryMs(error))).toBeLessThanOrEqual(1)
          yield* TestClock.adjust(retryMs(error))
          expect((yield* limiter.consume("key")).allowed).toBe(true)
        }
      })
    )
  }

  it.effect("counts keys apart, and weights", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 10, window: "1 minute" })
      expect((yield* limiter.consume("a", 7)).remaining).toBe(3)
      expect((yield* limiter.consume("b", { weight: 2.5 })).remaining).toBe(7.5)
      expect((yield* Effect.flip(limiter.consume("a", 4)))._tag).toBe("RateLimitError")
      expect((yield* limiter.consume("a", 3)).remaining).toBe(0)
    })
  )

  it.effect("spaces evenly with GCRA", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 10, window: "1 second", algorithm: "gcra" })
      yield* limiter.consume("key")
      expect(retryMs((yield* Effect.flip(limiter.consume("key"))) as LLMError.RateLimitError)).toBe(100)
      const bursty = yield* RateLimiter.make({ limit: 10, window: "1 second", algorithm: "gcra", burst: 3 })
      for (let i = 0; i < 3; i++) yield* bursty.consume("key")
      expect((yield* bursty.check("key")).waitMs).toBeCloseTo(100, 6)
    })
  )

  it.effect("has no double burst at a window's border with the sliding log", () =>
    Effect.gen(function* () {
      const gone = (algorithm: RateLimiter.AlgorithmName) =>
        Effect.gen(function* () {
          const limiter = yield* RateLimiter.make({ limit: 10, window: "1 second", algorithm })
          yield* limiter.consume("key")
          yield* TestClock.adjust("990 millis")
          let count = 0
          while ((yield* limiter.check("key")).allowed) {
            yield* limiter.consume("key")
            count++
          }
          yield* TestClock.adjust("20 millis")
          while ((yield* limiter.check("key")).allowed) {
            yield* limiter.consume("key")
            count++
          }
          return count
        })
      expect(yield* gone("sliding-log")).toBe(10)
      expect(yield* gone("fixed-window")).toBe(19)
    })
  )

  it.effect("fails for ever, and says so, with a weight above the limit", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 10, window: "1 minute" })
      for (const attempt of [limiter.consume("key", 11), limiter.acquire("key", { weight: 11 })]) {
        const error = yield* Effect.flip(attempt)
        expect(error).toMatchObject({ _tag: "RateLimitError", shouldRetry: false, isRetryable: false })
        expect(retryMs(error)).toBeGreaterThan(0)
      }
      expect(yield* limiter.check("key", 11)).toMatchObject({ allowed: false, waitMs: Infinity })
      expect((yield* limiter.check("key")).remaining).toBe(10)
    })
  )

  it.effect("turns bad arguments into typed errors that name the parameter", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 10, window: "1 minute" })
      const wrong = [
        [limiter.consume("key", NaN), "weight"],
        [limiter.consume("key", -1), "weight"],
        [limiter.consume("key", 0), "weight"],
        [limiter.consume(""), "key"],
        [limiter.acquire(""), "key"],
        [limiter.check("key", NaN), "weight"],
        [limiter.acquire("key", { priority: NaN }), "priority"],
        [limiter.acquire("key", { maxWait: -1 }), "maxWait"],
        [limiter.acquire("key", { maxWait: NaN }), "maxWait"],
        [limiter.consume("key", { plan: "gold" }), "plan"]
      ] as const
      for (const [attempt, parameter] of wrong) {
        expect(yield* Effect.flip(attempt as Effect.Effect<unknown, LLMError.LLMError>)).toMatchObject({
          _tag: "InvalidRequestError",
          parameter
        })
      }
      expect((yield* limiter.check("key")).remaining).toBe(10)
    })
  )

  it.effect("is not moved by a wall clock that is set back", () =>
    Effect.gen(function* () {
      const test = yield* Clock.Clock
      let wall = 1e12
      const clock: Clock.Clock = {
        ...test,
        sleep: test.sleep,
        currentTimeMillisUnsafe: () => wall,
        monotonicTimeNanosUnsafe: () => test.monotonicTimeNanosUnsafe()
      }
      yield* Effect.gen(function* () {
        const limiter = yield* RateLimiter.make({ limit: 1, window: "1 second" })
        yield* limiter.consume("key")
        wall -= 3_600_000
        expect((yield* limiter.check("key")).waitMs).toBeCloseTo(1_000, 6)
        yield* TestClock.adjust("1 second")
        expect((yield* limiter.consume("key")).allowed).toBe(true)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    })
  )

  it.effect("builds rejections without a stack that still are errors of the union", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const error = yield* Effect.flip(limiter.consume("key"))
      expect(error).toBeInstanceOf(LLMError.RateLimitError)
      expect(error).toBeInstanceOf(Error)
      expect(error.stack).not.toContain("\n")
      expect(LLMError.isLLMError(error)).toBe(true)
      const encoded = yield* Schema.encodeEffect(LLMError.LLMError)(error)
      expect(yield* Schema.decodeEffect(LLMError.LLMError)(encoded)).toMatchObject({
        _tag: "RateLimitError",
        key: "key"
      })
      expect(JSON.parse(JSON.stringify(error))).toMatchObject({ _tag: "RateLimitError", message: error.message })
    })
  )
})

describe("acquire", () => {
  it.effect("serves first come, first served", () =>
    Effect.gen(function* () {
      const { order } = yield* waiting(yield* full(), ["a", "b", "c", "d"])
      yield* TestClock.adjust("4 seconds")
      expect(order).toEqual(["a", "b", "c", "d"])
    })
  )

  it.effect("serves a higher priority first, and first come, first served within one", () =>
    Effect.gen(function* () {
      const { order } = yield* waiting(yield* full(), ["low1", "low2", "high1", "high2"], (name) => ({
        priority: name.startsWith("high") ? 1 : 0
      }))
      yield* TestClock.adjust("4 seconds")
      expect(order).toEqual(["high1", "high2", "low1", "low2"])
    })
  )

  it.effect("does not let a low priority starve past its patience", () =>
    Effect.gen(function* () {
      const limiter = yield* full({ patience: "3 seconds" })
      const { order } = yield* waiting(
        limiter,
        ["low", ...Array.from({ length: 10 }, (_, i) => `high${i}`)],
        (name) => ({
          priority: name === "low" ? 0 : 1
        })
      )
      yield* TestClock.adjust("4 seconds")
      expect(order.indexOf("low")).toBe(2)
    })
  )

  it.effect("does not let small weights overtake a large one, neither waiting nor consuming", () =>
    Effect.gen(function* () {
      const limiter = yield* full({}, 10)
      const { order } = yield* waiting(limiter, ["large", "small"], (name) => ({ weight: name === "large" ? 10 : 1 }))
      for (let second = 0; second < 9; second++) {
        yield* TestClock.adjust("1 second")
        const error = yield* Effect.flip(limiter.consume("key"))
        expect(retryMs(error)).toBeGreaterThanOrEqual(1_000)
        expect((yield* limiter.check("key")).allowed).toBe(false)
      }
      expect(order).toEqual([])
      yield* TestClock.adjust("1 second")
      expect(order).toEqual(["large"])
      yield* TestClock.adjust("1 second")
      expect(order).toEqual(["large", "small"])
    })
  )

  it.effect("fails before waiting when maxWait cannot be met, alone or behind others", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const alone = yield* Effect.flip(limiter.acquire("key", { maxWait: "999 millis" }))
      expect(retryMs(alone)).toBe(1_000)
      yield* waiting(limiter, ["a", "b", "c"])
      const behind = yield* Effect.flip(limiter.acquire("key", { maxWait: "3900 millis" }))
      expect(behind).toMatchObject({ _tag: "RateLimitError", source: "local" })
      expect(retryMs(behind)).toBe(4_000)
      expect((yield* Effect.flip(limiter.acquire("key", { maxWait: 0 })))._tag).toBe("RateLimitError")
      expect(yield* Clock.currentTimeMillis).toBe(0)
    })
  )

  it.effect("meets a maxWait that is just enough", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const { order } = yield* waiting(limiter, ["a", "b"], () => ({ maxWait: "2 seconds" }))
      yield* TestClock.adjust("2 seconds")
      expect(order).toEqual(["a", "b"])
    })
  )

  it.effect("fails at its deadline one that was overtaken by a higher priority", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const { fibers, order } = yield* waiting(limiter, ["late", "first"], (name) => ({
        priority: name === "first" ? 1 : 0,
        maxWait: "1500 millis"
      }))
      yield* TestClock.adjust("2 seconds")
      expect(order).toEqual(["first"])
      const error = yield* Effect.flip(Fiber.join(fibers["late"]!))
      expect(retryMs(error as LLMError.RateLimitError)).toBeGreaterThan(0)
      expect((yield* limiter.snapshot("key")).waiting).toBe(0)
    })
  )

  for (const [place, gone] of [
    ["head", "a"],
    ["middle", "b"],
    ["tail", "c"]
  ] as const) {
    it.effect(`goes on when the ${place} of the line is cancelled`, () =>
      Effect.gen(function* () {
        const limiter = yield* full()
        const names = ["a", "b", "c"]
        const { fibers, order } = yield* waiting(limiter, names)
        yield* Fiber.interrupt(fibers[gone]!)
        yield* TestClock.adjust("2 seconds")
        expect(order).toEqual(names.filter((name) => name !== gone))
        expect((yield* limiter.check("key")).waitMs).toBeCloseTo(1_000, 6)
      })
    )
  }

  it.effect("is not delayed by 1,000 interrupted waiters, which leave no debt", () =>
    Effect.gen(function* () {
      const limiter = yield* full({ maxWait: "1 hour" })
      const { fibers } = yield* waiting(
        limiter,
        Array.from({ length: 1_000 }, (_, i) => `${i}`)
      )
      expect((yield* limiter.snapshot("key")).waiting).toBe(1_000)
      for (const fiber of Object.values(fibers)) yield* Fiber.interrupt(fiber)
      expect((yield* limiter.snapshot("key")).waiting).toBe(0)
      const { order } = yield* waiting(limiter, ["next"])
      yield* TestClock.adjust("1 second")
      expect(order).toEqual(["next"])
    })
  )

  it.effect("has one timer for a whole line", () =>
    Effect.gen(function* () {
      const test = yield* Clock.Clock
      let sleeping = 0
      let most = 0
      const clock: Clock.Clock = {
        ...test,
        sleep: (duration) =>
          Effect.suspend(() => {
            most = Math.max(most, ++sleeping)
            return Effect.ensuring(
              test.sleep(duration),
              Effect.sync(() => sleeping--)
            )
          })
      }
      yield* Effect.gen(function* () {
        const limiter = yield* full({ maxWait: "1 hour" })
        const { fibers, order } = yield* waiting(
          limiter,
          Array.from({ length: 500 }, (_, i) => `${i}`)
        )
        yield* TestClock.adjust("5 seconds")
        expect(order.length).toBe(5)
        for (const fiber of Object.values(fibers)) yield* Fiber.interrupt(fiber)
        // One for the line and one for the store's sweep.
        expect(most).toBe(2)
        expect(sleeping).toBe(1)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    })
  )

  it.effect("stops waiting when a timeout around it comes first", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const fiber = yield* Effect.forkChild(Effect.timeoutOption(limiter.acquire("key"), "500 millis"), {
        startImmediately: true
      })
      yield* TestClock.adjust("500 millis")
      expect((yield* Fiber.join(fiber))._tag).toBe("None")
      yield* TestClock.adjust("500 millis")
      expect((yield* limiter.consume("key")).allowed).toBe(true)
    })
  )

  it.effect("can be interrupted while it waits in an uninterruptible region", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(limiter.acquire("key")), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      expect((yield* limiter.snapshot("key")).waiting).toBe(0)
    })
  )

  it.effect("lets 10,000 fibers on one key through, no more in any second than the limit", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 1_000, window: "1 second", algorithm: "sliding-log" })
      let gone = 0
      for (let i = 0; i < 10_000; i++) {
        yield* Effect.forkChild(
          Effect.tap(limiter.acquire("key"), () => Effect.sync(() => gone++)),
          { startImmediately: true }
        )
      }
      expect(gone).toBe(1_000)
      for (let second = 2; second <= 10; second++) {
        yield* TestClock.adjust("1 second")
        expect(gone).toBe(second * 1_000)
      }
    })
  )

  it.effect("turns away more than may wait", () =>
    Effect.gen(function* () {
      const limiter = yield* full({ maxWaiting: 2 })
      yield* waiting(limiter, ["a", "b"])
      expect((yield* Effect.flip(limiter.acquire("key")))._tag).toBe("RateLimitError")
      expect((yield* limiter.snapshot("key")).waiting).toBe(2)
    })
  )

  it.effect("interrupts whoever waits when its scope ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const limiter = yield* Scope.provide(full(), scope)
      const { fibers } = yield* waiting(limiter, ["a"])
      yield* Scope.close(scope, Exit.void)
      expect((yield* Fiber.await(fibers["a"]!))._tag).toBe("Failure")
      expect((yield* Effect.exit(limiter.acquire("key")))._tag).toBe("Failure")
    })
  )
})

describe("limits that change", () => {
  it.effect("wake those who wait, and keep what was used", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ limit: 10, window: "10 seconds" })
      yield* limiter.consume("key", 10)
      const { order } = yield* waiting(limiter, ["a", "b"])
      yield* limiter.setLimits({ limit: 11, window: "10 seconds" })
      expect(order).toEqual(["a"])
      yield* limiter.setLimits({ limit: 5, window: "10 seconds" })
      yield* TestClock.adjust("12 seconds")
      expect(order).toEqual(["a"])
      yield* TestClock.adjust("2 seconds")
      expect(order).toEqual(["a", "b"])
    })
  )

  it.effect("fail a waiter whose weight no longer fits, and let those behind it go on", () =>
    Effect.gen(function* () {
      const limiter = yield* full({}, 10)
      const { fibers, order } = yield* waiting(limiter, ["large", "small"], (name) => ({
        weight: name === "large" ? 10 : 1
      }))
      yield* limiter.setLimits({ limit: 5, window: "5 seconds" })
      yield* limiter.setLimits({ limit: 5, window: "10 seconds" })
      expect(yield* Effect.flip(Fiber.join(fibers["large"]!))).toMatchObject({
        _tag: "RateLimitError",
        shouldRetry: false
      })
      yield* TestClock.adjust("20 seconds")
      expect(order).toEqual(["small"])
    })
  )

  it.effect("are checked", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      expect((yield* Effect.flip(limiter.setLimits({ limit: 0, window: "1 second" }))).message).toContain("limit is 0")
      expect((yield* Effect.flip(limiter.setLimits({ limit: 1, window: "1 second" }, "gold"))).message).toContain(
        "gold"
      )
    })
  )
})

describe("plans", () => {
  it.effect("decide all windows or none", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ plans: RateLimiter.plans })
      for (let minute = 0; minute < 10; minute++) {
        yield* limiter.consume("user", 10)
        yield* TestClock.adjust("1 minute")
      }
      // The minute has room, the hour has 100 less what refilled in ten minutes: nothing is counted anywhere.
      const before = yield* limiter.check("user", 10)
      if (!before.allowed) {
        const rejected = yield* Effect.flip(limiter.consume("user", 10))
        expect(rejected).toMatchObject({ limit: 100 })
      }
      expect((yield* limiter.consume("user", { plan: "enterprise", weight: 600 - 10 })).allowed).toBe(true)
    })
  )

  it.effect("count nothing in a window when another one is full", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({
        windows: [
          { limit: 10, window: "1 second", algorithm: "fixed-window" },
          { limit: 15, window: "1 minute", algorithm: "fixed-window" }
        ]
      })
      yield* limiter.consume("key", 10)
      yield* TestClock.adjust("1 second")
      for (let i = 0; i < 5; i++) yield* Effect.flip(limiter.consume("key", 6))
      yield* limiter.consume("key", 5)
      expect(yield* limiter.check("key")).toMatchObject({ limit: 15, remaining: 0 })
      yield* TestClock.adjust("1 minute")
      expect((yield* limiter.consume("key", 10)).allowed).toBe(true)
    })
  )

  it("have the numbers of the three tiers", () => {
    const numbers = (plan: ReadonlyArray<RateLimiter.WindowOptions>) => plan.map(({ limit, window }) => [limit, window])
    expect(numbers(RateLimiter.plans.free)).toEqual([
      [10, "1 minute"],
      [100, "1 hour"],
      [1_000, "1 day"]
    ])
    expect(numbers(RateLimiter.plans.premium)).toEqual([
      [60, "1 minute"],
      [1_000, "1 hour"],
      [50_000, "1 day"]
    ])
    expect(numbers(RateLimiter.plans.enterprise)).toEqual([
      [600, "1 minute"],
      [10_000, "1 hour"],
      [1_000_000, "1 day"]
    ])
  })

  it.effect("carry a key's use over when its plan changes", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ plans: RateLimiter.plans })
      yield* limiter.consume("user", 10)
      expect((yield* limiter.consume("user", { plan: "premium" })).remaining).toBe(49)
    })
  )
})

describe("options", () => {
  const wrong: ReadonlyArray<readonly [RateLimiter.Options, string]> = [
    [{ limit: 0, window: "1 second" }, "limit is 0"],
    [{ limit: 0.5, window: "1 second" }, "limit is 0.5"],
    [{ limit: -1, window: "1 second" }, "limit is -1"],
    [{ limit: NaN, window: "1 second" }, "limit is NaN"],
    [{ limit: Infinity, window: "1 second" }, "limit is Infinity"],
    [{ limit: 1, window: 0 }, "window is 0"],
    [{ limit: 1, window: NaN }, "window is NaN"],
    [{ limit: 1, window: Infinity }, "window is Infinity"],
    [{ limit: 1, window: "1 second", burst: 0 }, "burst is 0"],
    [{ limit: 1, window: "1 second", burst: 2, algorithm: "sliding-log" }, "burst is 2"],
    [{ limit: 1, window: "1 second", algorithm: "leaky" as "gcra" }, 'algorithm is "leaky"'],
    [{ windows: [] }, 'windows is "empty"'],
    [
      {
        windows: [
          { limit: 1, window: "1 second" },
          { limit: 0, window: "1 second" }
        ]
      },
      "windows[1].limit is 0"
    ],
    [{ plans: {} }, "defaultPlan"],
    [{ plans: RateLimiter.plans, defaultPlan: "gold" }, 'defaultPlan is "gold"'],
    [{ limit: 1, window: "1 second", maxWaiting: 0 }, "maxWaiting is 0"],
    [{ limit: 1, window: "1 second", maxWait: -1 }, "maxWait is -1"],
    [{ limit: 1, window: "1 second", patience: 0 }, "patience is 0"],
    [{ limit: 1, window: "1 second", name: "" }, 'name is ""']
  ]
  for (const [options, message] of wrong) {
    it.effect(`refuse: ${message}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(RateLimiter.make(options))
        expect(error._tag).toBe("ConfigError")
        expect(error.message).toContain(message)
        expect(error.message).toContain("allowed")
      })
    )
  }

  it.effect("come from the environment", () =>
    Effect.gen(function* () {
      const layer = RateLimiter.layerConfig({ limit: Config.Int("LIMIT"), window: Config.Duration("WINDOW") })
      const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({ LIMIT: "2", WINDOW: "1 minute" }))
      const limiter = yield* Effect.provide(RateLimiter.RateLimiter, Layer.provide(layer, provider))
      yield* limiter.consume("key", 2)
      expect((yield* limiter.check("key")).allowed).toBe(false)
    })
  )
})

describe("around effects and streams", () => {
  it.effect("limit waits, or fails if told so", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Effect.replicateEffect(RateLimiter.limit(Clock.currentTimeMillis, { key: "key" }), 3),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 seconds")
      expect(yield* Fiber.join(fiber)).toEqual([0, 1_000, 2_000])
      const failing = Effect.succeed(1).pipe(RateLimiter.limit({ key: "key", mode: "fail" }))
      expect((yield* Effect.flip(failing))._tag).toBe("RateLimitError")
    }).pipe(Effect.provide(RateLimiter.layer({ limit: 1, window: "1 second" })))
  )

  it.effect("limitStream takes one place for a stream, before it begins", () =>
    Effect.gen(function* () {
      const stream = Stream.make(1, 2, 3).pipe(RateLimiter.limitStream({ key: "key", mode: "fail" }))
      expect(yield* Stream.runCollect(stream)).toEqual([1, 2, 3])
      expect((yield* Effect.flip(Stream.runDrain(stream)))._tag).toBe("RateLimitError")
    }).pipe(Effect.provide(RateLimiter.layer({ limit: 1, window: "1 second" })))
  )

  it.effect("a noop lets everything through", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      for (let i = 0; i < 100; i++) yield* limiter.consume("key", 1_000)
      expect((yield* limiter.acquire("key")).waitedMs).toBe(0)
      expect((yield* limiter.check("key")).allowed).toBe(true)
    }).pipe(Effect.provide(RateLimiter.layerNoop))
  )
})

describe("events", () => {
  it.effect("tell of rejections and waits", () =>
    Effect.gen(function* () {
      const events: Array<Event.PolicyEvent> = []
      yield* Effect.gen(function* () {
        const limiter = yield* full({ name: "api" })
        yield* Effect.ignore(limiter.consume("key"))
        const fiber = yield* Effect.forkChild(limiter.acquire("key"), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
      }).pipe(Effect.provideService(Event.EventSink, (event) => void events.push(event)))
      expect(events).toEqual([
        { type: "limit-rejected", limiter: "api", key: "key", weight: 1, waitedMs: 0, retryMs: expect.closeTo(1_000) },
        { type: "limit-waited", limiter: "api", key: "key", weight: 1, waitedMs: 1_000 }
      ])
    })
  )

  it.effect("do no harm when their sink throws", () =>
    Effect.gen(function* () {
      const limiter = yield* full()
      const error = yield* Effect.flip(limiter.consume("key")).pipe(
        Effect.provideService(Event.EventSink, () => {
          throw new Error("observer")
        })
      )
      expect(error._tag).toBe("RateLimitError")
    })
  )
})
