/**
 * What the response cache does with one call: look, share, run, keep.
 */
import type * as Clock from "effect/Clock"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { CacheAround, CacheCall, Cached } from "../../domain/Cache.ts"
import type { LLMResponse, LLMStreamPart } from "../../domain/Call.ts"
import type { CacheMiss, CacheStoreFailed, PolicyEvent } from "../../domain/Event.ts"
import type { Usage } from "../../domain/Usage.ts"
import type { PricingService } from "../../domain/Price.ts"
import type { LLMError, StoreError } from "../../errors/LLMError.ts"
import { asks } from "../../internal/cacheable.ts"
import { controlsOf, type Controls } from "../../internal/cacheControls.ts"
import { exactKey } from "../../internal/cacheKey.ts"
import { emit } from "../../internal/emit.ts"
import { Flights } from "../../internal/flights.ts"
import { type Chunk, SharedStreams } from "../../internal/sharedStreams.ts"
import { lateStore, storeErrorOf } from "../../internal/storeErrors.ts"
import { StoreWatch } from "../../internal/storeWatch.ts"
import * as Stored from "../../internal/storedAnswer.ts"
import { monotonicMs } from "../../internal/time.ts"
import { timeLimit } from "../../internal/timeLimit.ts"
import { type CacheEntry, type CacheKey, type CacheStoreService, type Found, format } from "../../store/CacheStore.ts"
import { isOwn, lateBy, ownerOf, readEntry } from "./Judgement.ts"
import type { Resolved } from "./Options.ts"

/** One call on its way through the cache. */
interface Ask {
  readonly call: CacheCall
  readonly key: CacheKey
  readonly controls: Controls
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

interface Hit {
  readonly entry: CacheEntry
  readonly ageMs: number
}

type MissReason = CacheMiss["reason"]
type Parts = readonly [LLMStreamPart, ...Array<LLMStreamPart>]

export class Engine implements CacheAround {
  private readonly store: CacheStoreService
  private readonly options: Resolved
  private readonly clock: Clock.Clock
  private readonly prices: PricingService | undefined
  private readonly watch: StoreWatch
  private readonly flights = new Flights<LLMResponse, LLMError>()
  private readonly streams = new SharedStreams<LLMStreamPart, LLMError>()
  private serial = 0
  hits = 0
  shared = 0
  misses = 0
  stored = 0
  refused = 0
  storeFailures = 0
  savedInputTokens = 0
  savedOutputTokens = 0
  savedNanoDollars = 0n

  constructor(store: CacheStoreService, options: Resolved, clock: Clock.Clock, prices: PricingService | undefined) {
    this.store = store
    this.options = options
    this.clock = clock
    this.prices = prices
    const { firstProbeMs, longestProbeMs, lostAfter } = options
    this.watch = new StoreWatch({
      store: store.name,
      // Calls go on without it.
      mode: "fail-open",
      failures: lostAfter,
      firstMs: firstProbeMs,
      longestMs: longestProbeMs
    })
  }

  get inFlight(): number {
    return this.flights.size + this.streams.size
  }

  generate(call: CacheCall, run: Effect.Effect<LLMResponse, LLMError>): Effect.Effect<LLMResponse, LLMError> {
    return Effect.withFiber((fiber) => {
      const ask = this.askOf(call, fiber)
      if (ask === undefined) return run
      if ("_tag" in ask) return Effect.fail(ask)
      const found = this.look(ask)
      if (typeof found === "object") return Effect.succeed(this.respond(ask, found))
      const missed = Effect.suspend(() => {
        this.missed(ask, found ?? "absent")
        return run
      })
      const looked =
        found === undefined
          ? Effect.flatMap(this.lookFar(ask), (far) =>
              typeof far === "object" ? Effect.succeed(this.respond(ask, far)) : this.run(ask, far, run)
            )
          : missed
      if (!ask.controls.share && !ask.controls.write) return looked
      return this.flights.share(this.flightKey(ask, "g"), {
        run: looked,
        follow: (response) => this.follow(ask, response),
        after: (response) => this.keep(ask, Stored.ofResponse(response, call.target)),
        keep: ask.controls.write,
        owner: ownerOf(call),
        again: (error, leader) => isOwn(error, leader, ownerOf(call)),
        limitMs: () => this.limitOf(call),
        onLimit: lateBy
      })
    })
  }

  stream(call: CacheCall, run: Stream.Stream<LLMStreamPart, LLMError>): Stream.Stream<LLMStreamPart, LLMError> {
    return Stream.unwrap(
      Effect.withFiber((fiber): Effect.Effect<Stream.Stream<LLMStreamPart, LLMError>, LLMError> => {
        const ask = this.askOf(call, fiber)
        if (ask === undefined) return Effect.succeed(run)
        if ("_tag" in ask) return Effect.fail(ask)
        const found = this.look(ask)
        if (typeof found === "object") return Effect.succeed(Stream.fromArray(this.replay(ask, found)))
        const missed = (reason: MissReason): Stream.Stream<LLMStreamPart, LLMError> =>
          Stream.suspend(() => {
            this.missed(ask, reason)
            return run
          })
        const looked =
          found === undefined
            ? Stream.unwrap(
                Effect.map(this.lookFar(ask), (far) =>
                  typeof far === "object" ? Stream.fromArray(this.replay(ask, far)) : missed(far)
                )
              )
            : missed(found)
        if (!ask.controls.share && !ask.controls.write) return Effect.succeed(looked)
        return Effect.succeed(this.sharedStream(ask, looked))
      })
    )
  }

  private sharedStream(ask: Ask, run: Stream.Stream<LLMStreamPart, LLMError>): Stream.Stream<LLMStreamPart, LLMError> {
    const { call, controls } = ask
    const limitMs = this.limitOf(call)
    return this.streams.share(this.flightKey(ask, "s"), {
      run,
      follow: (chunk) => this.followParts(ask, chunk),
      isLast: (part) => part.type === "finish",
      bytesOf: Stored.roughBytes,
      maxBytes: this.options.maxEntryBytes * 2,
      after: (parts) => {
        if (parts !== undefined) return this.keep(ask, Stored.ofParts(parts, call.target))
        this.refuse(ask, "too-large")
        return undefined
      },
      keep: controls.write,
      owner: ownerOf(call),
      again: (error, leader) => isOwn(error, leader, ownerOf(call)),
      limitMs,
      onLimit: () => lateBy(limitMs)
    })
  }

  /** `undefined` for a call that is none of the cache's business. */
  private askOf(call: CacheCall, fiber: Fiber.Fiber<unknown, unknown>) {
    const controls = controlsOf(call.context.tenant, call.controls)
    if ("_tag" in controls) return controls
    if (!asks(this.options.cacheable, call)) return undefined
    const key = exactKey(call, controls.namespace)
    return key === undefined ? undefined : { call, key, controls, fiber }
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  /** Looks where it takes no time: a hit, why there is none, or `undefined` when the store must be asked. */
  private look({ controls, key }: Ask): Hit | MissReason | undefined {
    if (!controls.read) return "bypassed"
    const { local } = this.store
    if (local === undefined) return undefined
    const nowMs = monotonicMs(this.clock)
    const found = local.get(key, nowMs, controls.touch)
    if (found === undefined) return "absent"
    const { entry, storedMs } = found
    if (entry.format !== format) {
      local.remove(key)
      return "unreadable"
    }
    const ageMs = nowMs - storedMs
    return ageMs > controls.maxAgeMs ? "stale" : { entry, ageMs }
  }

  /**
   * Asks a remote store. Never fails, and never takes longer than `readTimeout`. A store that has failed `lostAfter` times
   * in a row is not asked, but for one call at a time after each pause.
   */
  private lookFar(ask: Ask): Effect.Effect<Hit | MissReason> {
    const { readTimeoutMs } = this.options
    const late = Effect.suspend(() => {
      this.failed(ask, "get", "timeout")
      return Effect.fail(lateStore(this.store.name, "get", readTimeoutMs))
    })
    const asked = Effect.suspend(() => this.store.get(ask.key))
    const got = Effect.catchCause(asked, (cause): Effect.Effect<never, StoreError> => {
      if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
      this.failed(ask, "get", "failed")
      return Effect.fail(storeErrorOf(cause, this.store.name, "get"))
    })
    const read = Effect.map(
      timeLimit(got, readTimeoutMs, () => late),
      (found) => this.judge(ask, found)
    )
    return Effect.catch(
      this.watch.ask<Hit | MissReason>(read, () => Effect.succeed("store")),
      () => Effect.succeed<MissReason>("store")
    )
  }

  private judge(ask: Ask, found: Found | undefined): Hit | MissReason {
    if (found === undefined) return "absent"
    const entry = readEntry(found.entry)
    if (entry === undefined) {
      this.removeFar(ask)
      return "unreadable"
    }
    const ageMs = Math.max(0, found.ageMs)
    return ageMs > ask.controls.maxAgeMs ? "stale" : { entry, ageMs }
  }

  private removeFar(ask: Ask): void {
    const removed = timeLimit(this.store.remove(ask.key), this.options.writeTimeoutMs, () =>
      Effect.sync(() => this.failed(ask, "remove", "timeout"))
    )
    Effect.runForkWith(ask.fiber.context)(
      Effect.catchCause(removed, () => Effect.sync(() => this.failed(ask, "remove", "failed")))
    )
  }

  // --- answering ----------------------------------------------------------------------------------------------------

  private provenance(ask: Ask, { ageMs, entry }: Hit): Stored.Provenance {
    const cached: Cached = { source: "exact", ageMs }
    const kept = Stored.amountOf(entry.costNanos)
    const savedNanos = this.answered(ask, cached, Stored.usageOf(entry.answer), entry.target, kept)
    return { requestId: ask.call.requestId ?? "", target: entry.target, cached, savedNanos }
  }

  private respond(ask: Ask, hit: Hit): LLMResponse {
    return Stored.toResponse(hit.entry.answer, this.provenance(ask, hit))
  }

  private replay(ask: Ask, hit: Hit): Parts {
    return Stored.toParts(hit.entry.answer, this.provenance(ask, hit))
  }

  private follow(ask: Ask, response: LLMResponse): LLMResponse {
    const own = Stored.sharedResponse(response, ask.call.requestId ?? "")
    const savedNanos = this.answered(ask, own.cached!, own.usage, own.target, own.savedNanos)
    return savedNanos === own.savedNanos ? own : { ...own, savedNanos: savedNanos! }
  }

  private followParts(ask: Ask, chunk: Chunk<LLMStreamPart>): Chunk<LLMStreamPart> {
    const last = chunk[chunk.length - 1]!
    if (last.type !== "finish") return chunk
    const own = Stored.sharedFinish(last, ask.call.requestId ?? "")
    const savedNanos = this.answered(ask, own.cached!, own.usage, own.target, own.savedNanos)
    const told = savedNanos === own.savedNanos ? own : { ...own, savedNanos: savedNanos! }
    return [...chunk.slice(0, -1), told] as unknown as Chunk<LLMStreamPart>
  }

  private limitOf({ deadlineMs }: CacheCall): number {
    return deadlineMs === undefined ? Infinity : Math.max(0, deadlineMs - monotonicMs(this.clock))
  }

  private flightKey({ call, controls, key }: Ask, operation: "g" | "s"): string {
    if (!controls.share || !this.options.singleFlight) return `alone${this.serial++}`
    const age = this.store.local === undefined ? controls.maxAgeMs : ""
    return `${operation}${key.digest}${call.streamPolicy ?? ""} ${age} ${(call.targets ?? []).join(" ")}`
  }

  private run(
    ask: Ask,
    reason: MissReason,
    run: Effect.Effect<LLMResponse, LLMError>
  ): Effect.Effect<LLMResponse, LLMError> {
    this.missed(ask, reason)
    return run
  }

  // --- keeping ------------------------------------------------------------------------------------------------------

  /** Keeps an answer at once, or by an effect that never fails. */
  private keep(ask: Ask, made: Stored.Made | undefined): Effect.Effect<void> | undefined {
    // A lost store is not asked to write, either; only reads look whether it is back.
    if (made === undefined || this.watch.isLost) return undefined
    const { answer, costNanos } = made
    const taken = Stored.snapshot(answer, this.options.maxEntryBytes)
    if (typeof taken === "string") return this.refuse(ask, taken)
    const { store } = this
    const { ttlMs, writeTimeoutMs } = this.options
    const entry: CacheEntry = {
      format,
      target: ask.call.target,
      ...taken,
      ...(costNanos === undefined ? undefined : { costNanos: `${costNanos}` })
    }
    const done = (kept: boolean): void => {
      if (!kept) return this.refuse(ask, "too-large")
      this.stored++
      emit(ask.fiber, () => ({ type: "cache-stored", ...about(ask), bytes: entry.bytes, ttlMs }))
    }
    if (store.local !== undefined) {
      done(store.local.set(ask.key, entry, ttlMs, monotonicMs(this.clock)))
      return undefined
    }
    return timeLimit(Effect.map(store.set(ask.key, entry, ttlMs), done), writeTimeoutMs, () =>
      Effect.sync(() => {
        this.failed(ask, "set", "timeout")
      })
    ).pipe(
      Effect.catchCause(() =>
        Effect.sync(() => {
          this.failed(ask, "set", "failed")
        })
      )
    )
  }

  private refuse(ask: Ask, reason: "too-large" | "unserialisable"): undefined {
    this.refused++
    const { name } = this.store
    emit(ask.fiber, () => ({ type: "cache-store-failed", ...about(ask), store: name, operation: "set", reason }))
    return undefined
  }

  // --- telling ------------------------------------------------------------------------------------------------------

  /** Counts an answer, and says what it saved: by the option, as it was kept, or by the prices of now. */
  private answered(
    ask: Ask,
    cached: Cached,
    usage: Usage,
    target: string,
    kept: bigint | undefined
  ): bigint | undefined {
    if (cached.source === "in-flight") this.shared++
    else this.hits++
    this.savedInputTokens += usage.inputTokens
    this.savedOutputTokens += usage.outputTokens
    const saved = this.ownPrice(usage, target) ?? kept ?? this.priced(usage, target)
    if (saved !== undefined) this.savedNanoDollars += saved
    emit(ask.fiber, () => ({ type: "cache-hit", ...about(ask), cached, usage }))
    return saved
  }

  /** By the option. One that throws says nothing: no answer is lost for it. */
  private ownPrice(usage: Usage, target: string): bigint | undefined {
    try {
      return this.options.price?.(usage, target)
    } catch {
      return undefined
    }
  }

  private priced(usage: Usage, target: string): bigint | undefined {
    if (this.prices === undefined) return undefined
    const slash = target.indexOf("/")
    const [provider, model] = [target.slice(0, slash), target.slice(slash + 1)]
    const cost = this.prices.cost({ provider, model, usage, atMs: this.clock.currentTimeMillisUnsafe() })
    return typeof cost === "bigint" ? cost : undefined
  }

  private missed(ask: Ask, reason: MissReason): void {
    this.misses++
    emit(ask.fiber, () => ({ type: "cache-miss", ...about(ask), reason }))
  }

  private failed(ask: Ask, operation: CacheStoreFailed["operation"], reason: "failed" | "timeout"): "store" {
    this.storeFailures++
    const { name } = this.store
    emit(ask.fiber, (): PolicyEvent => ({ type: "cache-store-failed", ...about(ask), store: name, operation, reason }))
    return "store"
  }
}

const about = ({ call, key }: Ask) =>
  ({
    cache: "exact",
    tenant: key.tenant,
    namespace: key.namespace,
    target: call.target,
    ...(call.requestId === undefined ? undefined : { requestId: call.requestId })
  }) as const
