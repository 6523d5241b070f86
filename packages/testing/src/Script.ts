/**
 * Scripted answers: what a `ScriptedProvider` plays. All of this is exported by `ScriptedProvider`.
 */
import type { LLMError, Request, Response, Usage } from "@breakwater/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { millisOrThrow } from "./internal/options.ts"
import { partsOfTurn, usageOf, words } from "./internal/parts.ts"
import { compile, type Op, type Program } from "./internal/script.ts"

/** One scripted answer. Built by the constructors of this module. */
export interface Step {
  readonly _tag: "Step"
  /** @internal */
  readonly program: Program
  /** @internal */
  readonly source: ReadonlyArray<Op>
  /** @internal */
  readonly embeddings: Response.Embeddings | undefined
  /** What `generate` answers, built once. @internal */
  readonly answer: Effect.Effect<Response.Turn>
  /** What `stream` answers if there is nothing to wait for, built once. @internal */
  readonly parts: Stream.Stream<Response.StreamPart>
}

/** What is asked: `embed` calls have an `input`, the others have `messages`. */
export type AnyRequest = Request.ProviderRequest | Request.ProviderEmbedRequest

/** Steps in order, shared by all calls; or a function of the request and the number of the call, counted from 1. */
export type Script = ReadonlyArray<Step | string> | ((request: AnyRequest, callNumber: number) => Step | string)

const notForTurns = Effect.die(new Error("this step answers embed calls only"))

const fromProgram = (source: ReadonlyArray<Op>, program: Program, embeddings?: Response.Embeddings): Step => ({
  _tag: "Step",
  program,
  source,
  embeddings,
  answer: program.turn === undefined ? notForTurns : Effect.succeed(program.turn),
  parts:
    program.turn === undefined
      ? Stream.fromEffect(notForTurns)
      : Stream.fromArray(program.ops.flatMap((op) => (op._tag === "emit" ? op.parts : [])))
})

const fromOps = (source: ReadonlyArray<Op>): Step => fromProgram(source, compile(source))

const emit = (parts: ReadonlyArray<Response.StreamPart>): ReadonlyArray<Op> => {
  const [head, ...tail] = parts
  return head === undefined ? [] : [{ _tag: "emit", parts: [head, ...tail] }]
}

/** Answers with a whole turn; a stream gets it word by word. */
export const turn = (value: Response.Turn): Step => {
  const source = emit(partsOfTurn(value))
  return fromProgram(source, { ...compile(source), turn: value })
}

/** Answers with a text. Without `usage`, a token is counted for four characters, and ten for the prompt. */
export const text = (
  value: string,
  options?: {
    readonly usage?: Usage.Usage
    readonly finishReason?: Response.FinishReason
    readonly id?: string
    readonly model?: string
  }
): Step =>
  turn({
    content: value.length === 0 ? [] : [{ type: "text", text: value }],
    finishReason: options?.finishReason ?? "stop",
    usage: options?.usage ?? usageOf(value.length),
    ...(options?.id === undefined ? {} : { id: options.id }),
    ...(options?.model === undefined ? {} : { model: options.model })
  })

/** Answers with one tool call. */
export const toolCall = (name: string, params: unknown, options?: { readonly id?: string }): Step =>
  turn({
    content: [{ type: "tool-call", id: options?.id ?? "call_1", name, params }],
    finishReason: "tool-calls",
    usage: usageOf((JSON.stringify(params) ?? "").length)
  })

/**
 * Answers `embed` with these vectors, counting a token for each. Any other step that succeeds embeds each text as a
 * vector of its own.
 */
export const embeddings = (value: Response.Embeddings | ReadonlyArray<ReadonlyArray<number>>): Step => {
  const answer = "vectors" in value ? value : { vectors: value, usage: { inputTokens: value.length, outputTokens: 0 } }
  return fromProgram([], { ...compile([]), turn: undefined }, answer)
}

/** Fails. `provider` and `model` are filled in where the error is silent. */
export const fail = (error: LLMError.AttemptError): Step => fromOps([{ _tag: "fail", error }])

/** Dies with a defect: a provider with a bug. */
export const die = (defect: unknown): Step => fromOps([{ _tag: "die", defect }])

/** Never answers. Only interruption ends the call. */
export const stall: Step = fromOps([{ _tag: "stall" }])

/** Waits before the step. */
export const delay = (duration: Duration.Input, step: Step | string): Step => {
  const { embeddings, program, source } = toStep(step)
  const delayed: ReadonlyArray<Op> = [{ _tag: "wait", millis: millisOrThrow("delay", duration) }, ...source]
  return fromProgram(delayed, { ...compile(delayed), turn: program.turn }, embeddings)
}

/** A pause between two parts of {@link stream}. */
export interface Pause {
  readonly _tag: "Pause"
  /** @internal */
  readonly millis: number
}

/** A pause between two parts of {@link stream}. */
export const wait = (duration: Duration.Input): Pause => ({ _tag: "Pause", millis: millisOrThrow("wait", duration) })

/** What a scripted stream is made of: text, parts, pauses, and other steps such as {@link fail} or {@link stall}. */
export type StreamItem = string | Response.StreamPart | Pause | Step

/**
 * Streams the items one after the other. A text is one delta. If nothing among them ends the stream, a `finish`
 * part is added. `generate` answers with the turn the parts add up to, after the same pauses.
 */
export const stream = (items: ReadonlyArray<StreamItem>): Step => fromOps(items.flatMap(itemOps))

const itemOps = (item: StreamItem): ReadonlyArray<Op> => {
  if (typeof item === "string") return item.length === 0 ? [] : emit([{ type: "text-delta", delta: item }])
  if ("type" in item) return emit([item])
  return item._tag === "Pause" ? [{ _tag: "wait", millis: item.millis }] : item.source
}

/**
 * The connection breaks after this text: a stream fails with `StreamInterruptedError` holding what had arrived,
 * `generate` with `TransportError`.
 */
export const cut = (partial = ""): Step => fromOps([...emit(deltas(partial)), { _tag: "cut" }])

/**
 * Ends the stream after this text without a `finish` part. No provider may do this; whoever reads one must
 * still not take it for success.
 */
export const unfinished = (partial = ""): Step => fromOps([...emit(deltas(partial)), { _tag: "unfinished" }])

const deltas = (value: string): ReadonlyArray<Response.StreamPart> =>
  words(value).map((delta) => ({ type: "text-delta", delta }))

/** A text is a step that answers with it. */
export const toStep = (step: Step | string): Step => (typeof step === "string" ? text(step) : step)
