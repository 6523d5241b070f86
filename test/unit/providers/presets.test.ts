import { assert, describe, it } from "@effect/vitest"
import { LLMProvider } from "@breakwater/core"
import {
  Azure,
  Groq,
  HttpPool,
  HuggingFace,
  LlamaCpp,
  LMStudio,
  Ollama,
  OpenAI,
  OpenAICompatible,
  OpenRouter,
  SambaNova,
  Together,
  VLLM
} from "@breakwater/providers"
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

/** A client that answers everything with one turn, and keeps what it was asked. */
const recording = () => {
  const asked: Array<HttpClientRequest.HttpClientRequest> = []
  const body = JSON.stringify({ choices: [{ message: { content: "ok" }, finish_reason: "stop" }] })
  const client = HttpClient.make((request) => {
    asked.push(request)
    return Effect.succeed(
      HttpClientResponse.fromWeb(request, new Response(body, { headers: { "content-type": "application/json" } }))
    )
  })
  return { asked, client: Layer.succeed(HttpClient.HttpClient, client) }
}

type ProviderLayer = Layer.Layer<LLMProvider.LLMProvider, Config.ConfigError, HttpClient.HttpClient>

const withEnv = <A, E, R>(env: Readonly<Record<string, string>>, effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, ConfigProvider.layer(ConfigProvider.fromEnv({ env })))

/** The first request a provider of this Layer makes, in this environment. */
const firstRequest = (layer: ProviderLayer, env: Readonly<Record<string, string>> = {}) => {
  const { asked, client } = recording()
  return withEnv(
    env,
    Effect.gen(function* () {
      const provider = yield* LLMProvider.LLMProvider
      yield* provider.generate({ model: "a/model", messages: [{ role: "user", content: "x" }], maxTokens: 5 })
      assert.strictEqual(asked.length, 1)
      return { provider, url: asked[0]!.url, headers: asked[0]!.headers, request: asked[0]! }
    }).pipe(Effect.provide(Layer.provide(layer, client)))
  )
}

/** What a Layer refuses to be made for. */
const refusal = (layer: ProviderLayer, env: Readonly<Record<string, string>> = {}) =>
  withEnv(env, Effect.flip(Effect.scoped(Layer.build(Layer.provide(layer, recording().client))))).pipe(
    Effect.map((error) => String(error))
  )

const hosted = [
  ["openai", OpenAI, "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"],
  ["openrouter", OpenRouter, "OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"],
  ["huggingface", HuggingFace, "HF_TOKEN", "HF_BASE_URL", "https://router.huggingface.co/v1"],
  ["sambanova", SambaNova, "SAMBANOVA_API_KEY", "SAMBANOVA_BASE_URL", "https://api.sambanova.ai/v1"],
  ["groq", Groq, "GROQ_API_KEY", "GROQ_BASE_URL", "https://api.groq.com/openai/v1"],
  ["together", Together, "TOGETHER_API_KEY", "TOGETHER_BASE_URL", "https://api.together.xyz/v1"]
] as const

const local = [
  ["lmstudio", LMStudio, "LMSTUDIO_BASE_URL", "http://localhost:1234/v1"],
  ["ollama", Ollama, "OLLAMA_BASE_URL", "http://localhost:11434/v1"],
  ["llamacpp", LlamaCpp, "LLAMACPP_BASE_URL", "http://localhost:8080/v1"],
  ["vllm", VLLM, "VLLM_BASE_URL", "http://localhost:8000/v1"]
] as const

describe("hosted presets", () => {
  for (const [name, preset, keyVariable, urlVariable, url] of hosted) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const plain = yield* firstRequest(preset.layerConfig(), { [keyVariable]: "k1" })
        assert.strictEqual(plain.provider.name, name)
        assert.strictEqual(plain.url, `${url}/chat/completions`)
        assert.strictEqual(plain.headers["authorization"], "Bearer k1")
        const moved = yield* firstRequest(preset.layerConfig({ apiKey: Redacted.make("k2") }), {
          [keyVariable]: "k1",
          [urlVariable]: "http://127.0.0.1:9/api/"
        })
        assert.strictEqual(moved.url, "http://127.0.0.1:9/api/chat/completions")
        assert.strictEqual(moved.headers["authorization"], "Bearer k2")
        assert.include(yield* refusal(preset.layerConfig()), keyVariable)
        assert.include(yield* refusal(preset.layerConfig(), { [keyVariable]: "" }), keyVariable)
        assert.include(
          yield* refusal(preset.layerConfig(), { [keyVariable]: "k", [urlVariable]: "nonsense" }),
          urlVariable
        )
        assert.include(yield* refusal(preset.layer()), "apiKey")
      })
    )
  }
})

describe("local presets need no key", () => {
  for (const [name, preset, urlVariable, url] of local) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const plain = yield* firstRequest(preset.layerConfig())
        assert.strictEqual(plain.provider.name, name)
        assert.strictEqual(plain.url, `${url}/chat/completions`)
        assert.notProperty(plain.headers, "authorization")
        const moved = yield* firstRequest(preset.layerConfig(), { [urlVariable]: "http://10.0.0.1/v1" })
        assert.strictEqual(moved.url, "http://10.0.0.1/v1/chat/completions")
      })
    )
  }
})

describe("Azure", () => {
  const env = { AZURE_OPENAI_API_KEY: "k", AZURE_OPENAI_BASE_URL: "https://r.openai.azure.com/" }

  it.effect("asks a deployment, with its own header and version", () =>
    Effect.gen(function* () {
      const plain = yield* firstRequest(Azure.layerConfig(), env)
      assert.strictEqual(
        plain.url,
        "https://r.openai.azure.com/openai/deployments/a%2Fmodel/chat/completions?api-version=2024-10-21"
      )
      assert.strictEqual(plain.headers["api-key"], "k")
      assert.notProperty(plain.headers, "authorization")
      const newer = yield* firstRequest(Azure.layerConfig(), { ...env, AZURE_OPENAI_API_VERSION: "2025-03-01-preview" })
      assert.include(newer.url, "api-version=2025-03-01-preview")
    })
  )

  it.effect("names what is missing or wrong", () =>
    Effect.gen(function* () {
      assert.include(yield* refusal(Azure.layerConfig(), { AZURE_OPENAI_API_KEY: "k" }), "baseUrl")
      assert.include(yield* refusal(Azure.layerConfig({ apiVersion: "latest" }), env), "apiVersion")
    })
  )
})

it.effect("several keys in one variable take turns", () =>
  Effect.gen(function* () {
    const { asked, client } = recording()
    yield* Effect.gen(function* () {
      const provider = yield* LLMProvider.LLMProvider
      for (let i = 0; i < 3; i++) yield* provider.generate({ model: "m", messages: [] })
    }).pipe(Effect.provide(Layer.provide(OpenAI.layerConfig(), client)), (effect) =>
      withEnv({ OPENAI_API_KEY: "k1, k2" }, effect)
    )
    assert.deepStrictEqual(
      asked.map((request) => request.headers["authorization"]),
      ["Bearer k1", "Bearer k2", "Bearer k1"]
    )
  })
)

describe("wrong options are refused when the provider is made", () => {
  const good: OpenAICompatible.Options = { name: "x", baseUrl: "https://x.test/v1" }
  const rows: ReadonlyArray<readonly [field: string, options: Partial<OpenAICompatible.Options>]> = [
    ["name", { name: "" }],
    ["name", { name: "a/b" }],
    ["baseUrl", { baseUrl: "x.test" }],
    ["baseUrl", { baseUrl: "ftp://x.test" }],
    ["baseUrl", { baseUrl: "https://user:secret@x.test" }],
    ["baseUrl", { baseUrl: "https://x.test?key=secret" }],
    ["apiKey", { requiresKey: true }],
    ["apiKey", { requiresKey: true, apiKey: [] }],
    ["apiKey", { apiKey: Redacted.make("") }],
    ["apiKey", { apiKey: Redacted.make("secret\nx: y") }],
    ["headers", { headers: { "a b": "c" } }],
    ["headers.a", { headers: { a: "secret\r\nb: c" } }],
    ["keySetAside", { keySetAside: NaN }],
    ["keySetAside", { keySetAside: -1 }],
    ["keySetAside", { keySetAside: "2 days" }],
    ["maxBodyBytes", { maxBodyBytes: Infinity }],
    ["maxEventBytes", { maxEventBytes: 0 }]
  ]
  for (const [field, options] of rows) {
    it.effect(`${field}: ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const message = yield* refusal(OpenAICompatible.layer({ ...good, ...options }))
        assert.include(message, `${field} is `)
        assert.notInclude(message, "secret")
      })
    )
  }

  for (const options of [
    { connections: 0 },
    { connections: 1.5 },
    { connectTimeout: 0 },
    { keepAlive: NaN },
    { keepAlive: Infinity }
  ]) {
    it.effect(`HttpPool: ${JSON.stringify(options)} ${Object.keys(options)[0]}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(HttpPool.layer(options))))
        assert.include(String(error), Object.keys(options)[0]!)
      })
    )
  }
})

describe("the request", () => {
  it.effect("organisation, project and headers are sent; OpenAI's own field names are used", () =>
    Effect.gen(function* () {
      const { headers, request } = yield* firstRequest(
        OpenAI.layer({ apiKey: Redacted.make("k"), organization: "o", project: "p", headers: { "x-a": "1" } })
      )
      assert.deepInclude(headers, { "openai-organization": "o", "openai-project": "p", "x-a": "1" })
      const body = request.body
      const text = body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
      assert.strictEqual((JSON.parse(text) as Record<string, unknown>)["max_completion_tokens"], 5)
    })
  )

  it.effect("what JSON cannot hold is an InvalidRequestError, and nothing is sent", () =>
    Effect.gen(function* () {
      const { asked, client } = recording()
      const provider = yield* Effect.provide(OpenAICompatible.make({ name: "x", baseUrl: "https://x.test" }), client)
      const error = yield* Effect.flip(provider.generate({ model: "m", messages: [], extra: { big: 1n } }))
      assert.strictEqual(error._tag, "InvalidRequestError")
      assert.strictEqual(asked.length, 0)
    })
  )

  it.effect("keys do not show in the provider, its errors or the configuration", () =>
    Effect.gen(function* () {
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response("Odd header: top-secret-key", { status: 422 })))
      )
      const provider = yield* Effect.provideService(
        OpenAICompatible.make({ name: "x", baseUrl: "https://x.test", apiKey: Redacted.make("top-secret-key") }),
        HttpClient.HttpClient,
        client
      )
      const error = yield* Effect.flip(provider.generate({ model: "m", messages: [] }))
      assert.notInclude(JSON.stringify([provider, error]) + String(error) + error.message, "top-secret-key")
    })
  )
})

describe("capabilities", () => {
  it.effect("by the model, or for all", () =>
    Effect.gen(function* () {
      const { provider } = yield* firstRequest(OpenAI.layer({ apiKey: Redacted.make("k") }))
      assert.strictEqual(provider.capabilities("gpt-4o-mini").contextWindow, 128_000)
      assert.strictEqual(provider.capabilities("gpt-4o-mini").prefill, false)
      assert.strictEqual(provider.capabilities("text-embedding-3-small").embeddings, true)
      assert.strictEqual(provider.capabilities("unheard-of").contextWindow, undefined)
      const own = yield* firstRequest(Ollama.layer({ capabilities: { contextWindow: 4096 } }))
      assert.deepStrictEqual(own.provider.capabilities("x"), { contextWindow: 4096 })
    })
  )
})
