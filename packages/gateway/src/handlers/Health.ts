/** `GET /health`: the process answers. `GET /ready`: it is worth sending requests to, and to whom it can send them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { Engine } from "../config/Build.ts"
import type { Exchange } from "../internal/Exchange.ts"

/** A provider as it was seen last. `reachable` is `null` where the address is the provider's own, and not asked. */
interface ProviderHealth {
  readonly reachable: boolean | null
  readonly tookMs?: number
}

type Providers = Readonly<Record<string, ProviderHealth>>

const kept = "5 seconds"
const seen = new WeakMap<Engine, Effect.Effect<Providers>>()

const addressOf = (provider: Engine["config"]["providers"][string]): string | undefined =>
  provider.baseUrl === undefined ? undefined : `${provider.baseUrl.replace(/\/+$/, "")}/models`

/** Any answer counts: the question is whether somebody is there. */
const ask = (engine: Engine, url: string): Effect.Effect<ProviderHealth> =>
  Effect.gen(function* () {
    const startedMs = yield* Clock.currentTimeMillis
    const reachable = yield* HttpClient.get(url).pipe(
      Effect.scoped,
      Effect.provideService(HttpClient.HttpClient, engine.http),
      Effect.timeout("2 seconds"),
      Effect.match({ onFailure: () => false, onSuccess: () => true })
    )
    return { reachable, tookMs: (yield* Clock.currentTimeMillis) - startedMs }
  })

const askAll = (engine: Engine): Effect.Effect<Providers> =>
  Effect.map(
    Effect.forEach(
      Object.entries(engine.config.providers),
      ([name, provider]) => {
        const url = addressOf(provider)
        const health = url === undefined ? Effect.succeed<ProviderHealth>({ reachable: null }) : ask(engine, url)
        return Effect.map(health, (each) => [name, each] as const)
      },
      { concurrency: 16 }
    ),
    (entries) => Object.fromEntries(entries)
  )

/** Asks every provider with an address of its own, once in five seconds however many want to know. */
export const providersOf = (engine: Engine): Effect.Effect<Providers> =>
  Effect.gen(function* () {
    const known = seen.get(engine) ?? (yield* Effect.cachedWithTTL(askAll(engine), kept))
    seen.set(engine, known)
    return yield* known
  })

export const health = (exchange: Exchange): Effect.Effect<void> => exchange.json(200, { status: "ok" })

/** Ready while the server takes requests and at least one provider may be there. */
export const ready =
  (isDraining: () => boolean) =>
  (exchange: Exchange): Effect.Effect<void> =>
    Effect.flatMap(providersOf(exchange.engine), (providers) => {
      const some = Object.values(providers).some((provider) => provider.reachable !== false)
      const status = isDraining() ? "draining" : some ? "ready" : "no provider is reachable"
      return exchange.json(status === "ready" ? 200 : 503, { status, providers })
    })
