/**
 * What every provider owes (see `LLMProvider`), as a list of tests that any provider can be put through.
 *
 * A target says how to get a provider that is in a certain situation; each test asks for the situations it needs.
 * Nothing here depends on a test runner:
 *
 * ```ts no-run
 * import { it } from "@effect/vitest"
 * import { ProviderContract } from "@breakwater/testing"
 *
 * declare const target: ProviderContract.Target
 * for (const test of ProviderContract.suite(target)) it.live(test.name, () => test.run)
 * ```
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type ContractTest,
  ContractViolation,
  expected,
  type FailingSituation,
  type Situation,
  type Subject,
  type Target
} from "./internal/model.ts"
import * as Promises from "./internal/promises.ts"

export {
  type ContractTest,
  ContractViolation,
  expected,
  type FailingSituation,
  type Situation,
  type Subject,
  type Target
}

const patience = "15 seconds"

/** The tests for a target, those of its situations. */
export const suite = (target: Target): ReadonlyArray<ContractTest> => {
  const tests: Array<ContractTest> = []
  const promise = (situation: Situation, name: string, check: (subject: Subject) => Promises.Check) => {
    if (!target.situations.includes(situation)) return
    const run = Effect.scoped(
      Effect.gen(function* () {
        const subject = yield* Effect.mapError(target.make(situation), (error) =>
          Promises.violation(`cannot make ${target.name} for ${situation}: ${String(error)}`, error)
        )
        yield* check(subject)
      })
    )
    tests.push({
      name: `${situation}: ${name}`,
      run: Effect.timeoutOrElse(run, {
        duration: patience,
        orElse: () => Effect.fail(Promises.violation(`not done within ${patience}`))
      })
    })
  }
  const embedding = target.embeds ?? true
  promise("good", "generate answers a turn with text, finish reason and usage", Promises.answersWhole)
  promise("good", "stream says the same as generate and ends with exactly one finish", Promises.answersStreamed)
  if (embedding) promise("good", "embed answers a vector for each text, in their order", Promises.embeds)
  promise("good", "nothing is sent before the effect or stream is run", Promises.isLazy)
  promise("good", "each run sends once", Promises.sendsOnce(embedding))
  promise("good", "runs of the same stream at once do not meet", Promises.runsApart)
  for (const [situation, tags] of Object.entries(expected)) {
    promise(
      situation as FailingSituation,
      `fails with ${tags.join(" or ")} of this provider and model, after one request`,
      Promises.failsTyped(tags)
    )
  }
  promise("cut", "the stream fails with StreamInterruptedError holding what was handed on", Promises.breaksTyped)
  promise("cut", "generate fails with a typed error", Promises.wholeBreaksTyped)
  promise("unfinished", "a stream without finish is a failure, holding what was handed on", Promises.breaksTyped)
  promise("missing-done", "is a success all the same", Promises.answersStreamed)
  promise("malformed-event", "one bad event is skipped", Promises.answersStreamed)
  promise("silence", "interrupting generate closes the connection", (subject) =>
    Promises.closes(subject, subject.provider.generate(Promises.ask(subject)))
  )
  promise("silence", "interrupting stream closes the connection", (subject) =>
    Promises.closes(subject, Stream.runDrain(subject.provider.stream(Promises.ask(subject))))
  )
  promise("stalled", "interrupting a stream in its middle closes the connection", Promises.interruptsStalled)
  promise("stalled", "leaving a stream in its middle closes the connection", Promises.leavesEarly)
  return tests
}

/** Every situation, for targets that know them all. */
export const everySituation: ReadonlyArray<Situation> = [
  "good",
  "silence",
  "stalled",
  "cut",
  "unfinished",
  "missing-done",
  "malformed-event",
  ...(Object.keys(expected) as ReadonlyArray<FailingSituation>)
]

/** The model of the misbehaving upstream for each situation. */
export const upstreamModels: { readonly [S in Situation]: string } = {
  good: "good",
  silence: "silence",
  stalled: "stalled-stream",
  cut: "cut-stream",
  unfinished: "end-without-done-mid",
  "missing-done": "missing-done-open",
  "malformed-event": "malformed-event",
  "rate-limit": "rate-limit",
  quota: "quota-exhausted",
  overloaded: "overloaded-503",
  "server-error": "error-500",
  reset: "reset-before-headers",
  "not-an-answer": "wrong-content-type",
  "context-overflow": "context-overflow",
  "content-filter": "content-filter",
  unauthorized: "auth-401",
  "no-such-model": "not-found-404"
}
