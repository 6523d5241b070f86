/**
 * A call to the `LLM` service: what the caller asks for, and what comes back.
 */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { AttemptError } from "../errors/LLMError.ts"
import { type CacheControls, Cached } from "./Cache.ts"
import type { CallContext } from "./CallContext.ts"
import type { PromptInput } from "./Message.ts"
import type { ResponseFormat, Sampling } from "./Request.ts"
import { Embeddings, type FinishPart, type StreamPart, Turn } from "./Response.ts"
import type { ToolChoice, ToolsInput } from "./Tool.ts"
import { Usage } from "./Usage.ts"

/**
 * What happens when a stream breaks after its first content was handed on.
 *
 * - `fail`: the stream ends with `StreamInterruptedError`
 * - `continue`: the next target goes on where the broken one stopped
 * - `buffer`: nothing is handed on before the whole answer is there, so that any failure can be retried
 */
export type StreamPolicy = "fail" | "continue" | "buffer"

/** How far a running answer has come. */
export interface Progress {
  /** Milliseconds since the call began. */
  readonly elapsedMs: number
  /** Tokens of the answer so far, estimated from its text. */
  readonly tokens: number
  /** Over the time since the first token; 0 before there is one. */
  readonly tokensPerSecond: number
  /** Milliseconds until `maxTokens` at this rate; left out while unknown. */
  readonly remainingMs?: number
}

/** What a caller may set for one call, beside the prompt. */
export interface CallControls {
  /** `provider/model`, or a model of the default provider. Default: the targets of the Layer. */
  readonly model?: string
  /** Targets to fail over to, in this order. Given alone, it follows the first target of the Layer. */
  readonly fallbacks?: ReadonlyArray<string>
  /** Never answer from another target than the first. Failing is the answer. */
  readonly strict?: boolean
  /** The time for the whole call: attempts and waits. */
  readonly timeout?: Duration.Input
  /** Whose call it is. Default: the tenant `default`. */
  readonly context?: Partial<CallContext>
  /** Ties the call to a caller's own log. Default: a random one. */
  readonly requestId?: string
  /** What the caches may do with the call. */
  readonly cache?: CacheControls
}

/** One model turn. */
export interface GenerateOptions extends Sampling, CallControls {
  readonly prompt: PromptInput
  readonly tools?: ToolsInput
  readonly toolChoice?: ToolChoice
  readonly responseFormat?: ResponseFormat
  /** The end user, for the provider's own abuse monitoring. */
  readonly user?: string
  /** Fields passed to the provider as they are. */
  readonly extra?: Readonly<Record<string, unknown>>
}

/** One model turn, streamed. */
export interface StreamOptions extends GenerateOptions {
  readonly streamPolicy?: StreamPolicy
  /** Called for every piece of content handed on. Must not throw, and should be quick. */
  readonly onProgress?: (progress: Progress) => void
}

/** A batch of texts to be embedded. */
export interface EmbedOptions extends CallControls {
  readonly input: string | ReadonlyArray<string>
  readonly dimensions?: number
  readonly user?: string
  readonly extra?: Readonly<Record<string, unknown>>
}

/** One attempt of a call: an admitted, accounted, bounded provider call. */
export const AttemptRecord = Schema.Struct({
  /** Counted from 1 over all targets. */
  attempt: Schema.Int,
  /** `provider/model` */
  target: Schema.String,
  /** `interrupted`: the caller went away, or a hedge lost. */
  outcome: Schema.Literals(["success", "failure", "interrupted"]),
  error: Schema.optionalKey(AttemptError),
  /** Milliseconds since 1970. */
  startedAt: Schema.Finite,
  tookMs: Schema.Finite,
  /** Milliseconds to the first content; streams only. */
  firstTokenMs: Schema.optionalKey(Schema.Finite),
  /** Milliseconds waited before this attempt, for a backoff or a provider's hint. */
  waitedMs: Schema.Finite,
  /** What the attempt consumed, as far as it is known. */
  usage: Schema.optionalKey(Usage),
  /** What that costs, in nano-dollars; left out where there is no price or no usage. */
  costNanos: Schema.optionalKey(Schema.BigInt),
  /** False when nothing was sent to the provider. */
  sent: Schema.optionalKey(Schema.Boolean)
})
export type AttemptRecord = typeof AttemptRecord.Type

/** What a call costs, over all of its attempts. */
export const CallCost = Schema.Struct({
  /** Of the attempts whose cost is known. */
  nanoDollars: Schema.BigInt,
  /** True when a part of it rests on estimated usage. */
  estimated: Schema.Boolean,
  /** Attempts that were sent and whose cost is not known: they had no usage, or no price. */
  unknownAttempts: Schema.Int
})
export type CallCost = typeof CallCost.Type

/** How the budgets stand that a call drew on, as its answer tells it. */
export interface BudgetStanding {
  /** What is left of the tightest hard limit, in nano-dollars: without what is reserved for calls under way. */
  readonly remainingNanos?: bigint
  /** The names of the limits whose soft limit is reached. */
  readonly softLimits?: ReadonlyArray<string>
}

const provenance = {
  requestId: Schema.String,
  /** The target that answered (for a continued stream: that finished), `provider/model`. */
  target: Schema.String,
  /** Every attempt, in the order they were begun. */
  attempts: Schema.Array(AttemptRecord),
  /** What it cost, where prices are known to the pipeline. */
  cost: Schema.optionalKey(CallCost),
  /** What a cached or shared answer had cost when it was made, in nano-dollars; left out where that is not known. */
  savedNanos: Schema.optionalKey(Schema.BigInt),
  /** What is left of the tightest hard limit of the budgets the call drew on, in nano-dollars. */
  remainingNanos: Schema.optionalKey(Schema.BigInt),
  /** The names of the budgets whose soft limit is reached. */
  softLimits: Schema.optionalKey(Schema.Array(Schema.String))
}

/** A whole answer: the turn, its text, and how it came about. */
export const LLMResponse = Schema.Struct({
  ...Turn.fields,
  /** The text parts, joined. */
  text: Schema.String,
  ...provenance,
  /** Set when no attempt of this call has produced the answer. */
  cached: Schema.optionalKey(Cached)
})
export type LLMResponse = typeof LLMResponse.Type

/** The answer to {@link EmbedOptions}. */
export const EmbedResponse = Schema.Struct({ ...Embeddings.fields, ...provenance })
export type EmbedResponse = typeof EmbedResponse.Type

/** Says which target writes the parts that follow. */
export interface TargetPart {
  readonly type: "target"
  /** `provider/model` */
  readonly target: string
  readonly attempt: number
  /** True when the parts go on from those of a broken attempt. */
  readonly continues: boolean
}

/** The end of a streamed answer, and how it came about. */
export interface CompletePart extends FinishPart, BudgetStanding {
  readonly requestId: string
  readonly target: string
  readonly attempts: ReadonlyArray<AttemptRecord>
  /** What it cost, where prices are known to the pipeline. */
  readonly cost?: CallCost
  /** What a cached or shared answer had cost when it was made, in nano-dollars; left out where that is not known. */
  readonly savedNanos?: bigint
  /** Set when no attempt of this call has produced the answer. */
  readonly cached?: Cached
}

/** A part of a streamed answer, as a caller of the service sees it. */
export type LLMStreamPart = Exclude<StreamPart, FinishPart> | TargetPart | CompletePart

/** The worst a call can cost, before it is made. */
export interface Description {
  /** `provider/model`, in the order they would be asked. */
  readonly targets: ReadonlyArray<string>
  /** Provider calls at most, over all targets together. */
  readonly maxAttempts: number
  /** Provider calls at most for each target. */
  readonly maxAttemptsPerTarget: number
  /** Milliseconds a call can take at most. */
  readonly maxDurationMs: number
  /** Milliseconds of backoff at most, without a provider's hints. */
  readonly maxBackoffMs: number
  readonly streamPolicy: StreamPolicy
  readonly strict: boolean
  /** The policies on the path, in order, each with a short text of its settings. */
  readonly path: ReadonlyArray<{ readonly step: string; readonly setting: string }>
}
