import { Budget, BudgetStore, type Call, CallContext, Pricing } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { sweep } from "../support/sweep.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const prices = Pricing.layer({ "p/a": { input: 0, output: 1 } })

const Step = Schema.Struct({
  user: Schema.Literals(["ada", "bob"]),
  tokens: whole(1, 400),
  used: whole(0, 400),
  waits: whole(0, 5),
  end: Schema.Literals(["settle", "settle", "settle", "nothing", "interrupt"])
})

const attempt = (outputTokens: number): Call.AttemptRecord => ({
  attempt: 1,
  target: "p/a",
  outcome: "success",
  startedAt: 0,
  tookMs: 1,
  waitedMs: 0,
  usage: { inputTokens: 0, outputTokens }
})

/** A store without its short cut, whose answers take random turns. */
const farStore = Effect.map(BudgetStore.makeMemory(), (store): BudgetStore.BudgetStoreService => {
  const slowly = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.flatMap(Random.nextIntBetween(0, 4), (turns) =>
      Effect.andThen(Effect.repeat(Effect.yieldNow, { times: turns }), effect)
    )
  return {
    name: "far",
    reserve: (reservation, now) => slowly(store.reserve(reservation, now)),
    settle: (reservation, charges) => slowly(store.settle(reservation, charges)),
    balance: store.balance
  }
})

const limits: Budget.Options = {
  limits: [
    { scope: "global", period: "day", limit: "0.001" },
    { scope: "user", period: { rolling: "1 hour" }, limit: "0.0006" }
  ]
}

const run = (steps: ReadonlyArray<typeof Step.Type>, far: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      const store = far ? yield* farStore : yield* BudgetStore.makeMemory()
      const budget = yield* Budget.make(limits).pipe(
        Effect.provideService(BudgetStore.BudgetStore, store),
        Effect.provide(prices)
      )
      let expected = 0n
      const one = (step: typeof Step.Type) =>
        Effect.gen(function* () {
          const context = { ...CallContext.single, user: step.user }
          const pause = Effect.repeat(Effect.yieldNow, { times: step.waits })
          yield* pause
          const records: Array<Call.AttemptRecord> = []
          yield* Effect.acquireUseRelease(
            budget.reserve!({
              context,
              request: { model: "a", messages: [], maxTokens: step.tokens },
              targets: ["p/a"],
              maxAttempts: 1
            }),
            () =>
              Effect.gen(function* () {
                yield* pause
                for (const each of yield* budget.snapshot(context)) {
                  expect(each.spent + each.reserved <= each.limit!).toBe(true)
                }
                if (step.end === "interrupt") return yield* Effect.interrupt
                if (step.end === "nothing") return
                records.push(attempt(Math.min(step.used, step.tokens)))
              }),
            (settle) =>
              Effect.sync(() => {
                for (const each of records) expected += BigInt(each.usage!.outputTokens) * 1_000n
                settle(records)
              })
          )
        })
      yield* Effect.forEach(steps, (step) => Effect.exit(one(step)), { concurrency: "unbounded" })
      yield* Effect.repeat(Effect.yieldNow, { times: 500 })
      const [all] = yield* budget.snapshot(CallContext.single)
      return { spent: all!.spent, reserved: all!.reserved, expected }
    })
  )

describe("laws of budgets", () => {
  for (const far of [false, true]) {
    it.effect.prop(
      `under any interleaving no limit is passed, and what is spent is what was used (${far ? "far" : "local"} store)`,
      { steps: Schema.Array(Step).check(Schema.isMaxLength(40)) },
      ({ steps }) =>
        Effect.gen(function* () {
          const { expected, reserved, spent } = yield* run(steps, far)
          expect(reserved).toBe(0n)
          expect(spent).toBe(expected)
          expect(spent <= 1_000_000n).toBe(true)
        })
    )
  }

  it.effect.prop(
    "in no hour does a rolling hour hold more than its limit",
    {
      steps: Schema.Array(Schema.Struct({ afterMs: whole(0, 1_000_000), tokens: whole(1, 500) })).check(
        Schema.isMaxLength(60)
      )
    },
    ({ steps }) =>
      Effect.gen(function* () {
        let nowMs = 0
        const real = yield* Clock.Clock
        const clock: Clock.Clock = {
          ...real,
          currentTimeMillisUnsafe: () => nowMs,
          sleep: (duration) => real.sleep(duration)
        }
        const budget = yield* Budget.make({
          limits: [{ scope: "global", period: { rolling: "1 hour", buckets: 7 }, limit: "0.001" }]
        }).pipe(Effect.provide(prices))
        const spent: Array<readonly [number, number]> = []
        for (const step of steps) {
          nowMs += step.afterMs
          const exit = yield* Effect.exit(budget.hold(CallContext.single, BigInt(step.tokens) * 1_000n)).pipe(
            Effect.provideService(Clock.Clock, clock)
          )
          if (Exit.isSuccess(exit)) {
            exit.value(BigInt(step.tokens) * 1_000n)
            spent.push([nowMs, step.tokens])
          }
        }
        for (const [start] of spent) {
          let sum = 0
          for (const [at, tokens] of spent) if (at >= start && at < start + 3_600_000) sum += tokens
          expect(sum).toBeLessThanOrEqual(1_000)
        }
      }).pipe(Effect.scoped)
  )

  for (const far of [false, true]) {
    it(`interrupted at any operation, nothing stays reserved (${far ? "far" : "local"} store)`, async () => {
      let check: (() => bigint) | undefined
      const points = await sweep(
        () =>
          Effect.gen(function* () {
            const memory = yield* BudgetStore.makeMemory()
            const slow = <A, E>(effect: Effect.Effect<A, E>) =>
              Effect.andThen(
                Effect.sleep(1),
                Effect.tap(effect, () => Effect.sleep(1))
              )
            const store: BudgetStore.BudgetStoreService = far
              ? {
                  name: "far",
                  reserve: (reservation, now) => slow(memory.reserve(reservation, now)),
                  settle: (reservation, charges) => slow(memory.settle(reservation, charges)),
                  balance: memory.balance
                }
              : memory
            check = () =>
              memory.local!.balance("global\u0000lifetime\u0000", { bucketMs: 0, fromMs: 0, endMs: Infinity }).reserved
            yield* Effect.scoped(
              Effect.gen(function* () {
                const budget = yield* Budget.make({
                  limits: [{ scope: "global", period: "lifetime", limit: "1" }]
                }).pipe(Effect.provideService(BudgetStore.BudgetStore, store), Effect.provide(prices))
                // The clock of the sweep leaps to the end of a wait as soon as all fibers give way; small steps keep it
                // from passing the settlement by.
                yield* Effect.addFinalizer(() => Effect.repeat(Effect.sleep(1), { times: 20 }))
                yield* Effect.acquireUseRelease(
                  budget.reserve!({
                    context: CallContext.single,
                    request: { model: "a", messages: [], maxTokens: 10 },
                    targets: ["p/a"],
                    maxAttempts: 1
                  }),
                  () => Effect.sleep(10),
                  (settle) => Effect.sync(() => settle([]))
                )
              })
            )
          }),
        ({ clock, point }) => {
          expect(check?.() ?? 0n, `interrupted at ${point}`).toBe(0n)
          expect(clock.sleeping()).toBe(0)
        }
      )
      expect(points).toBeGreaterThan(10)
    })
  }
})
