/**
 * The rate limiter and the token quota beside rate-limiter-flexible, bottleneck and Effect's own.
 */
import { type Attempt, CallContext, RateLimiter, TokenQuota } from "@breakwater/core"
import Bottleneck from "bottleneck"
import * as Effect from "effect/Effect"
import * as EffectLimiter from "effect/persistence/RateLimiter"
import { RateLimiterMemory } from "rate-limiter-flexible"
import {
  bareEffect,
  barePromise,
  type Benchmark,
  ofEffect,
  ofFailing,
  ofPromise,
  type Subject,
  type Work
} from "./harness.ts"

/** A limit that is never reached. */
const never = 1e12
const job = async () => 1

const algorithms = ["token-bucket", "gcra", "sliding-log", "sliding-counter", "fixed-window"] as const

const bare: ReadonlyArray<Subject> = [
  { subject: bareEffect, peer: false, run: ofEffect(() => Effect.void) },
  { subject: barePromise, peer: true, run: ofPromise(job) }
]

const ours = (name: string, limiter: RateLimiter.RateLimiterService): Subject => ({
  subject: `breakwater, ${name}`,
  peer: false,
  bare: bareEffect,
  run: ofFailing(() => limiter.consume("key"))
})

const makeBottleneck = (options: Bottleneck.ConstructorOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => new Bottleneck(options)),
    (limiter) => Effect.promise(() => limiter.disconnect(true))
  )

const effectOptions = {
  key: "key",
  window: "1 second",
  limit: never,
  algorithm: "token-bucket",
  onExceeded: "fail"
} as const

const consume = Effect.gen(function* () {
  const subjects: Array<Subject> = [...bare]
  for (const algorithm of algorithms) {
    // The log keeps its grants, so it gets a window that they leave again.
    const window = algorithm === "sliding-log" ? "1 milli" : "1 second"
    subjects.push(ours(algorithm, yield* RateLimiter.make({ limit: never, window, algorithm })))
  }
  const windows = RateLimiter.plans.enterprise.map((window) => ({ ...window, limit: never }))
  subjects.push(ours("three windows", yield* RateLimiter.make({ windows })))
  const theirs = yield* EffectLimiter.make
  const flexible = new RateLimiterMemory({ points: never, duration: 1 })
  const bottleneck = yield* makeBottleneck({ reservoir: never })
  subjects.push(
    {
      subject: "effect, token-bucket",
      peer: true,
      bare: bareEffect,
      run: ofFailing(() => theirs.consume(effectOptions))
    },
    { subject: "rate-limiter-flexible", peer: true, bare: barePromise, run: ofPromise(() => flexible.consume("key")) },
    { subject: "bottleneck", peer: true, bare: barePromise, run: ofPromise(() => bottleneck.schedule(job)) }
  )
  return { work: "limiter, consume", subjects }
})

const reject = Effect.gen(function* () {
  const subjects: Array<Subject> = [...bare]
  for (const algorithm of algorithms) {
    const full = yield* RateLimiter.make({ limit: 1, window: "10 hours", algorithm })
    yield* full.consume("key")
    subjects.push(ours(algorithm, full))
  }
  const theirs = yield* EffectLimiter.make
  const full = { ...effectOptions, key: "full", window: "10 hours", limit: 1 } as const
  yield* theirs.consume(full)
  const flexible = new RateLimiterMemory({ points: 1, duration: 36_000 })
  yield* Effect.promise(() => flexible.consume("key"))
  const bottleneck = yield* makeBottleneck({
    reservoir: 0,
    highWater: 0,
    strategy: Bottleneck.strategy.OVERFLOW
  })
  subjects.push(
    { subject: "effect, token-bucket", peer: true, bare: bareEffect, run: ofFailing(() => theirs.consume(full)) },
    { subject: "rate-limiter-flexible", peer: true, bare: barePromise, run: ofPromise(() => flexible.consume("key")) },
    { subject: "bottleneck", peer: true, bare: barePromise, run: ofPromise(() => bottleneck.schedule(job)) }
  )
  return { work: "limiter, reject", subjects }
})

const call: Attempt.AttemptCall = {
  requestId: "request",
  target: "provider/model",
  provider: "provider",
  model: "model",
  attempt: 1,
  request: { model: "model", messages: [{ role: "user", content: "x".repeat(1_000) }], maxTokens: 500 },
  context: CallContext.single,
  deadlineMs: Infinity
}

const outcome: Attempt.AttemptOutcome = {
  _tag: "success",
  usage: { inputTokens: 200, outputTokens: 300 },
  tookMs: 1
}

const quota = Effect.map(
  TokenQuota.make({ rpm: never, tpm: never, inputTpm: never, outputTpm: never, ramp: false }),
  ({ admit }): Work => ({
    work: "quota, reserve and settle",
    subjects: [
      bare[0]!,
      {
        subject: "breakwater, four limits",
        peer: false,
        bare: bareEffect,
        run: ofFailing(() => Effect.map(admit!(call), (settle) => settle(outcome)))
      }
    ]
  })
)

/** A consume over so many keys in turn, all of them known: the cost must not grow with them. */
const overKeys = (count: number) =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make({ limit: never, window: "1 hour" })
    const names = Array.from({ length: count }, (_, index) => `user-${index}`)
    for (const name of names) yield* limiter.consume(name)
    let at = 0
    const next = () => limiter.consume(names[(at = (at + 7_919) % count)]!)
    const subject: Subject = {
      subject: `breakwater, ${count.toLocaleString("en-US")} keys`,
      peer: false,
      run: ofFailing(next)
    }
    return subject
  })

const sweep = Effect.map(Effect.forEach([10, 1_000, 100_000, 1_000_000], overKeys), (subjects): Work => ({
  work: "limiter, over many keys",
  subjects
}))

const benchmark: Benchmark = Effect.provide(Effect.all([consume, reject, quota, sweep]), EffectLimiter.layerStoreMemory)

export default benchmark
