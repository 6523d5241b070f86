/**
 * A timeout around work that ends in time: at once, or after one turn of the event loop's microtasks.
 */
import { Timeout } from "@breakwater/core"
import * as cockatiel from "cockatiel"
import * as Effect from "effect/Effect"
import { bareEffect, barePromise, type Benchmark, ofEffect, ofPromise, type Work } from "./harness.ts"

const duration = "30 seconds"
const orElse = () => Effect.succeed(0)

const works = (work: string, job: Effect.Effect<number>, call: () => Promise<number>): Work => {
  const cock = cockatiel.timeout(30_000, cockatiel.TimeoutStrategy.Aggressive)
  return {
    work,
    subjects: [
      { subject: bareEffect, peer: false, run: ofEffect(() => job) },
      {
        subject: "breakwater",
        peer: false,
        bare: bareEffect,
        run: ofEffect(() => Timeout.timeoutOrElse(job, { duration, orElse }))
      },
      {
        subject: "effect",
        peer: true,
        bare: bareEffect,
        run: ofEffect(() => Effect.timeoutOrElse(job, { duration, orElse }))
      },
      { subject: barePromise, peer: true, run: ofPromise(call) },
      { subject: "cockatiel", peer: true, bare: barePromise, run: ofPromise(() => cock.execute(call)) }
    ]
  }
}

const later = Effect.callback<number>((resume) => {
  queueMicrotask(() => resume(Effect.succeed(1)))
})

const benchmark: Benchmark = Effect.sync(() => [
  works(
    "timeout, work that ends at once",
    Effect.sync(() => 1),
    async () => 1
  ),
  works("timeout, work that waits", later, () => new Promise((resolve) => queueMicrotask(() => resolve(1))))
])

export default benchmark
