/**
 * Whether calls leave anything behind: calls and streams by the thousand, read to the end, left in the middle, or
 * waited for (which starts timers), and the heap after a collection.
 *
 * Run with `node --expose-gc --conditions=breakwater-source bench/memory.ts`. Ends with 1 if the heap grew.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { prompt, provider, service, waitingProvider } from "./support/fakes.ts"

const collect = (globalThis as { readonly gc?: () => void }).gc
if (collect === undefined) throw new Error("Start this with --expose-gc")

/** Bytes of the heap that are in use once everything that can be collected is. */
const settledHeap = Effect.promise(async () => {
  for (let turn = 0; turn < 4; turn++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
})

/** Growth allowed for all the runs together: caches of the engine, not bytes for each call. */
const allowedBytes = 1_000_000

const repeated = (times: number, effect: Effect.Effect<unknown, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => {
    let left = times
    const body = Effect.orDie(effect)
    return Effect.whileLoop({ while: () => left-- > 0, body: () => body, step: () => {} })
  })

const program = Effect.gen(function* () {
  const llm = yield* service(provider(1))
  const waiting = yield* service(waitingProvider(20))
  const works: ReadonlyArray<readonly [name: string, times: number, effect: Effect.Effect<unknown, unknown>]> = [
    ["calls of generate", 100_000, llm.generate({ prompt })],
    ["streams read to the end", 10_000, Stream.runDrain(llm.stream({ prompt }))],
    ["streams left after ten parts", 10_000, Stream.runDrain(Stream.take(llm.stream({ prompt }), 10))],
    ["calls of generate that wait", 20_000, waiting.generate({ prompt })],
    ["streams that wait", 2_000, Stream.runDrain(waiting.stream({ prompt }))],
    ["streams that wait and are left", 2_000, Stream.runDrain(Stream.take(waiting.stream({ prompt }), 100))]
  ]
  let flat = true
  for (const [name, times, effect] of works) {
    yield* repeated(times / 20, effect)
    const before = yield* settledHeap
    yield* repeated(times, effect)
    const grown = (yield* settledHeap) - before
    if (grown > allowedBytes) flat = false
    console.log(
      `${times.toLocaleString("en-US")} ${name}: ${Math.round(grown / 1_000).toLocaleString("en-US")} KB more`
    )
  }
  return flat
})

if (!(await Effect.runPromise(program))) {
  console.error(`The heap grew by more than ${allowedBytes / 1_000} KB.`)
  process.exitCode = 1
}
