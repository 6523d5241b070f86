/**
 * A provider that answers from a script, in virtual time.
 *
 * Every delay is an `Effect.sleep`, so a test with a `TestClock` decides how long things take. The calls are
 * recorded for assertions.
 *
 * **Example** (Failing once, then answering)
 *
 * ```ts
 * import { ScriptedProvider } from "@breakwater/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const scripted = yield* ScriptedProvider.make({
 *     name: "first",
 *     script: [ScriptedProvider.stall, ScriptedProvider.text("Here I am.")]
 *   })
 *   const calls = yield* scripted.calls
 *   return [scripted.provider.name, calls.length] as const
 * })
 * ```
 */
import { type LLMError, LLMProvider, type Model, type Request, type Response } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { CallLog, type Counts, type RecordedCall } from "./internal/calls.ts"
import { firstOf, optionError, providerName } from "./internal/options.ts"
import { vectorOf } from "./internal/parts.ts"
import { playStream, playWhole } from "./internal/play.ts"
import { type AnyRequest, die, type Script, type Step, toStep } from "./Script.ts"

export * from "./Script.ts"
export type { Counts, RecordedCall }

export interface Options {
  /** Default: `scripted`. */
  readonly name?: string
  readonly script: Script
  /** After the last step of a list: play it again, or die. Default: `repeat`. An empty list always dies. */
  readonly afterLast?: "repeat" | "die"
  readonly capabilities?: Model.Capabilities | ((model: string) => Model.Capabilities)
  /** Keep the calls for {@link Scripted.calls}. Off for benchmarks, where they would pile up. Default: true. */
  readonly record?: boolean
}

/** A provider and what happened to it. */
export interface Scripted {
  readonly provider: LLMProvider.Provider
  readonly layer: Layer.Layer<LLMProvider.LLMProvider>
  readonly calls: Effect.Effect<ReadonlyArray<RecordedCall>>
  readonly counts: Effect.Effect<Counts>
}

/** What a scripted model can do unless the options say otherwise. */
export const defaultCapabilities: Model.Capabilities = { tools: true, jsonSchema: true, embeddings: true }

const reader = (options: Options): ((request: AnyRequest, callNumber: number) => Step) => {
  const script = options.script
  if (typeof script === "function") {
    return (request, callNumber) => {
      try {
        return toStep(script(request, callNumber))
      } catch (defect) {
        return die(defect)
      }
    }
  }
  const steps = script.map(toStep)
  return (_, callNumber) => {
    const step = steps[callNumber - 1] ?? (options.afterLast === "die" ? undefined : steps[steps.length - 1])
    return step ?? die(new Error(`the script has ${steps.length} steps, and this is call ${callNumber}`))
  }
}

const outcomeOf = (cause: Cause.Cause<unknown>): RecordedCall["outcome"] =>
  Cause.hasInterrupts(cause) ? "interrupted" : Cause.hasDies(cause) ? "died" : "failure"

/**
 * Makes a scripted provider. Fails with a `ConfigError` if the name is empty or holds a slash.
 */
export const make = (options: Options): Effect.Effect<Scripted, Config.ConfigError> =>
  Effect.suspend(() => {
    const name = options.name ?? "scripted"
    const wrong = firstOf([
      providerName(name),
      Array.isArray(options.script) || typeof options.script === "function"
        ? undefined
        : optionError("script", options.script, "a list of steps or a function")
    ])
    return wrong === undefined ? Effect.sync(() => build(name, options)) : Effect.fail(wrong)
  })

const build = (name: string, options: Options): Scripted => {
  const recorder = new CallLog(options.record ?? true)
  const stepFor = reader(options)
  const capabilities = options.capabilities ?? defaultCapabilities

  // A call is booked where it cannot be interrupted, so that it is always booked out again.
  const whole = <A>(
    operation: "generate" | "embed",
    request: AnyRequest,
    answer: (step: Step) => Effect.Effect<A, LLMError.AttemptError>
  ): Effect.Effect<A, LLMError.AttemptError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const clock = fiber.getRef(Clock.Clock)
        const number = recorder.take()
        const call = recorder.begin(number, operation, request, clock)
        const step = stepFor(request, number)
        if (step.program.immediate) {
          recorder.end(call, "success", clock)
          return answer(step)
        }
        return Effect.onExit(restore(playWhole(step.program, name, request.model, () => answer(step))), (exit) => {
          recorder.end(call, exit._tag === "Success" ? "success" : outcomeOf(exit.cause), clock)
          return Effect.void
        })
      })
    )

  const played = (
    request: Request.ProviderRequest,
    next: () => { readonly number: number; readonly step: Step }
  ): Stream.Stream<Response.StreamPart, LLMError.AttemptError> =>
    Stream.unwrap(
      Effect.withFiber((fiber) => {
        const clock = fiber.getRef(Clock.Clock)
        let outcome: RecordedCall["outcome"] = "interrupted"
        return Effect.map(
          Effect.acquireRelease(
            Effect.sync(() => {
              const { number, step } = next()
              return { call: recorder.begin(number, "stream", request, clock), step }
            }),
            ({ call }) => Effect.sync(() => recorder.end(call, outcome, clock))
          ),
          ({ step }) => {
            const parts =
              step.program.immediate && step.program.turn === undefined
                ? step.parts
                : Stream.fromPull(
                    playStream(step.program, name, request.model, () => {
                      outcome = "success"
                    })
                  )
            return Stream.tapCause(parts, (cause) =>
              Effect.sync(() => {
                outcome = outcomeOf(cause)
              })
            )
          }
        )
      })
    )

  const next = (request: Request.ProviderRequest) => {
    const number = recorder.take()
    return { number, step: stepFor(request, number) }
  }

  const streamed = recorder.keep
    ? (request: Request.ProviderRequest) => played(request, () => next(request))
    : // Nobody asks how such a stream went, so one that waits for nothing needs no bookkeeping.
      (request: Request.ProviderRequest) =>
        Stream.suspend(() => {
          const taken = next(request)
          return taken.step.program.immediate ? taken.step.parts : played(request, () => taken)
        })

  const provider: LLMProvider.Provider = {
    name,
    capabilities: typeof capabilities === "function" ? capabilities : () => capabilities,
    generate: (request) => whole("generate", request, (step) => step.answer),
    stream: streamed,
    embed: (request) => whole("embed", request, (step) => Effect.succeed(step.embeddings ?? embedAll(request)))
  }
  return {
    provider,
    layer: Layer.succeed(LLMProvider.LLMProvider, provider),
    calls: Effect.sync(() => recorder.calls.map((call) => ({ ...call }))),
    counts: Effect.sync(() => ({ calls: recorder.count, open: recorder.open, maxOpen: recorder.maxOpen }))
  }
}

const embedAll = (request: Request.ProviderEmbedRequest): Response.Embeddings => ({
  vectors: request.input.map((each) => vectorOf(each, request.dimensions ?? 8)),
  usage: { inputTokens: request.input.reduce((sum, each) => sum + Math.ceil(each.length / 4), 0), outputTokens: 0 },
  model: request.model
})

/** {@link make} as the Layer of a provider. To look at its calls, use {@link make} and {@link Scripted.layer}. */
export const layer = (options: Options): Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError> =>
  Layer.effect(
    LLMProvider.LLMProvider,
    Effect.map(make(options), (scripted) => scripted.provider)
  )
