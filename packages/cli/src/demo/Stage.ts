/** Where the demonstration plays: the misbehaving upstream, or the real provider that the environment names. */
import { LLM, LLMProvider, Retry } from "@breakwater/core"
import { Catalog, HttpPool } from "@breakwater/providers"
import { Upstream } from "@breakwater/testing"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { SettingError } from "../Failure.ts"
import { load, type Loaded } from "../Settings.ts"
import { type Scene, sceneOf } from "./Faults.ts"

/** How one prompt is asked. */
interface Call {
  readonly scene: Scene | undefined
  /** Left out where the service's own targets are meant. */
  readonly model?: string
  readonly fallbacks?: ReadonlyArray<string>
}

export interface Stage {
  readonly mode: "upstream" | "real"
  /** The first line, for a reader. */
  readonly headline: string
  readonly targets: ReadonlyArray<string>
  readonly limits: string
  readonly llm: LLM.LLMService
  readonly callFor: (index: number) => Call
  /** Before each prompt: what fails once shall fail once again. */
  readonly reset: Effect.Effect<void>
  /** A client without policies, on an upstream of its own; only where the faults can be repeated. */
  readonly bare: ((index: number) => Effect.Effect<BareClient, unknown, Scope.Scope>) | undefined
}

interface BareClient {
  readonly provider: LLMProvider.Provider
  readonly model: string
}

/** The limits of the demonstration: those of an impatient reader. */
const limits = { firstToken: "1500 millis", idle: "1200 millis", attempt: "10 seconds", total: "20 seconds" } as const

const providersOf = (url: string, http: Context.Context<HttpClient.HttpClient>) => {
  const make = (catalog: Catalog.Name, name: string, baseUrl: string) =>
    Effect.map(
      Layer.build(
        Layer.provide(
          Catalog.fromName(catalog, { name, baseUrl, apiKey: Redacted.make("none-needed") }),
          Layer.succeedContext(http)
        )
      ),
      (context) => Context.get(context, LLMProvider.LLMProvider)
    )
  return {
    primary: make("openai-compatible", "primary", `${url}/v1`),
    backup: make("anthropic", "backup", url)
  }
}

/** The misbehaving upstream, in this process and over real HTTP: no key, no network. */
const upstream = (wordDelayMs: number): Effect.Effect<Stage, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* Layer.build(HttpPool.layer())
    const server = yield* Upstream.make({ wordDelay: wordDelayMs })
    const { backup, primary } = providersOf(server.url, http)
    const providers = LLMProvider.layerOf(yield* primary, yield* backup)
    const service = yield* Layer.build(
      LLM.layer({
        targets: ["primary/good", "backup/good"],
        retry: { schedule: Retry.exponential({ base: "250 millis", cap: "2 seconds" }), retries: 2 },
        retryBudget: "off",
        timeouts: limits,
        streamPolicy: "continue"
      }).pipe(Layer.provide([LLM.layerNoPolicies, providers]))
    )
    return {
      mode: "upstream",
      headline: "no key found, so a misbehaving server stands in",
      targets: ["primary (another fault for each prompt)", "backup (healthy)"],
      limits: "first token 1.5 s, silence 1.2 s, call 20 s; 2 retries; broken streams go on",
      llm: Context.get(service, LLM.LLM),
      callFor: (index) => {
        const scene = sceneOf(index)
        return { scene, model: `primary/${scene.model}`, fallbacks: ["backup/good"] }
      },
      reset: server.reset,
      bare: (index) =>
        Effect.gen(function* () {
          const own = yield* Upstream.make({ wordDelay: wordDelayMs })
          return { provider: yield* providersOf(own.url, http).primary, model: sceneOf(index).model }
        })
    }
  })

const defaultModels: Readonly<Record<string, string>> = {
  openai: "gpt-4.1-mini",
  anthropic: "claude-haiku-4-5",
  gemini: "gemini-2.5-flash",
  openrouter: "openai/gpt-4.1-mini",
  groq: "llama-3.3-70b-versatile"
}

/** The first model that a server lists: local servers serve what they have loaded. */
const firstModel = (baseUrl: string) =>
  HttpClient.get(`${baseUrl.replace(/\/+$/, "")}/models`).pipe(
    Effect.flatMap((response) => response.json),
    Effect.map((body) => (body as { data?: ReadonlyArray<{ id?: string }> }).data?.[0]?.id),
    Effect.timeout("5 seconds"),
    Effect.orElseSucceed(() => undefined)
  )

const modelFor = (provider: string, baseUrl: string | undefined) =>
  Effect.gen(function* () {
    const model = baseUrl === undefined ? defaultModels[provider] : yield* firstModel(baseUrl)
    return (
      model ??
      (yield* Effect.fail(new SettingError({ message: `LLM_MODEL is missing: no model of ${provider} is known` })))
    )
  })

/** The provider that the environment names. */
const real = (
  { options, preset, settings }: Loaded,
  baseUrl: string | undefined
): Effect.Effect<Stage, Config.ConfigError | SettingError, Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* Layer.build(HttpPool.layer())
    const shared = Layer.succeedContext(http)
    const targets =
      settings.targets.length > 0
        ? settings.targets
        : [`${settings.provider}/${yield* Effect.provide(modelFor(settings.provider, baseUrl), shared)}`]
    const service = yield* Layer.build(
      LLM.layer({ ...options, targets }).pipe(
        Layer.provide([LLM.layerPolicies(preset), Layer.provide(Catalog.layerConfig, shared)])
      )
    )
    const llm = Context.get(service, LLM.LLM)
    const plan = yield* Effect.orDie(llm.describe())
    return {
      mode: "real",
      headline: `the real thing: ${settings.provider}${baseUrl === undefined ? "" : ` at ${new URL(baseUrl).host}`}`,
      targets,
      limits:
        `at most ${plan.maxAttempts} attempts and ${Math.round(plan.maxDurationMs / 1000)} s a call; ` +
        `a broken stream: ${plan.streamPolicy}`,
      llm,
      callFor: () => ({ scene: undefined }),
      reset: Effect.void,
      bare: undefined
    }
  })

/** Chooses by the environment. */
export const choose = (wordDelayMs: number, baseUrl: string | undefined): Effect.Effect<Stage, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const loaded = yield* load({ defaultProvider: "upstream" })
    return yield* loaded.settings.provider === "upstream" ? upstream(wordDelayMs) : real(loaded, baseUrl)
  })
