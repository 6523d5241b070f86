/** What the types promise: a policy that is forgotten, an error that is not handled, is a compile error. */
import { CircuitBreaker, LLM, type LLMError, LLMProvider, type Pipeline, Retry } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import { describe, expectTypeOf, it } from "vitest"

describe("requirements", () => {
  it("LLM.layer names every policy and the providers", () => {
    const layer = LLM.layer({ targets: ["a/m"] })
    expectTypeOf<Layer.Services<typeof layer>>().toEqualTypeOf<Pipeline.PipelineServices>()
    expectTypeOf<CircuitBreaker.CircuitBreaker>().toExtend<Layer.Services<typeof layer>>()
    expectTypeOf<Layer.Error<typeof layer>>().toEqualTypeOf<Config.ConfigError>()
  })

  it("a policy that is given is no requirement any more, the others are", () => {
    const layer = LLM.layer({ targets: ["a/m"] }).pipe(Layer.provide(CircuitBreaker.layerNoop))
    expectTypeOf<Layer.Services<typeof layer>>().toEqualTypeOf<
      Exclude<Pipeline.PipelineServices, CircuitBreaker.CircuitBreaker>
    >()
  })

  it("a preset leaves only the providers to be given", () => {
    const layer = LLM.layerPreset("interactive", { targets: ["a/m"] })
    expectTypeOf<Layer.Services<typeof layer>>().toEqualTypeOf<LLMProvider.Providers>()
  })

  it("a registry needs what its provider Layers need, and fails as they do", () => {
    const layer = LLMProvider.layer(ScriptedProvider.layer({ script: [] }))
    expectTypeOf<Layer.Services<typeof layer>>().toEqualTypeOf<never>()
    expectTypeOf<Layer.Error<typeof layer>>().toEqualTypeOf<Config.ConfigError>()
  })
})

describe("errors", () => {
  it("a call fails with the closed union, and a caught tag is gone", () => {
    const call = LLM.generateText("hi")
    expectTypeOf<Effect.Error<typeof call>>().toEqualTypeOf<LLMError.LLMError>()
    const handled = Effect.catchTag(call, "RateLimitError", () => Effect.succeed(""))
    expectTypeOf<Effect.Error<typeof handled>>().toEqualTypeOf<Exclude<LLMError.LLMError, LLMError.RateLimitError>>()
    const streamed = LLM.streamText("hi")
    expectTypeOf<Stream.Error<typeof streamed>>().toEqualTypeOf<LLMError.LLMError>()
  })

  it("every member says whether it is worth another try", () => {
    expectTypeOf<LLMError.LLMError["isRetryable"]>().toEqualTypeOf<boolean>()
    expectTypeOf<LLMError.AttemptError>().toExtend<LLMError.LLMError>()
    expectTypeOf<LLMError.AllTargetsFailedError>().not.toExtend<LLMError.AttemptError>()
  })
})

describe("policies for any effect", () => {
  it("retry keeps the types of what it retries", () => {
    const effect = Effect.succeed(1) as Effect.Effect<number, "busy", "needed">
    expectTypeOf(Retry.retry(effect, { retries: 1 })).toEqualTypeOf<Effect.Effect<number, "busy", "needed">>()
  })

  it("a breaker adds its rejection and itself", () => {
    const effect = Effect.succeed(1) as Effect.Effect<number, "busy">
    const protected_ = CircuitBreaker.protect(effect, { key: "k" })
    expectTypeOf<Effect.Success<typeof protected_>>().toEqualTypeOf<number>()
    expectTypeOf<LLMError.CircuitOpenError>().toExtend<Effect.Error<typeof protected_>>()
    expectTypeOf<Effect.Services<typeof protected_>>().toEqualTypeOf<CircuitBreaker.CircuitBreaker>()
  })
})
