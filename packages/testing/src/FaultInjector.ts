/**
 * Wraps any provider and makes some of its calls go wrong: late, failed, rate-limited, cut, stalled, malformed.
 *
 * It is off until it is switched on. What happens to the n-th call made while it is on depends on the seed and
 * on n alone, so a run can be repeated.
 *
 * **Example** (One call in ten fails, for as long as an effect runs)
 *
 * ```ts
 * import { FaultInjector, ScriptedProvider } from "@breakwater/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const scripted = yield* ScriptedProvider.make({ script: ["fine"] })
 *   const injector = yield* FaultInjector.make(scripted.provider, {
 *     seed: "outage",
 *     errors: { rate: 0.1, mix: { server: 3, overload: 1 } }
 *   })
 *   const call = injector.provider.generate({ model: "m", messages: [{ role: "user", content: "hello" }] })
 *   return yield* injector.during(Effect.exit(call))
 * })
 * ```
 */
import { LLMError, LLMProvider, type Request, type Response } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as Failures from "./Failures.ts"
import { breakStream, garbleStream, garbleTurn } from "./internal/breakage.ts"
import { type Chances, type Fate, fateOf, waitOf } from "./internal/chance.ts"
import {
  checks,
  defaultMix,
  defaultWithinParts,
  type Latency,
  type Options,
  toChances,
  toWait
} from "./internal/faultOptions.ts"
import { firstOf } from "./internal/options.ts"

export { defaultMix, defaultWithinParts, type Latency, type Options }

/** How many calls met what. */
export interface Injected {
  /** Calls made while it was on. */
  readonly calls: number
  readonly delayed: number
  readonly faults: Readonly<Partial<Record<Fate["_tag"], number>>>
}

/** The wrapped provider, and the switch. */
export interface Injector {
  readonly provider: LLMProvider.Provider
  readonly enable: Effect.Effect<void>
  readonly disable: Effect.Effect<void>
  readonly enabled: Effect.Effect<boolean>
  /** Runs an effect with the faults on, for all callers, and leaves the switch as it was. */
  readonly during: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly injected: Effect.Effect<Injected>
}

/** The injector of a Layer. */
export class FaultInjector extends Context.Service<FaultInjector, Injector>()("@breakwater/testing/FaultInjector") {}

/** Wraps a provider. Fails with a `ConfigError` for rates, weights and durations that are none. */
export const make = (inner: LLMProvider.Provider, options: Options): Effect.Effect<Injector, Config.ConfigError> =>
  Effect.gen(function* () {
    const chances = toChances(options)
    const wrong = firstOf(checks(options, chances))
    if (wrong !== undefined) return yield* Effect.fail(wrong)
    const random = yield* Random.withSeed(Random.Random, options.seed ?? "breakwater")
    return build(inner, options, chances, random)
  })

const build = (inner: LLMProvider.Provider, options: Options, chances: Chances, random: Random.Random): Injector => {
  let switchedOn = options.enabled ?? false
  /** Effects under way that want the faults on. */
  let within = 0
  let calls = 0
  let delayed = 0
  const faults: Partial<Record<Fate["_tag"], number>> = {}
  const wait = options.latency === undefined ? undefined : toWait(options.latency)

  /** The fate of the next call and its delay. Always four draws, so that one call does not shift the next one's. */
  const draw = (): { readonly fate: Fate; readonly millis: number } => {
    const fate = fateOf(chances, random.nextDoubleUnsafe(), random.nextDoubleUnsafe())
    const first = random.nextDoubleUnsafe()
    const millis = wait === undefined ? 0 : waitOf(wait, first, random.nextDoubleUnsafe())
    if (wait === undefined) random.nextDoubleUnsafe()
    calls++
    if (millis > 0) delayed++
    if (fate._tag !== "none") faults[fate._tag] = (faults[fate._tag] ?? 0) + 1
    return { fate, millis }
  }

  const touches = (request: Request.ProviderRequest | Request.ProviderEmbedRequest): boolean =>
    (switchedOn || within > 0) && (options.only === undefined || options.only(request))

  const raise = (error: LLMError.AttemptError, model: string) =>
    Effect.fail(LLMError.withOrigin(error, { provider: inner.name, model }))

  const whole = <A>(
    model: string,
    call: Effect.Effect<A, LLMError.AttemptError>,
    garble: (answer: A) => A
  ): Effect.Effect<A, LLMError.AttemptError> => {
    const { fate, millis } = draw()
    const answer = Effect.suspend((): Effect.Effect<A, LLMError.AttemptError> => {
      switch (fate._tag) {
        case "none":
          return call
        case "error":
          return raise(Failures.make(fate.kind), model)
        case "rate-limit":
          return raise(Failures.rateLimit(fate.retryAfterMillis), model)
        case "stall":
          return Effect.never
        case "cut":
          // The provider did its work, and bills for it: only the answer is lost.
          return Effect.andThen(call, raise(Failures.transport("read"), model))
        case "malformed":
          return fate.as === "text"
            ? Effect.map(call, garble)
            : Effect.andThen(call, raise(Failures.invalidResponse(), model))
      }
    })
    return millis > 0 ? Effect.andThen(Effect.sleep(millis), answer) : answer
  }

  const streamed = (request: Request.ProviderRequest): Stream.Stream<Response.StreamPart, LLMError.AttemptError> => {
    const { fate, millis } = draw()
    const origin = { provider: inner.name, model: request.model }
    const parts = Stream.suspend((): Stream.Stream<Response.StreamPart, LLMError.AttemptError> => {
      switch (fate._tag) {
        case "none":
          return inner.stream(request)
        case "error":
          return Stream.fromEffect(raise(Failures.make(fate.kind), request.model))
        case "rate-limit":
          return Stream.fromEffect(raise(Failures.rateLimit(fate.retryAfterMillis), request.model))
        case "stall":
        case "cut":
          return breakStream(inner.stream(request), fate.afterParts, fate._tag, origin)
        case "malformed":
          return fate.as === "text"
            ? garbleStream(inner.stream(request), fate.afterParts)
            : breakStream(inner.stream(request), fate.afterParts, "malformed", origin)
      }
    })
    return millis > 0 ? Stream.unwrap(Effect.as(Effect.sleep(millis), parts)) : parts
  }

  const same = <A>(answer: A): A => answer
  const provider: LLMProvider.Provider = {
    name: inner.name,
    capabilities: inner.capabilities,
    generate: (request) =>
      Effect.suspend(() =>
        touches(request) ? whole(request.model, inner.generate(request), garbleTurn) : inner.generate(request)
      ),
    stream: (request) => Stream.suspend(() => (touches(request) ? streamed(request) : inner.stream(request))),
    embed: (request) =>
      Effect.suspend(() => (touches(request) ? whole(request.model, inner.embed(request), same) : inner.embed(request)))
  }
  const turn = (to: boolean) =>
    Effect.sync(() => {
      switchedOn = to
    })
  const enter = Effect.sync(() => {
    within++
  })
  const leave = Effect.sync(() => {
    within--
  })
  return {
    provider,
    enable: turn(true),
    disable: turn(false),
    enabled: Effect.sync(() => switchedOn || within > 0),
    during: (effect) =>
      Effect.acquireUseRelease(
        enter,
        () => effect,
        () => leave
      ),
    injected: Effect.sync(() => ({ calls, delayed, faults: { ...faults } }))
  }
}

/**
 * Wraps the provider of the Layer it is given: `FaultInjector.layer(options).pipe(Layer.provide(OpenAI.layer(…)))`.
 * The switch is the service {@link FaultInjector}.
 */
export const layer = (
  options: Options
): Layer.Layer<LLMProvider.LLMProvider | FaultInjector, Config.ConfigError, LLMProvider.LLMProvider> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const injector = yield* make(yield* LLMProvider.LLMProvider, options)
      return Context.make(FaultInjector, injector).pipe(Context.add(LLMProvider.LLMProvider, injector.provider))
    })
  )
