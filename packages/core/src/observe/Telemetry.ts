/**
 * What spans say beyond the usual.
 *
 * Spans need no Layer of their own: they are made wherever a tracer is in place. Prompts and answers are not part of
 * them, unless a program asks for it here.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { millisOf, positiveDuration, validate, validateOrThrow, wholeInRange } from "../internal/options.ts"
import type { ContentPlace, ContentSettings } from "../internal/spanContent.ts"

export type { ContentPlace } from "../internal/spanContent.ts"

/** How prompts and answers are put down. */
export interface ContentOptions {
  /**
   * Called with every text before it is put down; what it answers is put down instead. Where it throws, the text is left
   * out.
   */
  readonly redact?: (text: string, place: ContentPlace) => string
  /** Characters of each attribute's texts at most, from 1 to 1,000,000. Default 10,000. */
  readonly maxCharacters?: number
}

/** The default of every option that has one. */
export const contentDefaults = { maxCharacters: 10_000 } as const

/** How spans carry prompts and answers; `undefined`, the default, for not at all. */
export const Content = Context.Reference<ContentSettings | undefined>("@breakwater/core/SpanContent", {
  defaultValue: () => undefined
})

/**
 * Puts prompts and answers on the spans of attempts, as the conventions say: `gen_ai.system_instructions`,
 * `gen_ai.input.messages` and `gen_ai.output.messages`, as JSON.
 *
 * **Gotchas**
 *
 * Whoever reads the spans reads what users wrote. Files are told by their kind and size only. A conversation that is
 * longer than `maxCharacters` keeps its latest messages, and the span says `breakwater.content.truncated`.
 *
 * Fails with a `ConfigError` for a wrong option.
 */
export const layerContent = (options: ContentOptions = {}): Layer.Layer<never, Config.ConfigError> => {
  const { maxCharacters = contentDefaults.maxCharacters, redact } = options
  return Layer.effect(
    Content,
    Effect.as(validate([wholeInRange("maxCharacters", maxCharacters, 1, 1_000_000)]), { maxCharacters, redact })
  )
}

/** What a collector may gather behind it. */
export interface ExportOptions {
  /** How long one export may take, its wait and its answer's body included. Default 10 seconds. */
  readonly timeout?: Duration.Input
  /** Exports under way at once, 1 to 1,000. Default 2. */
  readonly atOnce?: number
  /** Exports that wait for their turn, 0 to 10,000; each holds up to a thousand spans. Default 20. */
  readonly waiting?: number
}

/** The default of every option that has one. */
export const exportDefaults = { timeout: "10 seconds", atOnce: 2, waiting: 20 } as const satisfies ExportOptions

/**
 * Bounds what a collector that is slow or silent can gather behind it: exports in time, and in number. For
 * `HttpClient.transformResponse` of the client that an exporter of Effect uses, which by itself waits for ever, and opens
 * another connection for each batch of spans. What is over the bounds fails for good: the exporter then drops what it
 * holds, and rests for a minute.
 *
 * Throws a `ConfigError` for a wrong option.
 */
export const boundedExports = (options: ExportOptions = {}) => {
  const { atOnce, timeout, waiting } = { ...exportDefaults, ...options }
  validateOrThrow([
    positiveDuration("timeout", timeout),
    wholeInRange("atOnce", atOnce, 1, 1_000),
    wholeInRange("waiting", waiting, 0, 10_000)
  ])
  const duration = millisOf(timeout)!
  const turns = Semaphore.makeUnsafe(atOnce)
  let open = 0
  // No failure, which an exporter would try again.
  const late = Effect.die(new Error("The collector does not take what it is sent"))
  return <E, R>(
    effect: Effect.Effect<HttpClientResponse, E, R>
  ): Effect.Effect<HttpClientResponse, E, Exclude<R, Scope.Scope>> =>
    Effect.suspend(() => {
      if (open >= atOnce + waiting) return late
      open++
      const whole = Effect.scoped(Effect.tap(effect, (response) => Effect.ignore(response.arrayBuffer)))
      return Effect.ensuring(
        Effect.timeoutOrElse(turns.withPermits(1)(whole), { duration, orElse: () => late }),
        Effect.sync(() => open--)
      )
    })
}
