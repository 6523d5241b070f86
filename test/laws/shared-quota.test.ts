/**
 * The quota that processes share, against what was really used: whatever is reserved, settled and given back, in whatever
 * order, what is used never lies above the line of a bucket.
 */
import { QuotaStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"

const limit = 1_000
const windowMs = 1_000
const limits = [Infinity, limit, Infinity, Infinity].map((each) => ({ limit: each, windowMs }))
const bound = limits as unknown as QuotaStore.PerKind<QuotaStore.Limit>

/** One step: time that passes, tokens that are asked for, what part of them is used, and how many steps it takes. */
const Step = Schema.Struct({
  passMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })),
  tokens: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 })),
  part: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })),
  steps: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 }))
})

interface Call {
  readonly at: number
  readonly tokens: number
  readonly used: number
  readonly grant: QuotaStore.Grant
  readonly endsAt: number
}

/** How far use lies above the bucket's line at the worst stretch of time. */
const above = (calls: ReadonlyArray<{ readonly at: number; readonly used: number }>): number => {
  let worst = -Infinity
  for (let from = 0; from < calls.length; from++) {
    let used = 0
    for (let to = from; to < calls.length; to++) {
      used += calls[to]!.used
      worst = Math.max(worst, used - limit - (calls[to]!.at - calls[from]!.at) * (limit / windowMs))
    }
  }
  return worst
}

describe("a shared quota", () => {
  it.effect.prop(
    "is never used above the line of its bucket, when calls use no more than they reserved",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(60)) },
    ({ steps }) =>
      Effect.gen(function* () {
        const quota = (yield* QuotaStore.makeMemory()).open("n")
        const made: Array<Call> = []
        let open: Array<Call> = []
        for (const [number, step] of steps.entries()) {
          yield* TestClock.adjust(step.passMs)
          for (const call of open.filter((each) => each.endsAt <= number)) {
            yield* quota.settle("k", bound, call.grant, [0, call.used - call.tokens, 0, 0])
          }
          open = open.filter((each) => each.endsAt > number)
          const { grant, granted } = yield* quota.reserve("k", bound, [1, step.tokens, 0, 0])
          if (!granted) continue
          const at = yield* Clock.currentTimeMillis
          const used = Math.floor((step.tokens * step.part) / 10)
          const call = { at, tokens: step.tokens, used, grant, endsAt: number + step.steps }
          made.push(call)
          open.push(call)
        }
        expect(above(made)).toBeLessThanOrEqual(0.001)
      }),
    { arbitrary: { runs: 500, size: 60 } }
  )
})
