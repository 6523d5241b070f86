import { Failures, ProviderContract, ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const words = "A breakwater keeps the waves out of the harbour."

const steps: Partial<Record<ProviderContract.Situation, ScriptedProvider.Step>> = {
  good: ScriptedProvider.text(words),
  silence: ScriptedProvider.stall,
  stalled: ScriptedProvider.stream(["A breakwater", ScriptedProvider.stall]),
  cut: ScriptedProvider.cut("A breakwater keeps"),
  "rate-limit": ScriptedProvider.fail(Failures.rateLimit("1 second")),
  quota: ScriptedProvider.fail(Failures.quota()),
  overloaded: ScriptedProvider.fail(Failures.overload()),
  "server-error": ScriptedProvider.fail(Failures.server()),
  reset: ScriptedProvider.fail(Failures.transport()),
  "not-an-answer": ScriptedProvider.fail(Failures.invalidResponse()),
  "context-overflow": ScriptedProvider.fail(Failures.contextLength()),
  "content-filter": ScriptedProvider.fail(Failures.contentFilter()),
  unauthorized: ScriptedProvider.fail(Failures.authentication()),
  "no-such-model": ScriptedProvider.fail(Failures.modelNotFound())
}

const targetOf = (
  script: Partial<Record<ProviderContract.Situation, ScriptedProvider.Step>>
): ProviderContract.Target => ({
  name: "ScriptedProvider",
  situations: Object.keys(script) as ReadonlyArray<ProviderContract.Situation>,
  make: (situation) =>
    Effect.map(ScriptedProvider.make({ script: [script[situation] ?? "no such situation"] }), (scripted) => ({
      provider: scripted.provider,
      model: situation,
      sent: Effect.map(scripted.counts, (counts) => counts.calls),
      open: Effect.map(scripted.counts, (counts) => counts.open)
    }))
})

describe("contract of providers: ScriptedProvider", () => {
  const suite = ProviderContract.suite(targetOf(steps))
  for (const test of suite) it.live(test.name, () => test.run)

  it("covers every situation a script can be in", () => {
    assert.strictEqual(suite.length, 22)
  })
})

describe("the contract finds those who break it", () => {
  const violations = (target: ProviderContract.Target) =>
    Effect.map(
      Effect.forEach(ProviderContract.suite(target), (test) =>
        Effect.match(test.run, { onSuccess: () => [], onFailure: (error) => [`${test.name} — ${error.message}`] })
      ),
      (each) => each.flat()
    )

  const good = targetOf({ good: ScriptedProvider.text(words) })
  /** A good target whose provider is changed. */
  const spoiled = (change: (subject: ProviderContract.Subject) => Partial<ProviderContract.Subject["provider"]>) => ({
    ...good,
    make: (situation: ProviderContract.Situation) =>
      Effect.map(good.make(situation), (subject) => ({
        ...subject,
        provider: { ...subject.provider, ...change(subject) }
      }))
  })

  it.live("a stream without finish, an error of another kind, an answer where a failure is owed", () =>
    Effect.gen(function* () {
      const found = yield* violations(
        targetOf({
          unfinished: ScriptedProvider.unfinished("half"),
          "server-error": ScriptedProvider.fail(Failures.overload()),
          quota: ScriptedProvider.text(words)
        })
      )
      assert.strictEqual(found.length, 3)
      assert.match(found[0]!, /quota.*succeeded with/)
      assert.match(found[1]!, /ModelOverloadError .* instead of ServerError/)
      assert.match(found[2]!, /unfinished.*stream succeeded/)
    })
  )

  it.live("two finish parts", () =>
    Effect.gen(function* () {
      const found = yield* violations(
        spoiled(({ provider }) => ({
          stream: (request) =>
            Stream.concat(
              provider.stream(request),
              Stream.make({ type: "finish", reason: "stop", usage: { inputTokens: 1, outputTokens: 1 } } as const)
            )
        }))
      )
      assert.strictEqual(found.length, 2)
      assert.match(found[0]!, /exactly one finish part; there were 2/)
    })
  )

  it.live("retries of its own, and requests that are sent before they are run", () =>
    Effect.gen(function* () {
      const twice = yield* violations(
        spoiled(({ provider }) => ({
          generate: (request) => Effect.andThen(provider.generate(request), provider.generate(request))
        }))
      )
      assert.isTrue(
        twice.some((each) => /generate sent 2 requests instead of 1/.test(each)),
        twice.join("\n")
      )
      const eager = yield* violations(
        spoiled(({ provider }) => ({
          generate: (request) => {
            Effect.runFork(provider.generate(request))
            return provider.generate(request)
          }
        }))
      )
      assert.isTrue(
        eager.some((each) => /building effects.*sent 1 requests instead of 0/.test(each)),
        eager.join("\n")
      )
    })
  )

  it.live("errors without their origin, and connections that outlive their call", () =>
    Effect.gen(function* () {
      const silent = targetOf({ silence: ScriptedProvider.stall })
      const deaf: ProviderContract.Target = {
        ...silent,
        make: (situation) =>
          Effect.map(silent.make(situation), (subject) => ({
            ...subject,
            provider: {
              ...subject.provider,
              generate: (request) => Effect.andThen(Effect.forkDetach(subject.provider.generate(request)), Effect.never)
            }
          }))
      }
      const found = yield* violations(deaf)
      assert.strictEqual(found.length, 1)
      assert.match(found[0]!, /interruption closes the connection: not within/)
      const anonymous = targetOf({ "server-error": ScriptedProvider.stall })
      const origins = yield* violations({
        ...anonymous,
        make: (situation) =>
          Effect.map(anonymous.make(situation), (subject) => ({
            ...subject,
            provider: {
              ...subject.provider,
              generate: () => Effect.fail(Failures.server()),
              stream: () => Stream.fail(Failures.server())
            },
            sent: Effect.sync(() => 0)
          }))
      })
      assert.match(origins[0]!, /sent 0 requests|comes from undefined\/undefined/)
    })
  )
})
