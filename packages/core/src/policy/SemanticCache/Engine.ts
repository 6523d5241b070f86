/**
 * What the semantic cache does with one call: embed the question, look for its like, run, keep.
 */
import type * as Clock from "effect/Clock"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { CacheAround, CacheCall, Cached } from "../../domain/Cache.ts"
import type { LLMResponse, LLMStreamPart } from "../../domain/Call.ts"
import type { EmbedderService } from "../../domain/Embedder.ts"
import type { CacheMiss, CacheStoreFailed } from "../../domain/Event.ts"
import type { LLMError } from "../../errors/LLMError.ts"
import { asks } from "../../internal/cacheable.ts"
import { controlsOf, type Controls } from "../../internal/cacheControls.ts"
import { type Question, questionOf } from "../../internal/cacheKey.ts"
import { emit } from "../../internal/emit.ts"
import * as Stored from "../../internal/storedAnswer.ts"
import { monotonicMs } from "../../internal/time.ts"
import { timeLimit } from "../../internal/timeLimit.ts"
import { normalised } from "../../internal/vectorIndex.ts"
import { type Candidate, Memory } from "./Memory.ts"
import type { Resolved } from "./Options.ts"

/** One call on its way through the cache. */
interface Ask {
  readonly call: CacheCall
  readonly controls: Controls
  readonly question: Question
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

/** What looking has come to: an answer, or the vector under which the answer to come is kept. */
type Looked = { readonly hit: Candidate } | { readonly vector: Float32Array | undefined }

export class Engine implements CacheAround {
  private readonly embedder: EmbedderService
  private readonly options: Resolved
  private readonly clock: Clock.Clock
  readonly memory: Memory
  hits = 0
  misses = 0
  guarded = 0
  embedFailures = 0

  constructor(embedder: EmbedderService, options: Resolved, clock: Clock.Clock) {
    this.embedder = embedder
    this.options = options
    this.clock = clock
    this.memory = new Memory(options)
  }

  generate(call: CacheCall, run: Effect.Effect<LLMResponse, LLMError>): Effect.Effect<LLMResponse, LLMError> {
    return Effect.withFiber((fiber) => {
      const ask = this.askOf(call, fiber)
      if (ask === undefined) return run
      if ("_tag" in ask) return Effect.fail(ask)
      return Effect.flatMap(this.look(ask), (looked) => {
        if ("hit" in looked) return Effect.succeed(this.respond(ask, looked.hit))
        const { vector } = looked
        if (vector === undefined || !ask.controls.write) return run
        return Effect.map(run, (response) => {
          this.keep(ask, vector, Stored.ofResponse(response, call.target))
          return response
        })
      })
    })
  }

  stream(call: CacheCall, run: Stream.Stream<LLMStreamPart, LLMError>): Stream.Stream<LLMStreamPart, LLMError> {
    return Stream.unwrap(
      Effect.withFiber((fiber): Effect.Effect<Stream.Stream<LLMStreamPart, LLMError>, LLMError> => {
        const ask = this.askOf(call, fiber)
        if (ask === undefined) return Effect.succeed(run)
        if ("_tag" in ask) return Effect.fail(ask)
        return Effect.map(this.look(ask), (looked) => {
          if ("hit" in looked) return Stream.fromArray(this.replay(ask, looked.hit))
          const { vector } = looked
          return vector === undefined || !ask.controls.write ? run : this.keeping(ask, vector, run)
        })
      })
    )
  }

  /** The same stream, kept when its `finish` passes. */
  private keeping(
    ask: Ask,
    vector: Float32Array,
    run: Stream.Stream<LLMStreamPart, LLMError>
  ): Stream.Stream<LLMStreamPart, LLMError> {
    let bytes = 0
    let parts: Array<LLMStreamPart> = []
    return Stream.map(run, (part) => {
      bytes += Stored.roughBytes(part)
      if (bytes > this.options.maxEntryBytes * 2) parts = []
      else parts.push(part)
      if (part.type === "finish" && parts.length > 0) this.keep(ask, vector, Stored.ofParts(parts, ask.call.target))
      return part
    })
  }

  /** `undefined` for a call that is none of the cache's business. */
  private askOf(call: CacheCall, fiber: Fiber.Fiber<unknown, unknown>) {
    const controls = controlsOf(call.context.tenant, call.controls)
    if ("_tag" in controls) return controls
    if (!asks(this.options.cacheable, call) || (!controls.read && !controls.write)) return undefined
    const question = questionOf(call, controls.namespace)
    return question === undefined || question.text.length > this.options.maxQuestionCharacters
      ? undefined
      : { call, controls, question, fiber }
  }

  // --- looking ------------------------------------------------------------------------------------------------------

  private look(ask: Ask): Effect.Effect<Looked> {
    return Effect.map(this.embed(ask), (vector): Looked => {
      if (vector === undefined) return this.missed(ask, "embedder", vector)
      if (!ask.controls.read) return this.missed(ask, "bypassed", vector)
      const nowMs = monotonicMs(this.clock)
      const { controls, question } = ask
      let reason: CacheMiss["reason"] = "absent"
      for (const candidate of this.memory.near(question.partition, vector, this.options.threshold, nowMs)) {
        if (nowMs - candidate.entry.storedMs > controls.maxAgeMs) reason = "stale"
        else if (this.refuses(question.text, candidate.entry.question)) {
          reason = "guard"
          this.guarded++
        } else return { hit: candidate }
      }
      return this.missed(ask, reason, vector)
    })
  }

  private refuses(question: string, known: string): boolean {
    const { guard } = this.options
    if (guard === undefined) return false
    try {
      return guard(question, known) !== undefined
    } catch {
      return true
    }
  }

  /** The vector of the question. Never fails, and never takes longer than `embedTimeout`. */
  private embed(ask: Ask): Effect.Effect<Float32Array | undefined> {
    const embedded = Effect.map(this.embedder.embed([ask.question.text]), ([vector]) =>
      vector === undefined ? this.failed(ask, "embed", "failed") : normalised(vector)
    )
    const late = Effect.sync(() => this.failed(ask, "embed", "timeout"))
    return Effect.catchCause(
      timeLimit(embedded, this.options.embedTimeoutMs, () => late),
      (cause) =>
        Cause.hasInterrupts(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.sync(() => this.failed(ask, "embed", "failed"))
    )
  }

  // --- answering and keeping ----------------------------------------------------------------------------------------

  private provenance(ask: Ask, { entry, similarity }: Candidate): Stored.Provenance {
    const cached: Cached = { source: "semantic", ageMs: monotonicMs(this.clock) - entry.storedMs, similarity }
    this.hits++
    if (ask.controls.touch) this.memory.touch(entry)
    emit(ask.fiber, () => ({ type: "cache-hit", ...about(ask), cached, usage: Stored.usageOf(entry.answer) }))
    return { requestId: ask.call.requestId ?? "", target: entry.target, cached, savedNanos: entry.costNanos }
  }

  private respond(ask: Ask, hit: Candidate): LLMResponse {
    return Stored.toResponse(hit.entry.answer, this.provenance(ask, hit))
  }

  private replay(ask: Ask, hit: Candidate) {
    return Stored.toParts(hit.entry.answer, this.provenance(ask, hit))
  }

  private keep(ask: Ask, vector: Float32Array, made: Stored.Made | undefined): void {
    if (made === undefined) return
    const taken = Stored.snapshot(made.answer, this.options.maxEntryBytes)
    if (typeof taken === "string") {
      this.failed(ask, "set", taken)
      return
    }
    const storedMs = monotonicMs(this.clock)
    const { ttlMs } = this.options
    const { partition, text } = ask.question
    const entry = {
      question: text,
      answer: taken.answer,
      costNanos: made.costNanos,
      target: ask.call.target,
      storedMs,
      expiresMs: storedMs + ttlMs
    }
    if (!this.memory.add(partition, vector, entry, taken.bytes)) {
      this.failed(ask, "set", "too-large")
      return
    }
    emit(ask.fiber, () => ({ type: "cache-stored", ...about(ask), bytes: taken.bytes, ttlMs }))
  }

  // --- telling ------------------------------------------------------------------------------------------------------

  private missed(ask: Ask, reason: CacheMiss["reason"], vector: Float32Array | undefined): Looked {
    this.misses++
    emit(ask.fiber, () => ({ type: "cache-miss", ...about(ask), reason }))
    return { vector }
  }

  private failed(ask: Ask, operation: CacheStoreFailed["operation"], reason: CacheStoreFailed["reason"]): undefined {
    if (operation === "embed") this.embedFailures++
    const store = operation === "embed" ? this.embedder.name : "memory"
    emit(ask.fiber, () => ({ type: "cache-store-failed", ...about(ask), store, operation, reason }))
    return undefined
  }
}

const about = ({ call, controls }: Ask) =>
  ({
    cache: "semantic",
    tenant: call.context.tenant,
    namespace: controls.namespace,
    target: call.target,
    ...(call.requestId === undefined ? undefined : { requestId: call.requestId })
  }) as const
