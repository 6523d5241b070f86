/**
 * One consume on Redis, which is one round trip, beside rate-limiter-flexible and Effect's own on the same server.
 *
 * The server is the tests' one. Without any there is nothing to measure.
 */
import { RateLimiter } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as EffectLimiter from "effect/persistence/RateLimiter"
import { RateLimiterRedis } from "rate-limiter-flexible"
import { noRealRedis, startRedis } from "../test/support/redis.ts"
import { type Benchmark, ofFailing, ofPromise, type Subject, type Work } from "./harness.ts"

/** A limit that is never reached. */
const never = 1e12
const algorithms = ["token-bucket", "gcra", "sliding-log", "sliding-counter", "fixed-window"] as const

const roundTrip = "a bare round trip"
/** As many consumes at once share what a round trip costs. */
const together = 100

const works = Effect.gen(function* () {
  const { url } = yield* startRedis
  const { limiter: store } = yield* RedisStores.make({ url })
  const theirs = yield* Layer.build(Layer.provideMerge(EffectLimiter.layerStoreRedis(), NodeRedis.layer({ url })))
  const { client } = Context.get(theirs, NodeRedis.NodeRedis)
  const effects = yield* Effect.provideContext(EffectLimiter.make, theirs)
  const flexible = new RateLimiterRedis({ storeClient: client, useRedisPackage: true, points: never, duration: 1 })
  const asked = { key: "key", window: "1 second", limit: never, onExceeded: "fail" } as const

  const calls: Array<readonly [string, boolean, () => Effect.Effect<unknown, unknown>]> = []
  for (const algorithm of algorithms) {
    // The log keeps its grants, so it gets a window that they leave again.
    const window = algorithm === "sliding-log" ? "1 milli" : "1 second"
    const limiter = yield* RateLimiter.makeWith({ limit: never, window, algorithm, name: algorithm }, store)
    calls.push([`breakwater, ${algorithm}`, false, () => limiter.consume("key")])
  }
  const windows = RateLimiter.plans.enterprise.map((window) => ({ ...window, limit: never }))
  const three = yield* RateLimiter.makeWith({ windows, name: "three" }, store)
  calls.push(["breakwater, three windows", false, () => three.consume("key")])
  for (const algorithm of ["token-bucket", "fixed-window"] as const) {
    calls.push([`effect, ${algorithm}`, true, () => effects.consume({ ...asked, algorithm })])
  }

  const one: ReadonlyArray<Subject> = [
    { subject: roundTrip, peer: true, run: ofPromise(() => client.ping()) },
    ...calls.map(([subject, peer, call]) => ({ subject, peer, bare: roundTrip, run: ofFailing(call) })),
    {
      subject: "rate-limiter-flexible, fixed-window",
      peer: true,
      bare: roundTrip,
      run: ofPromise(() => flexible.consume("key"))
    }
  ]
  const batch = Array.from({ length: together }, (_, index) => index)
  const many: ReadonlyArray<Subject> = [
    { subject: roundTrip, peer: true, run: ofPromise(() => Promise.all(batch.map(() => client.ping()))) },
    ...calls.map(([subject, peer, call]) => ({
      subject,
      peer,
      bare: roundTrip,
      run: ofFailing(() => Effect.forEach(batch, call, { concurrency: "unbounded", discard: true }))
    })),
    {
      subject: "rate-limiter-flexible, fixed-window",
      peer: true,
      bare: roundTrip,
      run: ofPromise(() => Promise.all(batch.map(() => flexible.consume("key"))))
    }
  ]
  const all: ReadonlyArray<Work> = [
    { work: "limiter on Redis, one consume", subjects: one },
    { work: `limiter on Redis, ${together} at once`, unitsPerRun: together, subjects: many }
  ]
  return all
})

const benchmark: Benchmark = noRealRedis ? Effect.succeed([]) : works

export default benchmark
