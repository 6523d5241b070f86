/**
 * The bulkhead beside cockatiel, p-limit and Effect's semaphore.
 */
import { type Attempt, Bulkhead, CallContext } from "@breakwater/core"
import * as cockatiel from "cockatiel"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import pLimit from "p-limit"
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

const key = "provider/model"
const job = Effect.sync(() => 1)
const asyncJob = async () => 1

const bare: ReadonlyArray<Subject> = [
  { subject: bareEffect, peer: false, run: ofEffect(() => job) },
  { subject: barePromise, peer: true, run: ofPromise(asyncJob) }
]

const call: Attempt.AttemptCall = {
  requestId: "request",
  target: key,
  provider: "provider",
  model: "model",
  attempt: 1,
  request: { model: "model", messages: [] },
  context: CallContext.single,
  deadlineMs: Infinity
}

const free = Effect.gen(function* () {
  const ours = yield* Bulkhead.make()
  const theirs = yield* Semaphore.make(64)
  const cock = cockatiel.bulkhead(64, 256)
  const limit = pLimit(64)
  const protect = { key }
  const subjects: ReadonlyArray<Subject> = [
    ...bare,
    { subject: "breakwater", peer: false, bare: bareEffect, run: ofFailing(() => ours.protect(job, protect)) },
    {
      subject: "breakwater, admit and settle",
      peer: false,
      bare: bareEffect,
      run: ofFailing(() => Effect.map(ours.admit!(call), (settle) => settle({ _tag: "unsent" })))
    },
    { subject: "effect, Semaphore", peer: true, bare: bareEffect, run: ofEffect(() => theirs.withPermit(job)) },
    { subject: "cockatiel", peer: true, bare: barePromise, run: ofPromise(() => cock.execute(asyncJob)) },
    { subject: "p-limit", peer: true, bare: barePromise, run: ofPromise(() => limit(asyncJob)) }
  ]
  return { work: "bulkhead, no wait", subjects }
})

const full = Effect.gen(function* () {
  const ours = yield* Bulkhead.make({ limit: 1, maxQueue: 0 })
  yield* Effect.forkScoped(ours.protect(Effect.never, { key }), { startImmediately: true })
  const cock = cockatiel.bulkhead(1, 0)
  void cock.execute(() => new Promise(() => {}))
  const subjects: ReadonlyArray<Subject> = [
    ...bare,
    { subject: "breakwater", peer: false, bare: bareEffect, run: ofFailing(() => ours.protect(job, { key })) },
    { subject: "cockatiel", peer: true, bare: barePromise, run: ofPromise(() => cock.execute(asyncJob)) }
  ]
  return { work: "bulkhead, rejecting", subjects }
})

const crowd = 1_000
const many = Array.from({ length: crowd }, (_, index) => index)

/** So many callers at once for ten slots, of which each gives way once: one unit is one caller. */
const queued = Effect.gen(function* () {
  const ours = yield* Bulkhead.make({ limit: 10, maxQueue: crowd })
  const theirs = yield* Semaphore.make(10)
  const cock = cockatiel.bulkhead(10, crowd)
  const limit = pLimit(10)
  const giveWay = Effect.as(Effect.yieldNow, 1)
  const immediately = () => new Promise<number>((resolve) => setImmediate(resolve, 1))
  const all = (one: (index: number) => Effect.Effect<unknown, unknown>) =>
    ofFailing(() => Effect.forEach(many, one, { concurrency: "unbounded", discard: true }))
  const subjects: ReadonlyArray<Subject> = [
    { subject: bareEffect, peer: false, run: all(() => giveWay) },
    { subject: barePromise, peer: true, run: ofPromise(() => Promise.all(many.map(immediately))) },
    { subject: "breakwater", peer: false, bare: bareEffect, run: all(() => ours.protect(giveWay, { key })) },
    {
      subject: "breakwater, 100 partitions",
      peer: false,
      bare: bareEffect,
      run: all((index) => ours.protect(giveWay, { key, partition: `user-${index % 100}` }))
    },
    { subject: "effect, Semaphore", peer: true, bare: bareEffect, run: all(() => theirs.withPermit(giveWay)) },
    {
      subject: "cockatiel",
      peer: true,
      bare: barePromise,
      run: ofPromise(() => Promise.all(many.map(() => cock.execute(immediately))))
    },
    {
      subject: "p-limit",
      peer: true,
      bare: barePromise,
      run: ofPromise(() => Promise.all(many.map(() => limit(immediately))))
    }
  ]
  return { work: "bulkhead, 1,000 callers for 10 slots", unit: "caller", unitsPerRun: crowd, subjects }
})

/** Over so many keys in turn, each in use: the cost must not grow with them. */
const overKeys = (count: number) =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead.make({ limit: 2 })
    const names = Array.from({ length: count }, (_, index) => `key-${index}`)
    for (const name of names) yield* bulkhead.admit!({ ...call, target: name })
    let at = 0
    const subject: Subject = {
      subject: `breakwater, ${count.toLocaleString("en-US")} keys`,
      peer: false,
      run: ofFailing(() => bulkhead.protect(job, { key: names[(at = (at + 7_919) % count)]! }))
    }
    return subject
  })

const sweep = Effect.map(Effect.forEach([10, 1_000, 100_000, 1_000_000], overKeys), (subjects): Work => ({
  work: "bulkhead, over many keys",
  subjects
}))

const benchmark: Benchmark = Effect.all([free, full, queued, sweep])

export default benchmark
