import { LLMProvider } from "@breakwater/core"
import { Catalog, HttpPool } from "@breakwater/providers"
import { Upstream } from "@breakwater/testing"
import { describe, expect, it } from "@effect/vitest"
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

const environment = (variables: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))

const settingsOf = (variables: Record<string, string>, defaultProvider?: string) =>
  Catalog.settings(defaultProvider === undefined ? {} : { defaultProvider }).pipe(
    Effect.provide(environment(variables))
  )

const registryOf = (variables: Record<string, string>) =>
  LLMProvider.Providers.pipe(
    Effect.provide(Catalog.layerConfig),
    Effect.provide(HttpPool.layer()),
    Effect.provide(environment(variables))
  )

const problemOf = (effect: Effect.Effect<unknown, Config.ConfigError>) =>
  Effect.map(Effect.flip(effect), (error) => error.message)

describe("Catalog.fromName", () => {
  for (const name of Catalog.names) {
    it.effect(`makes ${name}`, () =>
      Effect.gen(function* () {
        const provider = yield* LLMProvider.LLMProvider.pipe(
          Effect.provide(Catalog.fromName(name, { apiKey: Redacted.make("k"), baseUrl: "http://127.0.0.1:1" })),
          Effect.provide(HttpPool.layer())
        )
        expect(provider.name).toBe(name)
      })
    )
  }

  it.effect("takes another name", () =>
    Effect.gen(function* () {
      const provider = yield* LLMProvider.LLMProvider.pipe(
        Effect.provide(Catalog.fromName("anthropic", { apiKey: Redacted.make("k"), name: "backup" })),
        Effect.provide(HttpPool.layer())
      )
      expect(provider.name).toBe("backup")
    })
  )

  it.effect("refuses a name that it does not know, and says which there are", () =>
    Effect.gen(function* () {
      const problem = yield* problemOf(
        Effect.scoped(Layer.build(Catalog.fromName("opnai").pipe(Layer.provide(HttpPool.layer()))))
      )
      expect(problem).toContain('provider is "opnai"; allowed: openai, anthropic')
    })
  )

  it.effect("needs an address for openai-compatible", () =>
    Effect.gen(function* () {
      const problem = yield* problemOf(
        Effect.scoped(Layer.build(Catalog.fromName("openai-compatible").pipe(Layer.provide(HttpPool.layer()))))
      )
      expect(problem).toContain("baseUrl is missing")
    })
  )
})

describe("Catalog.settings", () => {
  it.effect("LLM_PROVIDER comes first", () =>
    Effect.gen(function* () {
      const found = yield* settingsOf({ LLM_PROVIDER: "groq", OPENAI_API_KEY: "k", LLM_MODEL: "anthropic/claude-x" })
      expect(found).toEqual({
        provider: "groq",
        providers: ["groq", "anthropic"],
        targets: ["anthropic/claude-x"]
      })
    })
  )

  it.effect("then the provider of the model, then an address, then a key", () =>
    Effect.gen(function* () {
      const url = { LLM_BASE_URL: "http://localhost:1234/v1" }
      expect((yield* settingsOf({ ...url, OPENAI_API_KEY: "k", LLM_MODEL: "gemini/g" })).provider).toBe("gemini")
      expect((yield* settingsOf({ ...url, OPENAI_API_KEY: "k", LLM_MODEL: "g" })).provider).toBe("openai-compatible")
      expect((yield* settingsOf({ ANTHROPIC_API_KEY: "k", GROQ_API_KEY: "k" })).provider).toBe("anthropic")
      expect((yield* settingsOf({ GOOGLE_API_KEY: "k" })).provider).toBe("gemini")
      expect((yield* settingsOf({ OPENAI_API_KEY: " ", OPENROUTER_API_KEY: "k" })).provider).toBe("openrouter")
    })
  )

  it.effect("a default of the program comes last, and without one it is an error", () =>
    Effect.gen(function* () {
      expect((yield* settingsOf({ LLM_MODEL: "m" }, "any")).targets).toEqual(["any/m"])
      expect((yield* settingsOf({ LLM_MODEL: "m", GROQ_API_KEY: "k" }, "any")).targets).toEqual(["groq/m"])
      expect(yield* problemOf(settingsOf({ LLM_MODEL: "m" }))).toContain("LLM_PROVIDER is missing")
    })
  )

  it.effect("gives every target its provider, and keeps slashes of models", () =>
    Effect.gen(function* () {
      const found = yield* settingsOf({
        LLM_PROVIDER: "openrouter",
        LLM_MODEL: "meta-llama/llama-3.3-70b",
        LLM_FALLBACKS: "openrouter/openai/gpt-4.1, openai/gpt-4.1,mistral-small"
      })
      expect(found).toEqual({
        provider: "openrouter",
        providers: ["openrouter", "openai"],
        targets: [
          "openrouter/meta-llama/llama-3.3-70b",
          "openrouter/openai/gpt-4.1",
          "openai/gpt-4.1",
          "openrouter/mistral-small"
        ]
      })
    })
  )

  it.effect("refuses a provider that it does not know", () =>
    Effect.gen(function* () {
      expect(yield* problemOf(settingsOf({ LLM_PROVIDER: "opnai" }))).toContain(
        'LLM_PROVIDER is "opnai"; allowed: openai,'
      )
      expect(
        yield* problemOf(settingsOf({ OPENAI_API_KEY: "k", LLM_MODEL: "m", LLM_FALLBACKS: "antropic/c" }))
      ).toContain('LLM_FALLBACKS is "antropic/c"')
    })
  )
})

describe("Catalog.layerConfig", () => {
  it.effect("registers the provider first, and those the targets name", () =>
    Effect.gen(function* () {
      const registry = yield* registryOf({
        LLM_MODEL: "openai/gpt-4.1",
        LLM_API_KEY: "k",
        LLM_FALLBACKS: "anthropic/claude-x,ollama/llama3",
        ANTHROPIC_API_KEY: "k"
      })
      expect(registry.all.map((provider) => provider.name)).toEqual(["openai", "anthropic", "ollama"])
    })
  )

  it.effect("says which key is missing", () =>
    Effect.gen(function* () {
      const missing = (variables: Record<string, string>) => problemOf(registryOf(variables))
      expect(yield* missing({ LLM_MODEL: "openai/m" })).toContain("LLM_API_KEY or OPENAI_API_KEY is missing")
      const fallback = yield* missing({ LLM_MODEL: "openai/m", OPENAI_API_KEY: "k", LLM_FALLBACKS: "anthropic/c" })
      expect(fallback).toContain("ANTHROPIC_API_KEY is missing")
      const router = yield* missing({ LLM_PROVIDER: "openrouter", OPENROUTER_API_KEY: "k", LLM_MODEL: "openai/m" })
      expect(router).toContain("openrouter/openai/…")
    })
  )

  it.effect("does not need a provider that no target asks for", () =>
    Effect.gen(function* () {
      const registry = yield* registryOf({ LLM_PROVIDER: "openai", LLM_MODEL: "ollama/llama3" })
      expect(registry.all.map((provider) => provider.name)).toEqual(["ollama"])
    })
  )

  it.effect("refuses an address that is none, and a key that cannot be sent, without repeating it", () =>
    Effect.gen(function* () {
      const url = yield* problemOf(registryOf({ LLM_PROVIDER: "ollama", LLM_BASE_URL: "localhost:1234" }))
      expect(url).toContain('LLM_BASE_URL is "localhost:1234"; allowed: an http or https URL')
      const key = yield* problemOf(registryOf({ LLM_PROVIDER: "openai", LLM_API_KEY: "geheim nicht" }))
      expect(key).toContain("LLM_API_KEY is not a key")
      expect(key).not.toContain("geheim")
      expect(yield* problemOf(registryOf({ LLM_PROVIDER: "openai-compatible" }))).toContain("LLM_BASE_URL is missing")
    })
  )

  it.live("sends LLM_API_KEY to LLM_BASE_URL", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const variables = { LLM_BASE_URL: `${upstream.url}/v1`, LLM_API_KEY: "secret-1234", LLM_MODEL: "good" }
      const context = yield* Layer.build(Layer.provide(Catalog.layerConfig, [HttpPool.layer(), environment(variables)]))
      const registry = Context.get(context, LLMProvider.Providers)
      yield* registry.all[0]!.generate({ model: "good", messages: [{ role: "user", content: "hello" }] })
      const stats = yield* upstream.stats
      expect(stats.byClient).toEqual({ "…1234": 1 })
    }).pipe(Effect.scoped)
  )
})

describe("Catalog.addressOf", () => {
  for (const name of Catalog.names) {
    const address = Catalog.addressOf(name)
    if (address === undefined) continue
    it.effect(`is where ${name} is asked that is given no other`, () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const client = HttpClient.make((request) => {
          asked.push(request.url)
          return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}", { status: 500 })))
        })
        const provider = yield* LLMProvider.LLMProvider.pipe(
          Effect.provide(Catalog.fromName(name, { apiKey: Redacted.make("k") })),
          Effect.provideService(HttpClient.HttpClient, client)
        )
        yield* Effect.flip(provider.generate({ model: "m", messages: [{ role: "user", content: "?" }] }))
        expect(asked[0]).toMatch(new RegExp(`^${address.replaceAll(".", "\\.")}/`))
      })
    )
  }

  it("is nowhere for servers that could be anywhere", () => {
    expect(Catalog.addressOf("openai-compatible")).toBeUndefined()
    expect(Catalog.addressOf("azure")).toBeUndefined()
  })
})
