/**
 * The circuit breaker beside cockatiel, opossum and Effect's own.
 *
 * Run alone with `node --conditions=breakwater-source bench/circuit-breaker.ts [--json]`.
 */
import { CircuitBreaker } from "@breakwater/core"
import * as cockatiel from "cockatiel"
import * as Effect from "effect/Effect"
import * as EffectBreaker from "effect/persistence/CircuitBreaker"
// @ts-expect-error opossum brings no types
import Opossum from "opossum"
import { pathToFileURL } from "node:url"

export interface Row {
  readonly work: string
  readonly subject: string
  readonly medianNs: number
  /** Above the same work without a breaker. */
  readonly overBareNs: number
  readonly opsPerSecond: number
  readonly peer: boolean
}

interface Case {
  readonly work: string
  readonly subject: string
  readonly peer: boolean
  /** Runs the work so many times, and answers with the nanoseconds it took. */
  readonly run: (times: number) => Promise<number>
}

interface OpossumBreaker {
  readonly fire: () => Promise<number>
  readonly open: () => void
  readonly shutdown: () => void
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

const nowNs = (): number => Number(process.hrtime.bigint())

/** The same effect again and again in one fiber; its failure is part of the work. */
const ofEffect =
  (effect: Effect.Effect<unknown, unknown>) =>
  (times: number): Promise<number> =>
    Effect.runPromise(
      Effect.gen(function* () {
        const handled = Effect.matchEager(effect, { onFailure: () => 0, onSuccess: () => 1 })
        const start = nowNs()
        for (let index = 0; index < times; index++) yield* handled
        return nowNs() - start
      })
    )

const ofPromise =
  (call: () => Promise<unknown>) =>
  async (times: number): Promise<number> => {
    const start = nowNs()
    for (let index = 0; index < times; index++) {
      try {
        await call()
      } catch {
        // The rejection is the work.
      }
    }
    return nowNs() - start
  }

const work = Effect.sync(() => 1)
const asyncWork = async () => 1

const makeCases = Effect.gen(function* () {
  const ours = yield* CircuitBreaker.make()
  const oursSlow = yield* CircuitBreaker.make({ slow: { limit: "10 seconds" } })
  const oursOpen = yield* CircuitBreaker.make({
    window: CircuitBreaker.consecutive(1),
    open: { duration: "4 minutes" }
  })
  yield* Effect.ignore(oursOpen.protect(Effect.fail("down"), { key: "key" }))
  const theirs = yield* EffectBreaker.make({
    tripPolicy: EffectBreaker.rate({ threshold: 0.5, size: 100 }),
    openDuration: "1 hour"
  })
  const theirsOpen = yield* EffectBreaker.make({ tripPolicy: EffectBreaker.consecutive(1), openDuration: "1 hour" })
  yield* Effect.ignore(theirsOpen.execute(Effect.fail("down"), { key: "key" }))
  const sampling = new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 60_000, minimumRps: 1 })
  const cock = cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 3_600_000, breaker: sampling })
  const cockOpen = cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: 3_600_000,
    breaker: new cockatiel.ConsecutiveBreaker(1)
  })
  cockOpen.isolate()
  const opossum = new Opossum(asyncWork, { timeout: false, resetTimeout: 3_600_000 }) as OpossumBreaker
  const opossumOpen = new Opossum(asyncWork, { timeout: false, resetTimeout: 3_600_000 }) as OpossumBreaker
  opossumOpen.open()
  const cases: ReadonlyArray<Case> = [
    { work: "breaker, closed", subject: "bare effect", peer: true, run: ofEffect(work) },
    { work: "breaker, closed", subject: "breakwater", peer: false, run: ofEffect(ours.protect(work, { key: "key" })) },
    {
      work: "breaker, closed",
      subject: "breakwater, slow calls on",
      peer: false,
      run: ofEffect(oursSlow.protect(work, { key: "key" }))
    },
    { work: "breaker, closed", subject: "effect", peer: true, run: ofEffect(theirs.execute(work, { key: "key" })) },
    { work: "breaker, closed", subject: "bare promise", peer: true, run: ofPromise(asyncWork) },
    { work: "breaker, closed", subject: "cockatiel", peer: true, run: ofPromise(() => cock.execute(asyncWork)) },
    { work: "breaker, closed", subject: "opossum", peer: true, run: ofPromise(() => opossum.fire()) },
    {
      work: "breaker, rejecting",
      subject: "breakwater",
      peer: false,
      run: ofEffect(oursOpen.protect(work, { key: "key" }))
    },
    {
      work: "breaker, rejecting",
      subject: "effect",
      peer: true,
      run: ofEffect(theirsOpen.execute(work, { key: "key" }))
    },
    { work: "breaker, rejecting", subject: "cockatiel", peer: true, run: ofPromise(() => cockOpen.execute(asyncWork)) },
    { work: "breaker, rejecting", subject: "opossum", peer: true, run: ofPromise(() => opossumOpen.fire()) }
  ]
  const close = () => {
    opossum.shutdown()
    opossumOpen.shutdown()
  }
  return { cases, close }
})

/** What an unguarded call costs: effects are measured against a bare effect, promises against a bare promise. */
const bareOf = (subject: string): string =>
  subject === "cockatiel" || subject === "opossum" || subject === "bare promise" ? "bare promise" : "bare effect"

/** Measures every case; `short` only shows that it works. */
export const run = async (options: { readonly short?: boolean } = {}): Promise<ReadonlyArray<Row>> => {
  const [times, rounds] = options.short === true ? [200, 2] : [20_000, 15]
  return Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const { cases, close } = yield* makeCases
        const measured = new Map<Case, Array<number>>(cases.map((each) => [each, []]))
        // Rounds go over all cases in turn, so that a slow moment of the machine hits all of them.
        for (let round = 0; round < rounds + 2; round++) {
          for (const each of cases) {
            const tookNs = yield* Effect.promise(() => each.run(times))
            if (round >= 2) measured.get(each)!.push(tookNs / times)
          }
        }
        close()
        const medians = new Map(cases.map((each) => [each, median(measured.get(each)!)]))
        const bare = (subject: string) => medians.get(cases.find((each) => each.subject === bareOf(subject))!)!
        return cases.map((each): Row => ({
          work: each.work,
          subject: each.subject,
          peer: each.peer,
          medianNs: Math.round(medians.get(each)!),
          overBareNs: Math.round(medians.get(each)! - bare(each.subject)),
          opsPerSecond: Math.round(1e9 / medians.get(each)!)
        }))
      })
    ).pipe(Effect.provide(EffectBreaker.layerStoreMemory()))
  )
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const rows = await run({ short: process.argv.includes("--short") })
  if (process.argv.includes("--json")) console.log(JSON.stringify(rows, undefined, 2))
  else console.table(rows)
}
