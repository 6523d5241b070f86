/**
 * The path of a call: the only file that knows the order of the policies.
 *
 * ```text
 *  0 observe      the call gets its id, its deadline and, if somebody listens, its span
 *  1 check        the request is checked field by field, before anything is sent or paid
 *    context      and fitted to the first target's window (that of each further target when it is asked)
 *  2 cache        an earlier answer, or one that is on its way
 *  3 budget       the worst case is reserved in every scope
 *  4 plan         targets in order: retry, hedge, fail over, continue, all from one number of attempts
 *  5 each attempt, outermost first:
 *      context    the prompt fits the target's window
 *      breaker    admits, or ends the retries at this target at once
 *      quota      requests and tokens a minute
 *      bulkhead   a slot among the calls under way
 *      own        admissions of the program's own
 *      timeout    first token, idle, attempt
 *      provider   one HTTP call
 *  6 settle       bulkhead, quota and breaker hear how the attempt ended; budget and ledger what all of them cost
 *  7 observe      the span is closed, the event sent
 * ```
 *
 * Why this order: what the cache keys and the budget pays for is what is sent, so the prompt is fitted before them. A
 * hit in the cache must cost nothing, so the cache stands before the budget. The budget covers all attempts, so it stands
 * around the plan. The breaker counts attempts, not calls, so that a retry which rescues a call does not hide the failure
 * it met; it stands before quota and bulkhead, so that a call to a broken target takes neither tokens nor a slot. The
 * timeout stands inside the bulkhead: waiting for a slot is not the provider's fault.
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type { Admit } from "./domain/Attempt.ts"
import type { CacheAround, CacheCall, CacheControls } from "./domain/Cache.ts"
import type {
  CallControls,
  Description,
  EmbedOptions,
  EmbedResponse,
  GenerateOptions,
  LLMResponse,
  LLMStreamPart,
  StreamOptions,
  StreamPolicy
} from "./domain/Call.ts"
import { PromptHash } from "./domain/Event.ts"
import type { ProviderEmbedRequest, ProviderRequest, Sampling } from "./domain/Request.ts"
import type { Turn } from "./domain/Response.ts"
import type { AttemptError, InvalidRequestError, LLMError } from "./errors/LLMError.ts"
import { canonical } from "./internal/canonical.ts"
import { SummaryBook } from "./internal/summaryBook.ts"
import { optionError, validate, wholeInRange } from "./internal/options.ts"
import * as Check from "./internal/validateCall.ts"
import { Providers } from "./LLMProvider.ts"
import type { LLMService, LLMSnapshot } from "./LLM.ts"
import * as Observer from "./observe/Observer.ts"
import { accounted, budgetedStream, withBudget } from "./plan/Accounting.ts"
import { Fitting } from "./plan/Fitting.ts"
import { observed, observedStream } from "./plan/Observing.ts"
import { requestOf, resolve, type Resolved, type ResolveSettings, resolveTarget } from "./plan/Resolve.ts"
import { type PlanSettings, type PlanTarget, Run } from "./plan/Run.ts"
import { runStream } from "./plan/StreamPlan.ts"
import { runWhole } from "./plan/WholePlan.ts"
import { snapshotOf } from "./plan/Snapshot.ts"
import { Budget, type BudgetService } from "./policy/Budget.ts"
import { Bulkhead } from "./policy/Bulkhead.ts"
import { CircuitBreaker } from "./policy/CircuitBreaker.ts"
import { ContextWindow, type ContextWindowService } from "./policy/ContextWindow.ts"
import { Ledger } from "./policy/Ledger.ts"
import { Pricing } from "./policy/Pricing.ts"
import { ResponseCache } from "./policy/ResponseCache.ts"
import * as DynamicTimeout from "./policy/DynamicTimeout.ts"
import { Hedge } from "./policy/Hedge.ts"
import * as Retry from "./policy/Retry.ts"
import * as RetryBudget from "./policy/RetryBudget.ts"
import * as Timeout from "./policy/Timeout.ts"
import { SemanticCache } from "./policy/SemanticCache.ts"
import { TokenQuota } from "./policy/TokenQuota.ts"

/** What the plan and the checks need to know. Policies with state of their own come as Layers. */
export interface PipelineOptions {
  /** The targets in order of preference, `provider/model`. At least one. */
  readonly targets: ReadonlyArray<string>
  /** When and how often to ask again. Default: `Retry.presets.default`. */
  readonly retry?: Retry.PolicyOptions<AttemptError>
  /** Retries that all callers of a target share. Default: a token bucket; `"off"` for none. */
  readonly retryBudget?: RetryBudget.Options | "off"
  /** Default: `Timeout.presets.default`. */
  readonly timeouts?: Timeout.Options
  /** Provider calls at most for one call, over all targets. Default: one for each target, and the retries. */
  readonly maxAttempts?: number
  /** Default: `fail`. */
  readonly streamPolicy?: StreamPolicy
  /** Never answer from another target than the first. Default: false. */
  readonly strict?: boolean
  /** Characters of a prompt at most, files included. Default: 10,000,000. */
  readonly maxPromptCharacters?: number
  /** Sampling parameters of every call that does not set its own. */
  readonly defaults?: Sampling
  /** Admissions of the program's own, or an `AdaptiveLimit`'s: asked last, inside the bulkhead. Default: none. */
  readonly admissions?: ReadonlyArray<Admit>
}

/** The services the pipeline is built from. Leaving one out is a compile error; a Noop is a choice one can see. */
export type PipelineServices =
  | Providers
  | ContextWindow
  | CircuitBreaker
  | TokenQuota
  | Bulkhead
  | Hedge
  | ResponseCache
  | Budget
  | Pricing
  | Ledger

const streamPolicies: ReadonlyArray<StreamPolicy> = ["fail", "continue", "buffer"]

/** Everything that is the same for all calls. */
interface Assembled {
  readonly resolve: ResolveSettings
  readonly settings: PlanSettings
  readonly streamPolicy: StreamPolicy
  readonly context: ContextWindowService | undefined
  readonly cache: CacheAround | undefined
  readonly reserve: BudgetService["reserve"]
  readonly path: Description["path"]
  readonly summary: SummaryBook
  readonly snapshot: Effect.Effect<LLMSnapshot>
}

/** Builds the service from the policies in the context. */
export const make = (options: PipelineOptions): Effect.Effect<LLMService, Config.ConfigError, PipelineServices> =>
  Effect.gen(function* () {
    const assembled = yield* assemble(options)
    return {
      generate: (call) => generate(assembled, call),
      stream: (call) => stream(assembled, call),
      embed: (call) => embed(assembled, call),
      describe: (controls) => describe(assembled, controls ?? {}),
      snapshot: assembled.snapshot
    }
  })

const assemble = (options: PipelineOptions): Effect.Effect<Assembled, Config.ConfigError, PipelineServices> =>
  Effect.gen(function* () {
    const registry = yield* Providers
    const context = yield* ContextWindow
    const breaker = yield* CircuitBreaker
    const quota = yield* TokenQuota
    const bulkhead = yield* Bulkhead
    const hedge = yield* Hedge
    const cache = yield* ResponseCache
    // Opt-in: an answer to another question is a choice that a program makes by giving its Layer.
    const semantic = Option.getOrUndefined(yield* Effect.serviceOption(SemanticCache))
    const budget = yield* Budget
    const { prices } = yield* Pricing
    const ledger = yield* Ledger
    const clock = yield* Clock.Clock
    const summary = new SummaryBook(clock.currentTimeMillisUnsafe())
    const prefix = (yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)

    yield* validate([
      options.targets.length === 0 ? optionError("targets", "none", "at least one target") : undefined,
      options.maxAttempts === undefined ? undefined : wholeInRange("maxAttempts", options.maxAttempts, 1, 1000),
      options.maxPromptCharacters === undefined
        ? undefined
        : wholeInRange("maxPromptCharacters", options.maxPromptCharacters, 1),
      options.streamPolicy === undefined || streamPolicies.includes(options.streamPolicy)
        ? undefined
        : optionError("streamPolicy", options.streamPolicy, streamPolicies.join(", ")),
      asConfigError("defaults", Check.checkSampling(options.defaults ?? {}))
    ])
    const timeouts = yield* checked(() => Timeout.make(options.timeouts))
    const retry = yield* checked(() => Retry.make(options.retry))
    const dynamic = timeouts.dynamic === undefined ? undefined : DynamicTimeout.make(timeouts.dynamic)
    const targets: Array<PlanTarget> = []
    for (const text of options.targets) {
      const target = resolveTarget(registry, "targets", text)
      if ("_tag" in target) return yield* Effect.fail(optionError("targets", text, target.message))
      if (targets.some((other) => other.id === target.id)) {
        return yield* Effect.fail(optionError("targets", text, "targets that are each named once"))
      }
      targets.push(target)
    }
    const retryBudget = options.retryBudget === "off" ? undefined : yield* RetryBudget.make(options.retryBudget ?? {})
    // The order of admission is the order of this list.
    const admits = [breaker.admit, quota.admit, bulkhead.admit, ...(options.admissions ?? [])].filter(
      (admit): admit is Admit => admit !== undefined
    )
    let calls = 0
    return {
      resolve: {
        registry,
        targets,
        maxAttempts: options.maxAttempts,
        retries: retry.retries,
        strict: options.strict ?? false,
        totalMs: timeouts.total,
        maxPromptCharacters: options.maxPromptCharacters ?? 10_000_000,
        defaults: options.defaults,
        nextId: () => `${prefix}-${(calls++).toString(36)}`
      },
      streamPolicy: options.streamPolicy ?? "fail",
      settings: {
        admits,
        retry,
        retryBudget,
        hedge: hedge.hedger,
        limits: timeouts,
        prices,
        dynamic
      },
      cache: nested(cache.around, semantic?.around),
      context: context.enabled ? context : undefined,
      reserve: accounted(budget.reserve, ledger.record),
      summary,
      snapshot: snapshotOf({
        clock,
        summary,
        breaker,
        quota,
        bulkhead,
        cache,
        budget
      }),
      path: [
        { step: "context", setting: context.enabled ? "on" : "off" },
        { step: "cache", setting: cache.around === undefined ? "off" : "on" },
        ...(semantic?.around === undefined ? [] : [{ step: "semantic cache", setting: "on" }]),
        { step: "budget", setting: budget.reserve === undefined ? "off" : "on" },
        { step: "ledger", setting: ledger.record === undefined ? "off" : "on" },
        { step: "retry", setting: describeRetry(retry) },
        { step: "hedge", setting: hedge.hedger === undefined ? "off" : "on" },
        { step: "circuit breaker", setting: breaker.admit === undefined ? "off" : "on" },
        { step: "quota", setting: quota.admit === undefined ? "off" : "on" },
        { step: "bulkhead", setting: bulkhead.admit === undefined ? "off" : "on" },
        { step: "timeouts", setting: Timeout.describe(timeouts) }
      ]
    }
  })

/** An exact answer costs less than a similar one, and is better: the first cache is asked first. */
const nested = (outer: CacheAround | undefined, inner: CacheAround | undefined): CacheAround | undefined =>
  outer === undefined || inner === undefined
    ? (outer ?? inner)
    : {
        generate: (call, run) => outer.generate(call, inner.generate(call, run)),
        stream: (call, run) => outer.stream(call, inner.stream(call, run))
      }

/** Runs a constructor that throws a `ConfigError`. */
const checked = <A>(build: () => A): Effect.Effect<A, Config.ConfigError> =>
  Effect.try({ try: build, catch: (error) => error as Config.ConfigError })

const asConfigError = (field: string, problem: InvalidRequestError | undefined): Config.ConfigError | undefined =>
  problem === undefined ? undefined : optionError(field, problem.parameter, problem.message)

// --- 0 and 7 observe ----------------------------------------------------------------------------------------------

const begin = (
  assembled: Assembled,
  fiber: Fiber.Fiber<unknown, unknown>,
  operation: "generate" | "stream" | "embed",
  resolved: Resolved,
  prompt: unknown
): Run => {
  const clock = fiber.getRef(Clock.Clock)
  const first = resolved.targets[0]!
  const observer = Observer.forCall(fiber, clock, {
    operation,
    requestId: resolved.requestId,
    provider: first.provider.name,
    model: first.model
  })
  const hash = observer === undefined ? undefined : fiber.getRef(PromptHash)
  const promptText = hash === undefined ? undefined : canonical(prompt)
  const { context } = assembled
  // An embedding has no conversation to drop anything of.
  const fitting =
    context === undefined || operation === "embed"
      ? undefined
      : new Fitting({
          context,
          requestId: resolved.requestId,
          targets: resolved.targets,
          observer,
          clock,
          totalMs: resolved.totalMs
        })
  return new Run({
    operation,
    requestId: resolved.requestId,
    context: resolved.context,
    targets: resolved.targets,
    rules: {
      targets: resolved.targets.length,
      maxAttempts: resolved.maxAttempts,
      retries: assembled.settings.retry.retries
    },
    settings:
      fitting === undefined
        ? assembled.settings
        : { ...assembled.settings, admits: [fitting.admit, ...assembled.settings.admits] },
    fitting,
    clock,
    totalMs: resolved.totalMs,
    observer,
    summary: assembled.summary,
    promptHash: promptText === undefined ? undefined : hash?.(promptText)
  })
}

// --- the three operations -----------------------------------------------------------------------------------------

/** The text parts of a turn, joined. */
const textOf = (turn: Turn): string => {
  let text = ""
  for (const part of turn.content) if (part.type === "text") text += part.text
  return text
}

const generate = (assembled: Assembled, options: GenerateOptions): Effect.Effect<LLMResponse, LLMError> =>
  Effect.withFiber((fiber) => {
    const resolved = resolve(assembled.resolve, options)
    if ("_tag" in resolved) return Effect.fail(resolved)
    const request = requestOf(assembled.resolve, options)
    if ("_tag" in request) return Effect.fail(request)
    const run = begin(assembled, fiber, "generate", resolved, request.messages)
    const requestFor = (target: PlanTarget): ProviderRequest => ({ ...request, model: target.model })
    const planned = runWhole(
      run,
      requestFor,
      (provider, request) => provider.generate(request),
      (turn, target): LLMResponse => ({
        ...turn,
        text: textOf(turn),
        ...run.provenance(target)
      })
    )
    return around(assembled, run, requestFor(run.options.targets[0]!), options.cache, planned)
  })

const cacheCall = (run: Run, request: ProviderRequest, controls: CacheControls | undefined): CacheCall => ({
  context: run.options.context,
  target: run.options.targets[0]!.id,
  request,
  controls,
  requestId: run.options.requestId,
  targets: run.options.targets.map((target) => target.id),
  deadlineMs: run.deadlineMs
})

/** Cache and budget around a plan, and the observer around both. */
const around = (
  assembled: Assembled,
  run: Run,
  request: ProviderRequest,
  controls: CacheControls | undefined,
  planned: Effect.Effect<LLMResponse, LLMError>
): Effect.Effect<LLMResponse, LLMError> => {
  const paid = (request: ProviderRequest): Effect.Effect<LLMResponse, LLMError> => {
    const budgeted = assembled.reserve === undefined ? planned : withBudget(assembled.reserve, run, request, planned)
    return assembled.cache === undefined
      ? budgeted
      : assembled.cache.generate(cacheCall(run, request, controls), budgeted)
  }
  // Cache and budget see what the first target would get.
  const { fitting } = run.options
  const cached = fitting === undefined ? paid(request) : Effect.flatMap(fitting.first(request), paid)
  return observed(run, cached, (answer) => answer)
}

const stream = (assembled: Assembled, options: StreamOptions): Stream.Stream<LLMStreamPart, LLMError> =>
  Stream.unwrap(
    Effect.withFiber((fiber): Effect.Effect<Stream.Stream<LLMStreamPart, LLMError>, LLMError> => {
      const resolved = resolve(assembled.resolve, options)
      if ("_tag" in resolved) return Effect.fail(resolved)
      const request = requestOf(assembled.resolve, options)
      if ("_tag" in request) return Effect.fail(request)
      const policy = options.streamPolicy ?? assembled.streamPolicy
      if (!streamPolicies.includes(policy)) {
        return Effect.fail(Check.invalid("streamPolicy", `${policy} is not one of ${streamPolicies.join(", ")}`))
      }
      const run = begin(assembled, fiber, "stream", resolved, request.messages)
      const requestFor = (target: PlanTarget): ProviderRequest => ({ ...request, model: target.model })
      const planned = runStream(() => ({
        run,
        policy,
        requestFor,
        onProgress: options.onProgress
      }))
      const first = requestFor(run.options.targets[0]!)
      const { cache, reserve } = assembled
      const paid = (first: ProviderRequest): Stream.Stream<LLMStreamPart, LLMError> => {
        const budgeted = reserve === undefined ? planned : budgetedStream(reserve, run, first, planned)
        return cache === undefined
          ? budgeted
          : cache.stream({ ...cacheCall(run, first, options.cache), streamPolicy: policy }, budgeted)
      }
      const { fitting } = run.options
      const cached = fitting === undefined ? paid(first) : Stream.unwrap(Effect.map(fitting.first(first), paid))
      return Effect.succeed(observedStream(run, cached, cache !== undefined))
    })
  )

const embed = (assembled: Assembled, options: EmbedOptions): Effect.Effect<EmbedResponse, LLMError> =>
  Effect.withFiber((fiber) => {
    const problem = Check.checkEmbed(options)
    if (problem !== undefined) return Effect.fail(problem)
    // Vectors of different models cannot be compared, so another model answers only where the call names it.
    const resolved = resolve(assembled.resolve, { strict: options.fallbacks === undefined, ...options })
    if ("_tag" in resolved) return Effect.fail(resolved)
    const request: Omit<ProviderEmbedRequest, "model"> = {
      input: typeof options.input === "string" ? [options.input] : options.input,
      ...(options.dimensions === undefined ? undefined : { dimensions: options.dimensions }),
      ...(options.user === undefined ? undefined : { user: options.user }),
      ...(options.extra === undefined ? undefined : { extra: options.extra })
    }
    const run = begin(assembled, fiber, "embed", resolved, request.input)
    const requestFor = (target: PlanTarget): ProviderEmbedRequest => ({ ...request, model: target.model })
    const planned = runWhole(
      run,
      requestFor,
      (provider, request) => provider.embed(request),
      (embeddings, target): EmbedResponse => ({
        ...embeddings,
        ...run.provenance(target)
      })
    )
    const budgeted =
      assembled.reserve === undefined
        ? planned
        : withBudget(assembled.reserve, run, requestFor(run.options.targets[0]!), planned)
    return observed(run, budgeted, ({ model, target }) => ({ model, target }))
  })

// --- describe -----------------------------------------------------------------------------------------------------

const describe = (assembled: Assembled, controls: CallControls): Effect.Effect<Description, LLMError> =>
  Effect.suspend(() => {
    const resolved = resolve(assembled.resolve, controls)
    if ("_tag" in resolved) return Effect.fail(resolved)
    const { retry } = assembled.settings
    return Effect.succeed({
      targets: resolved.targets.map((target) => target.id),
      maxAttempts: resolved.maxAttempts,
      maxAttemptsPerTarget: Math.min(retry.retries, resolved.maxAttempts - resolved.targets.length) + 1,
      maxDurationMs: resolved.totalMs,
      maxBackoffMs: Math.min(resolved.totalMs, Retry.worstBackoffMs(retry) ?? resolved.totalMs),
      streamPolicy: assembled.streamPolicy,
      strict: resolved.strict,
      path: assembled.path
    })
  })

const describeRetry = (policy: Retry.Policy<AttemptError>): string => {
  if (policy.retries === 0) return "off"
  const worst = Retry.worstBackoffMs(policy)
  const waits = worst === undefined ? "" : `, ${Duration.format(Duration.millis(worst))} of backoff at most`
  return `${policy.retries} repeated ${policy.retries === 1 ? "attempt" : "attempts"}${waits}`
}
