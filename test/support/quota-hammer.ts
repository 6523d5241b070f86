/**
 * A process that makes calls through a shared token quota as fast as it may, and prints what it got.
 *
 * Arguments: URL, options as JSON, milliseconds. It says `ready`, and begins when it is told anything. A call reserves
 * 100 + 400 tokens and uses 100 + 100.
 */
import { QuotaStore, TokenQuota } from "@breakwater/core"
import { RedisStores } from "@breakwater/stores"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { once } from "node:events"

const [url, options, ms] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const { quota: store } = yield* RedisStores.make({ url: url!, wait: "5 seconds" })
  const quota = yield* Effect.provideService(TokenQuota.makeShared(JSON.parse(options!)), QuotaStore.QuotaStore, store)
  yield* quota.snapshot("p/m")
  console.log("ready")
  yield* Effect.promise(() => once(process.stdin, "data"))
  const clock = yield* Clock.Clock
  const [begunMs, endMs] = [clock.currentTimeMillisUnsafe(), clock.currentTimeMillisUnsafe() + Number(ms)]
  const seen = { asked: 0, calls: 0, tokens: 0, lastMs: begunMs }
  const one = Effect.gen(function* () {
    while (clock.currentTimeMillisUnsafe() < endMs) {
      seen.asked++
      const maxWait = Math.max(1, endMs - clock.currentTimeMillisUnsafe())
      const result = yield* Effect.result(
        quota.reserve({ key: "p/m", inputTokens: 100, outputTokens: 400, maxWait: Math.min(100, maxWait) })
      )
      if (result._tag === "Failure") {
        yield* Effect.sleep("5 millis")
        continue
      }
      seen.calls++
      seen.tokens += 200
      seen.lastMs = clock.currentTimeMillisUnsafe()
      yield* Effect.sleep("1 millis")
      result.success({ _tag: "success", usage: { inputTokens: 100, outputTokens: 100 }, tookMs: 1 })
    }
  })
  yield* Effect.all(
    Array.from({ length: 8 }, () => one),
    { concurrency: "unbounded" }
  )
  console.log(JSON.stringify({ ...seen, begunMs }))
})

await Effect.runPromise(Effect.scoped(program))
process.exit(0)
