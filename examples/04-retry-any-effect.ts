// Policies are not only for models: `Retry` is a value around a Schedule, and works on any Effect.
//
// The delays compose with everything Effect has for Schedules. An error that says `retryAfter` is waited for, one that
// says `isRetryable: false` ends the retries, and a budget keeps a herd of callers from retrying all at once.
//
// Run: npx node examples/04-retry-any-effect.ts
// expect: attempt 1 failed (Busy), waiting
// expect: attempt 2 failed (Busy), waiting
// expect: the parcel is here
// expect: not worth another try: NoSuchParcel
import { Retry } from "@breakwater/core"
import { Console, Data, Duration, Effect } from "effect"

class Busy extends Data.TaggedError("Busy")<{ readonly retryAfter?: Duration.Duration }> {}

class NoSuchParcel extends Data.TaggedError("NoSuchParcel")<{ readonly number: number }> {
  readonly isRetryable = false
}

let asked = 0
const track = (number: number): Effect.Effect<string, Busy | NoSuchParcel> =>
  Effect.suspend((): Effect.Effect<string, Busy | NoSuchParcel> => {
    if (number < 0) return Effect.fail(new NoSuchParcel({ number }))
    asked++
    if (asked === 1) return Effect.fail(new Busy({}))
    if (asked === 2) return Effect.fail(new Busy({ retryAfter: Duration.millis(80) }))
    return Effect.succeed("the parcel is here")
  })

const patient = Retry.make<Busy | NoSuchParcel>({
  schedule: Retry.exponential({ base: "20 millis", cap: "1 second", jitter: "full" }),
  retries: 4,
  onRetry: (error, attempt, delay) =>
    console.log(`attempt ${attempt} failed (${error._tag}), waiting ${Math.round(Duration.toMillis(delay))} ms`)
})

const program = Effect.gen(function* () {
  yield* Console.log(yield* Retry.retry(track(1), { ...patient, timeout: "5 seconds" }))
  const error = yield* Effect.flip(Retry.retry(track(-1), patient))
  yield* Console.log(`not worth another try: ${error._tag}`)
})

await Effect.runPromise(program)
