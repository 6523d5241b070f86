/** Tables of what a program is set by: variables, providers, and everything that has a name. */
import { LLMConfig, LLMProvider, Presets, RateLimiter, Retry, Timeout } from "@breakwater/core"
import * as Providers from "@breakwater/providers"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { code, inWords, list, shown, table } from "./format.ts"
import { membersOf } from "./source.ts"

/** The variables of the service. */
export const variables = (): string =>
  table(
    ["variable", "what it is", "allowed", "default"],
    LLMConfig.variables.map((each) => [code(each.name), each.what, each.allowed, each.default])
  )

const { Catalog } = Providers

const modules: Readonly<
  Record<Exclude<Providers.Catalog.Name, "openai-compatible">, Pick<typeof Providers.OpenAI, "layerConfig">>
> = {
  openai: Providers.OpenAI,
  anthropic: Providers.Anthropic as Pick<typeof Providers.OpenAI, "layerConfig">,
  gemini: Providers.Gemini as Pick<typeof Providers.OpenAI, "layerConfig">,
  openrouter: Providers.OpenRouter,
  azure: Providers.Azure as Pick<typeof Providers.OpenAI, "layerConfig">,
  groq: Providers.Groq,
  together: Providers.Together,
  sambanova: Providers.SambaNova,
  huggingface: Providers.HuggingFace,
  ollama: Providers.Ollama,
  lmstudio: Providers.LMStudio,
  llamacpp: Providers.LlamaCpp,
  vllm: Providers.VLLM
}

/** A client that notes where it was to send, and sends nothing. */
const client = (sent: Array<string>) =>
  HttpClient.make((_, url) => {
    sent.push(url.href)
    return Effect.never
  })

/** The variables a provider really reads: with none of them set, and with all. */
const readBy = (layer: Layer.Layer<LLMProvider.LLMProvider, unknown, HttpClient.HttpClient>): ReadonlyArray<string> => {
  const read = new Set<string>()
  for (const set of [false, true]) {
    const config = ConfigProvider.make((path) => {
      const name = path.join("_")
      read.add(name)
      if (!set || name.endsWith("_VERSION")) return Effect.succeed(undefined)
      return Effect.succeed(ConfigProvider.makeValue(name.endsWith("_URL") ? "https://provider.invalid" : "a-key"))
    })
    const built = Layer.build(layer).pipe(
      Effect.provideService(HttpClient.HttpClient, client([])),
      Effect.provideService(ConfigProvider.ConfigProvider, config)
    )
    Effect.runSyncExit(Effect.scoped(built))
  }
  return [...read]
}

/** Where a provider sends a chat when no address is set; `undefined` for one that must be told. */
const addressOf = (name: string): string | undefined => {
  const sent: Array<string> = []
  const key = Redacted.make("a-key")
  const ask = Effect.flatMap(LLMProvider.LLMProvider, (provider) =>
    provider.generate({ model: "model", messages: [{ role: "user", content: "hello" }] })
  ).pipe(
    Effect.provide(Catalog.fromName(name, { apiKey: key })),
    Effect.provideService(HttpClient.HttpClient, client(sent))
  )
  const fiber = Effect.runFork(Effect.scoped(ask))
  fiber.interruptUnsafe()
  return sent[0]
}

/** The providers, the variables they read, and where they send. */
export const providers = (): string =>
  table(
    ["provider", "variables", "asks"],
    Object.entries(modules).map(([name, module]) => [
      code(name),
      list(readBy(module.layerConfig())),
      addressOf(name) === undefined ? "must be told" : code(addressOf(name)!)
    ])
  )

/** What each preset of the service brings. */
export const presets = (): string => {
  const row = (what: string, of: (name: Presets.PresetName) => unknown): ReadonlyArray<string> => [
    what,
    ...Presets.names.map((name) => {
      const value = of(name)
      return typeof value === "number" ? inWords(value) : shown(value)
    })
  ]
  const retry = (name: Presets.PresetName) => Retry.make(Presets.presets[name].retry)
  const limits = (name: Presets.PresetName) => Timeout.make(Presets.presets[name].timeouts)
  return table(
    ["", ...Presets.names.map(code)],
    [
      ["retries", ...Presets.names.map((name) => String(retry(name).retries))],
      row("backoff of a call at most", (name) => Retry.worstBackoffMs(retry(name))),
      row("longest hint waited for", (name) => retry(name).maxHint),
      row("connect", (name) => limits(name).connect),
      row("first token", (name) => limits(name).firstToken),
      row("idle", (name) => limits(name).idle),
      row("attempt", (name) => limits(name).attempt),
      row("the whole call", (name) => limits(name).total),
      row("a broken stream", (name) => Presets.presets[name].streamPolicy),
      row("strict", (name) => Presets.presets[name].strict),
      row("longest wait for a quota", (name) => Presets.policies[name].quota.maxWait)
    ]
  )
}

/** The named retry policies, with what their doc comments say of the delays. */
export const retryPresets = (): string => {
  const comments = membersOf("core/src/policy/Retry.ts", "presets")
  return table(
    ["preset", "what it is", "retries", "longest hint waited for", "backoff of a call at most"],
    Object.entries(Retry.presets).map(([name, policy]) => [
      code(name),
      comments.get(name) ?? "",
      String(policy.retries),
      shown(policy.maxHint),
      inWords(Retry.worstBackoffMs(policy) ?? Infinity)
    ])
  )
}

/** The named limits in time. */
export const timeoutPresets = (): string =>
  table(
    ["preset", "connect", "first token", "idle", "attempt", "total"],
    Object.entries(Timeout.presets).map(([name, preset]) => {
      const { attempt, connect, firstToken, idle, total } = Timeout.make(preset)
      return [code(name), ...[connect, firstToken, idle, attempt, total].map(inWords)]
    })
  )

/** The limiter's plans. */
export const limiterPlans = (): string =>
  table(
    ["plan", ...RateLimiter.plans.free.map(({ window }) => `in ${shown(window)}`)],
    Object.entries(RateLimiter.plans).map(([name, windows]) => [
      code(name),
      ...windows.map(({ limit }) => shown(limit))
    ])
  )
