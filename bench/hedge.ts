/**
 * What hedging costs a call that is not hedged. No peer here hedges: the bare effect stands beside it.
 */
import { Hedge } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { bareEffect, type Benchmark, ofEffect, ofSync, type Subject } from "./harness.ts"

const key = "provider/model"
const job = Effect.sync(() => 1)
const nowMs = () => Number(process.hrtime.bigint()) / 1e6

const bare: Subject = { subject: bareEffect, peer: false, run: ofEffect(() => job) }

const warm = Effect.gen(function* () {
  const hedge = yield* Hedge.make()
  for (let ms = 1; ms <= 1_000; ms++) hedge.observe(key, ms, nowMs())
  return hedge
})

const call = Effect.gen(function* () {
  const hedge = yield* warm
  const cold = yield* Hedge.make({ minSamples: Number.MAX_SAFE_INTEGER })
  const options = { key }
  const subjects: ReadonlyArray<Subject> = [
    bare,
    {
      subject: "breakwater, not warmed up",
      peer: false,
      bare: bareEffect,
      run: ofEffect(() => Hedge.hedgeWith(cold, job, options))
    },
    { subject: "breakwater", peer: false, bare: bareEffect, run: ofEffect(() => Hedge.hedgeWith(hedge, job, options)) }
  ]
  return { work: "hedge, answer at once", subjects }
})

const parts = Effect.gen(function* () {
  const hedge = yield* warm
  const at = nowMs()
  let ms = 0
  const subjects: ReadonlyArray<Subject> = [
    {
      subject: "onCall, delayMs and observe",
      peer: false,
      run: ofSync(() => {
        hedge.onCall(key, at)
        const delayMs = hedge.delayMs(key, at)
        hedge.observe(key, (ms = (ms + 7) % 1_000), at)
        return delayMs
      })
    },
    { subject: "tryStart, empty", peer: false, run: ofSync(() => hedge.tryStart(key, at)) }
  ]
  return { work: "hedge, its decisions", subjects }
})

const benchmark: Benchmark = Effect.all([call, parts])

export default benchmark
