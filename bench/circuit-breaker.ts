/**
 * The circuit breaker beside cockatiel, opossum and Effect's own.
 *
 * `npm run bench -- --only circuit-breaker`, or alone: `node --conditions=breakwater-source bench/circuit-breaker.ts`.
 */
import { CircuitBreaker } from "@breakwater/core"
import * as cockatiel from "cockatiel"
import * as Effect from "effect/Effect"
import * as EffectBreaker from "effect/persistence/CircuitBreaker"
// @ts-expect-error opossum brings no types
import Opossum from "opossum"
import { pathToFileURL } from "node:url"
import {
  bareEffect,
  barePromise,
  type Benchmark,
  full,
  measure,
  ofFailing,
  ofPromise,
  short,
  type Work
} from "./harness.ts"

interface OpossumBreaker {
  readonly fire: () => Promise<number>
  readonly open: () => void
  readonly shutdown: () => void
}

const job = Effect.sync(() => 1)
const asyncJob = async () => 1
const makeOpossum = Effect.acquireRelease(
  Effect.sync(() => new Opossum(asyncJob, { timeout: false, resetTimeout: 3_600_000 }) as OpossumBreaker),
  (breaker) => Effect.sync(() => breaker.shutdown())
)

const closed = Effect.gen(function* () {
  const ours = yield* CircuitBreaker.make()
  const timed = yield* CircuitBreaker.make({ slow: { limit: "10 seconds" } })
  const theirs = yield* EffectBreaker.make({
    tripPolicy: EffectBreaker.rate({ threshold: 0.5, size: 100 }),
    openDuration: "1 hour"
  })
  const sampling = new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 60_000, minimumRps: 1 })
  const cock = cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 3_600_000, breaker: sampling })
  const opossum = yield* makeOpossum
  const work: Work = {
    work: "breaker, closed",
    subjects: [
      { subject: bareEffect, peer: false, run: ofFailing(() => job) },
      { subject: "breakwater", peer: false, bare: bareEffect, run: ofFailing(() => ours.protect(job, { key: "key" })) },
      {
        subject: "breakwater, slow calls on",
        peer: false,
        bare: bareEffect,
        run: ofFailing(() => timed.protect(job, { key: "key" }))
      },
      { subject: "effect", peer: true, bare: bareEffect, run: ofFailing(() => theirs.execute(job, { key: "key" })) },
      { subject: barePromise, peer: true, run: ofPromise(asyncJob) },
      { subject: "cockatiel", peer: true, bare: barePromise, run: ofPromise(() => cock.execute(asyncJob)) },
      { subject: "opossum", peer: true, bare: barePromise, run: ofPromise(() => opossum.fire()) }
    ]
  }
  return work
})

const rejecting = Effect.gen(function* () {
  const ours = yield* CircuitBreaker.make({ window: CircuitBreaker.consecutive(1), open: { duration: "4 minutes" } })
  yield* Effect.ignore(ours.protect(Effect.fail("down"), { key: "key" }))
  const theirs = yield* EffectBreaker.make({ tripPolicy: EffectBreaker.consecutive(1), openDuration: "1 hour" })
  yield* Effect.ignore(theirs.execute(Effect.fail("down"), { key: "key" }))
  const breaker = new cockatiel.ConsecutiveBreaker(1)
  const cock = cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 3_600_000, breaker })
  cock.isolate()
  const opossum = yield* makeOpossum
  opossum.open()
  const work: Work = {
    work: "breaker, rejecting",
    subjects: [
      { subject: bareEffect, peer: false, run: ofFailing(() => job) },
      { subject: "breakwater", peer: false, bare: bareEffect, run: ofFailing(() => ours.protect(job, { key: "key" })) },
      { subject: "effect", peer: true, bare: bareEffect, run: ofFailing(() => theirs.execute(job, { key: "key" })) },
      { subject: barePromise, peer: true, run: ofPromise(asyncJob) },
      {
        subject: "cockatiel",
        peer: true,
        bare: barePromise,
        run: ofPromise(() => cock.execute(asyncJob))
      },
      { subject: "opossum", peer: true, bare: barePromise, run: ofPromise(() => opossum.fire()) }
    ]
  }
  return work
})

const benchmark: Benchmark = Effect.all([closed, rejecting]).pipe(Effect.provide(EffectBreaker.layerStoreMemory()))

export default benchmark

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const settings = process.argv.includes("--short") ? short : full
  const rows = await Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(benchmark, (works) =>
        Effect.promise(async () => {
          const all = []
          for (const work of works) all.push(...(await measure(work, settings)))
          return all
        })
      )
    )
  )
  console.table(rows)
}
