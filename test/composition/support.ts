/** A pipeline over scripted providers, for the tests of how the parts work together. */
import {
  type Bulkhead,
  type CircuitBreaker,
  type ContextWindow,
  type Hedge,
  LLM,
  LLMProvider,
  Pipeline,
  type TokenQuota
} from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import type { Model } from "@breakwater/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"

export interface SetupExtras {
  readonly capabilities?: Model.Capabilities
  readonly breaker?: Layer.Layer<CircuitBreaker.CircuitBreaker>
  readonly quota?: Layer.Layer<TokenQuota.TokenQuota>
  readonly bulkhead?: Layer.Layer<Bulkhead.Bulkhead>
  readonly hedge?: Layer.Layer<Hedge.Hedge>
  readonly context?: Layer.Layer<ContextWindow.ContextWindow>
}

/** Builds the service over providers named by the keys of `scripts`. */
export const setup = (
  scripts: Readonly<Record<string, ScriptedProvider.Script>>,
  options: Pipeline.PipelineOptions,
  extras: SetupExtras = {}
) =>
  Effect.gen(function* () {
    const scripted: Record<string, ScriptedProvider.Scripted> = {}
    for (const [name, script] of Object.entries(scripts)) {
      scripted[name] = yield* ScriptedProvider.make({
        name,
        script,
        ...(extras.capabilities === undefined ? {} : { capabilities: extras.capabilities })
      })
    }
    const policies = Layer.mergeAll(
      LLM.layerNoPolicies,
      extras.breaker ?? Layer.empty,
      extras.quota ?? Layer.empty,
      extras.bulkhead ?? Layer.empty,
      extras.hedge ?? Layer.empty,
      extras.context ?? Layer.empty
    ) as typeof LLM.layerNoPolicies
    const providers = LLMProvider.layerOf(...Object.values(scripted).map((each) => each.provider))
    const llm = yield* Pipeline.make(options).pipe(Effect.provide(Layer.merge(policies, providers)))
    return {
      llm,
      calls: (name: string) => scripted[name]!.calls,
      counts: (name: string) => scripted[name]!.counts
    }
  })

/** Runs an effect in virtual time, step by step, as far as it takes. */
export const inVirtualTime = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  steps = 100,
  step: Duration.Input = "10 seconds"
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    for (let i = 0; i < steps && fiber.pollUnsafe() === undefined; i++) {
      yield* Effect.yieldNow
      yield* TestClock.adjust(step)
    }
    return yield* Fiber.join(fiber)
  })
