/**
 * Records what a provider answers, as JSON, and plays it back: answers of a real model become a fixture once and
 * are free from then on.
 *
 * A recording holds the requests as they were asked, prompts included. Keys are never in it.
 *
 * **Example** (Recording a call and playing it back)
 *
 * ```ts
 * import { Recorder, ScriptedProvider } from "@breakwater/testing"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const scripted = yield* ScriptedProvider.make({ script: ["Hello."] })
 *   const recorder = yield* Recorder.make(scripted.provider)
 *   const ask = { model: "m", messages: [{ role: "user", content: "hello" }] } as const
 *   yield* recorder.provider.generate(ask)
 *   const replayed = yield* Recorder.replay(yield* recorder.json)
 *   return yield* replayed.provider.generate(ask)
 * })
 * ```
 */
import { LLMError, type LLMProvider, type Model, Response } from "@breakwater/core"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ScriptedProvider from "./ScriptedProvider.ts"

const Outcome = Schema.Union([
  Schema.Struct({ type: Schema.tag("turn"), turn: Response.Turn }),
  Schema.Struct({ type: Schema.tag("embeddings"), embeddings: Response.Embeddings }),
  Schema.Struct({ type: Schema.tag("error"), error: LLMError.AttemptError }),
  /** The end of a stream that ended well. */
  Schema.Struct({ type: Schema.tag("end") }),
  /** The caller did not wait for the answer. */
  Schema.Struct({ type: Schema.tag("interrupted") })
])

/** One recorded call. */
export const Exchange = Schema.Struct({
  operation: Schema.Literals(["generate", "stream", "embed"]),
  /** The request, as JSON. */
  request: Schema.Unknown,
  /** The parts of a stream, and how many milliseconds after the beginning each came. */
  parts: Schema.Array(Schema.Struct({ atMs: Schema.Finite, part: Response.StreamPart })),
  tookMs: Schema.Finite,
  outcome: Outcome
})
export type Exchange = typeof Exchange.Type

/** Calls in the order they began. */
export const Recording = Schema.Struct({
  version: Schema.Literal(1),
  provider: Schema.String,
  exchanges: Schema.Array(Exchange)
})
export type Recording = typeof Recording.Type

const RecordingJson = Schema.fromJsonString(Schema.toCodecJson(Recording))

/** A provider whose calls are recorded. */
export interface Recorder {
  readonly provider: LLMProvider.Provider
  readonly recording: Effect.Effect<Recording>
  /** The recording as a text to be kept in a file. Fails if an answer holds something that is not JSON. */
  readonly json: Effect.Effect<string, Schema.SchemaError>
}

type Mutable = { -readonly [K in keyof Exchange]: Exchange[K] }

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const millisNow = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1_000_000)

const failureOf = (exit: Exit.Failure<unknown, LLMError.AttemptError>): Exchange["outcome"] => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" ? { type: "error", error: error.value } : { type: "interrupted" }
}

/** Wraps a provider so that its calls are recorded. The answers pass through as they are. */
export const make = (inner: LLMProvider.Provider): Effect.Effect<Recorder> =>
  Effect.sync(() => {
    const exchanges: Array<Mutable> = []
    const begin = (operation: Exchange["operation"], request: unknown): Effect.Effect<readonly [Mutable, number]> =>
      Effect.map(millisNow, (now) => {
        const outcome = { type: "interrupted" } as const
        const exchange: Mutable = { operation, request: asJson(request), parts: [], tookMs: 0, outcome }
        exchanges.push(exchange)
        return [exchange, now]
      })
    const end = (exchange: Mutable, started: number, outcome: Exchange["outcome"]) =>
      Effect.map(millisNow, (now) => {
        exchange.tookMs = now - started
        exchange.outcome = outcome
      })

    const whole = <A>(
      operation: "generate" | "embed",
      request: unknown,
      call: Effect.Effect<A, LLMError.AttemptError>,
      outcome: (answer: A) => Exchange["outcome"]
    ) =>
      Effect.flatMap(begin(operation, request), ([exchange, started]) =>
        Effect.onExit(call, (exit) =>
          end(exchange, started, Exit.isSuccess(exit) ? outcome(exit.value) : failureOf(exit))
        )
      )

    const provider: LLMProvider.Provider = {
      name: inner.name,
      capabilities: inner.capabilities,
      generate: (request) => whole("generate", request, inner.generate(request), (turn) => ({ type: "turn", turn })),
      embed: (request) =>
        whole("embed", request, inner.embed(request), (embeddings) => ({ type: "embeddings", embeddings })),
      stream: (request) =>
        Stream.unwrap(
          Effect.map(begin("stream", request), ([exchange, started]) => {
            const parts: Array<Exchange["parts"][number]> = []
            exchange.parts = parts
            const seen = Stream.tap(inner.stream(request), (part) =>
              Effect.map(millisNow, (now) => {
                parts.push({ atMs: now - started, part })
              })
            )
            return Stream.onExit(seen, (exit) => {
              const finished = parts[parts.length - 1]?.part.type === "finish"
              return end(
                exchange,
                started,
                Exit.isFailure(exit) ? failureOf(exit) : { type: finished ? "end" : "interrupted" }
              )
            })
          })
        )
    }
    const recording = Effect.sync((): Recording => ({
      version: 1,
      provider: inner.name,
      exchanges: exchanges.map((exchange) => ({ ...exchange, parts: exchange.parts.slice() }))
    }))
    return {
      provider,
      recording,
      json: Effect.flatMap(recording, (value) => Schema.encodeEffect(RecordingJson)(value))
    }
  })

export interface ReplayOptions {
  /** Default: the name of the recorded provider. */
  readonly name?: string
  /** Takes as long as the recorded calls did. Default: false, at once. */
  readonly timing?: boolean
  readonly capabilities?: Model.Capabilities | ((model: string) => Model.Capabilities)
}

/** The same text for the same request, whatever the order of its fields. */
const keyOf = (request: unknown): string =>
  JSON.stringify(request, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value
  )

const stepOf = (exchange: Exchange, timing: boolean): ScriptedProvider.Step => {
  const items: Array<ScriptedProvider.StreamItem> = []
  let at = 0
  const pause = (until: number) => {
    if (timing && until > at) items.push(ScriptedProvider.wait(until - at))
    at = Math.max(at, until)
  }
  for (const { atMs, part } of exchange.parts) {
    pause(atMs)
    items.push(part)
  }
  const { outcome } = exchange
  const late = (step: ScriptedProvider.Step) => (timing ? ScriptedProvider.delay(exchange.tookMs, step) : step)
  switch (outcome.type) {
    case "turn":
      return late(ScriptedProvider.turn(outcome.turn))
    case "embeddings":
      return late(ScriptedProvider.embeddings(outcome.embeddings))
    case "error":
      pause(exchange.tookMs)
      return ScriptedProvider.stream([...items, ScriptedProvider.fail(outcome.error)])
    case "interrupted":
      return ScriptedProvider.stream([...items, ScriptedProvider.stall])
    case "end":
      return ScriptedProvider.stream(items)
  }
}

/**
 * A provider that answers from a recording, by the request: equal requests get their recorded answers in order, the
 * last one again and again. A request that was never recorded is a defect. A call whose caller did not wait for the
 * answer never answers.
 *
 * Fails with a `SchemaError` for a text that is no recording.
 */
export const replay = (
  json: string,
  options: ReplayOptions = {}
): Effect.Effect<ScriptedProvider.Scripted, Schema.SchemaError | Config.ConfigError> =>
  Effect.flatMap(Schema.decodeUnknownEffect(RecordingJson)(json), (recording) => {
    const steps = new Map<string, Array<ScriptedProvider.Step>>()
    for (const exchange of recording.exchanges) {
      const key = keyOf(exchange.request)
      const known = steps.get(key) ?? []
      known.push(stepOf(exchange, options.timing ?? false))
      steps.set(key, known)
    }
    return ScriptedProvider.make({
      name: options.name ?? recording.provider,
      ...(options.capabilities === undefined ? {} : { capabilities: options.capabilities }),
      script: (request) => {
        const known = steps.get(keyOf(asJson(request)))
        const step = known !== undefined && known.length > 1 ? known.shift() : known?.[0]
        if (step === undefined) throw new Error(`the recording has no answer for this request to ${request.model}`)
        return step
      }
    })
  })
