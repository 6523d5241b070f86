/**
 * Retry around work that does not fail: the price that every call pays.
 */
import { Retry, RetryBudget } from "@breakwater/core"
import * as cockatiel from "cockatiel"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import pRetry from "p-retry"
import { bareEffect, barePromise, type Benchmark, ofEffect, ofPromise, type Work } from "./harness.ts"

const benchmark: Benchmark = Effect.gen(function* () {
  const budget = yield* RetryBudget.make({})
  const job = Effect.sync(() => 1)
  const asyncJob = async () => 1
  const policy = Retry.make<never>()
  const budgeted = { ...policy, budget, key: "key" }
  const schedule = Schedule.exponential("1 second")
  const cock = cockatiel.retry(cockatiel.handleAll, { maxAttempts: 2, backoff: new cockatiel.ExponentialBackoff() })
  const work: Work = {
    work: "retry, no failure",
    subjects: [
      { subject: bareEffect, peer: false, run: ofEffect(() => job) },
      { subject: "breakwater", peer: false, bare: bareEffect, run: ofEffect(() => Retry.retry(job, policy)) },
      {
        subject: "breakwater, with a budget",
        peer: false,
        bare: bareEffect,
        run: ofEffect(() => Retry.retry(job, budgeted))
      },
      {
        subject: "effect",
        peer: true,
        bare: bareEffect,
        run: ofEffect(() => Effect.retry(job, { schedule, times: 2 }))
      },
      { subject: barePromise, peer: true, run: ofPromise(asyncJob) },
      { subject: "cockatiel", peer: true, bare: barePromise, run: ofPromise(() => cock.execute(asyncJob)) },
      { subject: "p-retry", peer: true, bare: barePromise, run: ofPromise(() => pRetry(asyncJob, { retries: 2 })) }
    ]
  }
  return [work]
})

export default benchmark
