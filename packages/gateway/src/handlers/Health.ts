/**
 * `GET /health`: the process answers. `GET /ready`: it is worth sending requests to; whom it can reach, and in what time.
 *
 * Everything is looked at at most once in five seconds, however many want to know, and for two seconds at the longest.
 */
import { Catalog } from "@breakwater/providers"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { Engine } from "../config/Build.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { type Asked, askedOf } from "./Question.ts"

/** Somebody as they were seen last. `reachable` is `null` where there is no address to ask at. */
export interface Seen {
  readonly reachable: boolean | null
  readonly tookMs?: number
}

type All = Readonly<Record<string, Seen>>

const kept = "5 seconds"
const longest = "2 seconds"

const timed = (question: Effect.Effect<unknown, unknown>): Effect.Effect<Seen> =>
  Effect.gen(function* () {
    const startedNanos = yield* Clock.monotonicTimeNanos
    const reachable = yield* Effect.match(Effect.timeout(question, longest), {
      onFailure: () => false,
      onSuccess: () => true
    })
    const tookMs = Math.round(Number((yield* Clock.monotonicTimeNanos) - startedNanos) / 10_000) / 100
    return { reachable, tookMs }
  })

const each = (questions: Iterable<readonly [name: string, question: Effect.Effect<Seen>]>): Effect.Effect<All> =>
  Effect.map(
    Effect.forEach(questions, ([name, question]) => Effect.map(question, (seen) => [name, seen] as const), {
      concurrency: 16
    }),
    (entries) => Object.fromEntries(entries)
  )

const addressOf = ({ baseUrl, type }: Engine["config"]["providers"][string]): string | undefined => {
  const address = baseUrl ?? Catalog.addressOf(type)
  return address === undefined ? undefined : `${address.replace(/\/+$/, "")}/models`
}

/** Any answer counts, without a key: the question is whether somebody is there. */
const ask = ({ http }: Engine, url: string): Effect.Effect<Seen> =>
  timed(Effect.scoped(Effect.provideService(HttpClient.get(url), HttpClient.HttpClient, http)))

const askProviders = (engine: Engine): Effect.Effect<All> =>
  each(
    Object.entries(engine.config.providers).map(([name, provider]) => {
      const url = addressOf(provider)
      return [name, url === undefined ? Effect.succeed<Seen>({ reachable: null }) : ask(engine, url)] as const
    })
  )

/** Asks once in five seconds, however many want to know. */
const once = (look: (engine: Engine) => Effect.Effect<All>): ((engine: Engine) => Effect.Effect<All>) => {
  const seen = new WeakMap<Engine, Effect.Effect<All>>()
  return (engine) =>
    Effect.gen(function* () {
      const known = seen.get(engine) ?? (yield* Effect.cachedWithTTL(look(engine), kept))
      seen.set(engine, known)
      return yield* known
    })
}

/** Every provider, at its address. */
export const providersOf = once(askProviders)

/** Every store that is somewhere else. */
export const storesOf = once((engine) => each([...engine.stores].map(([name, ping]) => [name, timed(ping)] as const)))

export const health = (exchange: Exchange): Effect.Effect<void> => exchange.json(200, { status: "ok" })

const statusOf = (isDraining: boolean, providers: All, asked: Asked | undefined): string => {
  if (isDraining) return "draining"
  if (Object.values(providers).every(({ reachable }) => reachable === false)) return "no provider is reachable"
  return asked?.ok === false ? "the model that is asked does not answer" : "ready"
}

/**
 * Ready while the server takes requests, a provider may be there, and the model of `ready.ask` answers. A store that is
 * away is told of, and is no reason to send requests elsewhere: the others have lost it too.
 */
export const ready =
  (isDraining: () => boolean) =>
  (exchange: Exchange): Effect.Effect<void> =>
    Effect.gen(function* () {
      const { engine } = exchange
      const [providers, stores, asked] = yield* Effect.all([providersOf(engine), storesOf(engine), askedOf(engine)], {
        concurrency: 3
      })
      const status = statusOf(isDraining(), providers, asked)
      const body = { status, providers, stores, ...(asked === undefined ? {} : { asked }) }
      return yield* exchange.json(status === "ready" ? 200 : 503, body)
    })
