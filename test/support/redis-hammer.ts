/**
 * A process that takes from one key as fast as it can, and prints when it was granted what it got.
 *
 * Arguments: URL, rules as JSON, milliseconds. It says `ready`, and begins when it is told anything.
 */
import type { LimiterStore } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { once } from "node:events"

const [url, rules, ms] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const { limiter } = yield* RedisStores.make({ url: url!, wait: "5 seconds" })
  const bound: ReadonlyArray<LimiterStore.Rule> = JSON.parse(rules!)
  const limits = limiter.open("hammer", bound)
  yield* limits.check("key", 1)
  console.log("ready")
  yield* Effect.promise(() => once(process.stdin, "data"))
  const clock = yield* Clock.Clock
  const end = clock.currentTimeMillisUnsafe() + Number(ms)
  const granted: Array<number> = []
  let asked = 0
  const one = Effect.gen(function* () {
    while (clock.currentTimeMillisUnsafe() < end) {
      const decision = yield* limits.take("key", 1)
      asked++
      if (decision.allowed) granted.push(decision.at)
    }
  })
  yield* Effect.all(
    Array.from({ length: 8 }, () => one),
    { concurrency: "unbounded" }
  )
  console.log(JSON.stringify({ asked, granted }))
})

await Effect.runPromise(Effect.scoped(program))
process.exit(0)
