/**
 * What callers may take: requests and tokens in windows, for each key, by its tier.
 *
 * Tokens are reserved before a call by a guess (characters ÷ 4, and `max_tokens`), and what all of its attempts used
 * counts in the end. A guess that was too low is made up for as far as the windows have room.
 */
import { type Call, type Event, LimiterStore, LLMError as Errors, type LLMError, RateLimiter } from "@breakwater/core"
import type { LLM } from "@breakwater/core"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Principal } from "../../auth/Permissions.ts"
import type { ConfigurationError } from "../Load.ts"
import { type GatewayConfig, millisOf, type Tier, type Windows } from "../Schema.ts"
import { at } from "./Failure.ts"
import type { Kept } from "./Kept.ts"
import type { Stores } from "./Stores.ts"

type Limiter = RateLimiter.RateLimiterService

/** Keys that `/admin/limits` remembers. */
const maxSeen = 1_000
/** What an answer is taken for whose length the request does not bound. */
const usualAnswer = 1_024

/** Windows of a key, as people look at them. */
interface Standing {
  readonly key: string
  readonly tier: string
  readonly unit: "requests" | "tokens"
  readonly limit: number
  readonly remaining: number
  readonly windowMs: number
  readonly resetsInMs: number
}

const tooMuch = (weight: number, most: number): LLMError.LLMError =>
  Errors.withoutStack(
    () =>
      new Errors.InvalidRequestError({
        parameter: "maxTokens",
        message: `maxTokens: prompt and answer may come to ${weight} tokens; the tier lets at most ${most} go at once`
      })
  )

/** The tokens of one request: held, and settled. */
export class Meter {
  private readonly limiter: Limiter
  private readonly key: string
  private readonly plan: string
  private readonly most: number
  private readonly tell: (headers: Readonly<Record<string, string>>) => void
  private grant: RateLimiter.Grant | undefined
  private used: number | undefined
  private started = false

  constructor(limiter: Limiter, key: string, plan: string, most: number, tell: Meter["tell"]) {
    this.most = most
    this.limiter = limiter
    this.key = key
    this.plan = plan
    this.tell = tell
  }

  readonly hold = (weight: number): Effect.Effect<void, LLMError.LLMError> => {
    // It would be refused for ever: a client that is told to come again would.
    if (weight > this.most) return Effect.fail(tooMuch(weight, this.most))
    return Effect.map(this.limiter.acquire(this.key, { weight, plan: this.plan, maxWait: 0 }), (grant) => {
      this.grant = grant
      this.tell({
        "x-ratelimit-limit-tokens": String(grant.limit),
        "x-ratelimit-remaining-tokens": String(Math.floor(grant.remaining))
      })
    })
  }

  /** Hears how much the call used. */
  readonly note = (event: Event.PolicyEvent): void => {
    if (event.type === "request-started") this.started = true
    if (event.type !== "request-finished") return
    this.used = 0
    for (const { sent, usage } of event.attempts) {
      if (sent !== false && usage !== undefined) this.used += usage.inputTokens + usage.outputTokens
    }
  }

  /** Gives back what was too much, takes what was too little. */
  readonly settle: Effect.Effect<void> = Effect.suspend(() => {
    const { grant } = this
    // A call that was refused before it began has used nothing.
    const used = this.started ? this.used : 0
    this.grant = undefined
    if (grant === undefined || used === undefined || used === grant.weight) return Effect.void
    if (used < grant.weight) return Effect.ignore(this.limiter.refund({ ...grant, weight: grant.weight - used }))
    return Effect.ignore(
      Effect.flatMap(this.limiter.snapshot(this.key, this.plan), ({ remaining }) => {
        const weight = Math.min(used - grant.weight, Math.floor(remaining))
        return weight > 0 ? Effect.asVoid(this.limiter.consume(this.key, { weight, plan: this.plan })) : Effect.void
      })
    )
  })
}

/** The meter of the request that a fiber works for, where its tier counts tokens. */
export const CurrentMeter = Context.Reference<Meter | undefined>("@breakwater/gateway/Meter", {
  defaultValue: () => undefined
})

const charactersOf = (value: unknown): number => {
  if (typeof value === "string") return value.length
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + charactersOf(each), 0)
  if (typeof value !== "object" || value === null) return 0
  const { content, params, result, text } = value as Readonly<Record<string, unknown>>
  return 16 + charactersOf(text) + charactersOf(content) + jsonCharactersOf(params) + jsonCharactersOf(result)
}

/** What goes to and comes from tools is part of a prompt, too. */
const jsonCharactersOf = (value: unknown): number =>
  typeof value === "string" ? value.length : value === undefined ? 0 : (JSON.stringify(value)?.length ?? 0)

/** A length that is none is refused in its own words further on. */
const lengthOf = ({ maxTokens }: Call.GenerateOptions): number =>
  Number.isSafeInteger(maxTokens) && maxTokens! > 0 ? maxTokens! : usualAnswer

const guessOf = (options: Call.GenerateOptions): number =>
  Math.ceil(charactersOf(options.prompt) / 4) + lengthOf(options)

/** A service that holds the tokens of whoever asks, if their tier counts them. */
export const metered = (llm: LLM.LLMService): LLM.LLMService => {
  const hold = (guess: () => number): Effect.Effect<void, LLMError.LLMError> =>
    Effect.withFiber((fiber) => fiber.getRef(CurrentMeter)?.hold(guess()) ?? Effect.void)
  return {
    ...llm,
    generate: (options) =>
      Effect.andThen(
        hold(() => guessOf(options)),
        llm.generate(options)
      ),
    stream: (options) =>
      Stream.unwrap(
        Effect.as(
          hold(() => guessOf(options)),
          llm.stream(options)
        )
      ),
    embed: (options) =>
      Effect.andThen(
        hold(() => Math.max(1, Math.ceil(charactersOf(options.input) / 4))),
        llm.embed(options)
      )
  }
}

/** What the tiers come to. */
export interface Tiers {
  /** The tier of a caller. */
  readonly of: (principal: Principal) => string | undefined
  /** Counts a request; `undefined` where nothing counts it. */
  readonly take: (principal: Principal) => Effect.Effect<RateLimiter.Decision | undefined, RateLimiter.LimiterError>
  readonly meter: (principal: Principal, tell: Meter["tell"]) => Meter | undefined
  /** The windows of the keys that came last, at most a thousand keys. */
  readonly standings: Effect.Effect<ReadonlyArray<Standing>>
}

const windowsOf = (tier: Tier, unit: "requests" | "tokens"): Windows | undefined =>
  "length" in tier ? (unit === "requests" ? tier : undefined) : tier[unit]

type Plans = Record<string, ReadonlyArray<RateLimiter.WindowOptions>>

const plansOf = (config: GatewayConfig, unit: "requests" | "tokens"): Plans => {
  const plans: Plans = {}
  for (const [name, tier] of Object.entries(config.tiers ?? {})) {
    const windows = windowsOf(tier, unit)
    if (windows !== undefined) {
      plans[name] = windows.map(({ window, ...rest }) => ({ ...rest, window: Duration.millis(millisOf(window)) }))
    }
  }
  return plans
}

/** A limiter of the tiers that count this; the counts outlive a reload. */
const limiterOf = (plans: Plans, name: string, stores: Stores, kept: Kept) =>
  Effect.gen(function* () {
    if (Object.keys(plans).length === 0) return undefined
    const store = stores.redis?.limiter ?? (yield* at("tiers")(kept.keep("limiter store", LimiterStore.makeMemory())))
    return yield* at("tiers", "plans")(RateLimiter.makeWith({ name, plans }, store))
  })

const standing = (
  limiter: Limiter | undefined,
  plans: Plans,
  unit: Standing["unit"],
  key: string,
  tier: string
): Effect.Effect<ReadonlyArray<Standing>> => {
  const windows = plans[tier]
  if (limiter === undefined || windows === undefined) return Effect.succeed([])
  return Effect.match(limiter.snapshot(key, tier), {
    onFailure: () => [],
    onSuccess: (state): ReadonlyArray<Standing> => {
      if (state.windows !== undefined) return state.windows.map((each) => ({ key, tier, unit, ...each }))
      // A store that is far away tells of the tightest window only.
      const tightest = windows.find(({ limit }) => limit === state.limit) ?? windows[0]!
      const windowMs = Duration.toMillis(tightest.window as Duration.Duration)
      const resetsInMs = Math.round((windowMs * Math.max(0, state.limit - state.remaining)) / state.limit)
      return [{ key, tier, unit, limit: state.limit, remaining: state.remaining, windowMs, resetsInMs }]
    }
  })
}

/** The entries as they are when they are walked over. */
const copyOf = <K, V>(map: ReadonlyMap<K, V>): Iterable<readonly [K, V]> => ({
  [Symbol.iterator]: () => [...map].values()
})

/** Makes the limits of the tiers. */
export const make = (
  config: GatewayConfig,
  stores: Stores,
  kept: Kept
): Effect.Effect<Tiers, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const requestPlans = plansOf(config, "requests")
    const tokenPlans = plansOf(config, "tokens")
    const requests = yield* limiterOf(requestPlans, "gateway", stores, kept)
    const tokens = yield* limiterOf(tokenPlans, "gateway-tokens", stores, kept)
    const first = config.defaultTier ?? Object.keys(config.tiers ?? {})[0]
    const seen = new Map<string, string>()
    const see = (key: string, tier: string): void => {
      seen.delete(key)
      if (seen.size >= maxSeen) seen.delete(seen.keys().next().value!)
      seen.set(key, tier)
    }
    const of = ({ tier }: Principal): string | undefined =>
      tier !== undefined && Object.hasOwn(config.tiers ?? {}, tier) ? tier : first
    return {
      of,
      take: (principal) => {
        const plan = of(principal)
        if (plan === undefined) return Effect.succeed(undefined)
        see(principal.id, plan)
        if (requests === undefined || requestPlans[plan] === undefined) return Effect.succeed(undefined)
        return requests.consume(principal.id, { plan })
      },
      meter: (principal, tell) => {
        const plan = of(principal)
        if (tokens === undefined || plan === undefined || tokenPlans[plan] === undefined) return undefined
        return new Meter(tokens, principal.id, plan, Math.min(...tokenPlans[plan].map(({ limit }) => limit)), tell)
      },
      standings: Effect.map(
        Effect.forEach(copyOf(seen), ([key, tier]) =>
          Effect.zipWith(
            standing(requests, requestPlans, "requests", key, tier),
            standing(tokens, tokenPlans, "tokens", key, tier),
            (a, b) => [...a, ...b]
          )
        ),
        (all) => all.flat()
      )
    }
  })
