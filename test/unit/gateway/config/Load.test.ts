import { GatewayConfig, Load } from "@breakwater/gateway"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { masked } from "../../../../packages/gateway/src/handlers/Admin.ts"

const p = { type: "openai-compatible" as const, baseUrl: "http://127.0.0.1:9900/v1", apiKey: "x" }
const issues = (config: unknown) => Effect.map(Effect.flip(Load.decode(config)), (error) => error.issues.join("\n"))

describe("a configuration", () => {
  it.effect("needs no more than a provider", () =>
    Effect.gen(function* () {
      const config = yield* Load.decode({ providers: { p } })
      assert.deepStrictEqual(config, { providers: { p } })
    })
  )

  it.effect("is refused with the path of everything that is wrong", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [config: unknown, path: RegExp]> = [
        [{}, /^providers:/],
        [{ providers: {} }, /^providers: there must be at least one/],
        [{ providers: { p: { type: "nobody" } } }, /^providers\.p\.type:/],
        [{ providers: { p: { type: "openai-compatible" } } }, /^providers\.p\.baseUrl: it is missing/],
        [{ providers: { "a/b": p } }, /a\/b/],
        [{ providers: { p }, defaults: { retries: -1 } }, /^defaults\.retries:/],
        [{ providers: { p }, defaults: { timeouts: { total: "soon" } } }, /^defaults\.timeouts\.total:/],
        [{ providers: { p }, defaults: { retires: 1 } }, /^defaults\.retires:/],
        [{ providers: { p }, routes: { r: { targets: [] } } }, /^routes\.r\.targets:/],
        [
          { providers: { p, q: p }, routes: { r: { targets: ["z/m"] } } },
          /^routes\.r\.targets\[0\]: "z\/m" names no provider/
        ],
        [{ providers: { p, q: p }, aliases: { a: "z/m" } }, /^aliases\.a:/],
        [{ providers: { p }, defaultTier: "gold" }, /^defaultTier: there is no tier "gold"/],
        [{ providers: { p }, auth: { keys: [{ id: "a", hash: "short" }] } }, /^auth\.keys\[0\]\.hash:/],
        [{ providers: { p }, auth: { jwt: { algorithms: ["none"], secret: "x" } } }, /^auth\.jwt\.algorithms\[0\]:/],
        [
          { providers: { p }, auth: { jwt: { algorithms: ["HS256"], jwksUrl: "https://a" } } },
          /^auth\.jwt\.algorithms:/
        ],
        [{ providers: { p }, auth: { jwt: { algorithms: ["RS256"] } } }, /^auth\.jwt: exactly one/]
      ]
      for (const [config, path] of cases) assert.match(yield* issues(config), path, JSON.stringify(config))
      const several = yield* issues({ providers: { p }, defaults: { retries: "x", strict: 1 } })
      assert.strictEqual(several.split("\n").length, 2)
    })
  )

  it("has a JSON schema with every field", () => {
    const schema = GatewayConfig.jsonSchema() as {
      properties: object
      required: ReadonlyArray<string>
      additionalProperties: unknown
    }
    assert.includeMembers(Object.keys(schema.properties), ["providers", "routes", "aliases", "auth", "limits", "tiers"])
    assert.deepStrictEqual(schema.required, ["providers"])
    assert.include(JSON.stringify(schema), '"streamPolicy":{"type":"string","enum":["fail","continue","buffer"],')
    assert.strictEqual(schema.additionalProperties, false)
  })

  it.effect("comes from the environment", () =>
    Effect.gen(function* () {
      const environment = {
        LLM_MODEL: "openai/gpt-x",
        LLM_FALLBACKS: "groq/fast",
        LLM_API_KEY: "k",
        LLM_MAX_RETRIES: "1",
        LLM_TIMEOUT: "20s"
      }
      const config = yield* Load.loadEnvironment.pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
      )
      assert.deepStrictEqual(config.providers, {
        openai: { type: "openai", apiKey: { env: "LLM_API_KEY" } },
        groq: { type: "groq" }
      })
      assert.deepStrictEqual(config.routes, { default: { targets: ["openai/gpt-x", "groq/fast"] } })
      assert.strictEqual(config.defaults?.retries, 1)
      assert.strictEqual(config.defaults?.timeouts?.total, 20)
    })
  )

  it.effect("comes from the providers' own variables, too", () =>
    Effect.gen(function* () {
      const environment = {
        LLM_PROVIDER: "openai",
        LLM_FALLBACKS: "huggingface/small,gemini/flash",
        OPENAI_API_KEY: "k",
        OPENAI_BASE_URL: "http://127.0.0.1:1/v1",
        HF_TOKEN: "h",
        GOOGLE_API_KEY: "g"
      }
      const { providers } = yield* Load.loadEnvironment.pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
      )
      assert.deepStrictEqual(providers, {
        openai: { type: "openai", baseUrl: "http://127.0.0.1:1/v1", apiKey: { env: "OPENAI_API_KEY" } },
        huggingface: { type: "huggingface", apiKey: { env: "HF_TOKEN" } },
        gemini: { type: "gemini", apiKey: { env: "GOOGLE_API_KEY" } }
      })
    })
  )

  it("is shown without its secrets", () => {
    const shown = masked({
      providers: { p, q: { apiKey: { env: "NAME" } }, r: { apiKey: ["a", { env: "B" }] } },
      auth: { keys: [{ id: "a", hash: "h" }], jwt: { secret: "s" } }
    })
    assert.deepStrictEqual(shown, {
      providers: { p: { ...p, apiKey: "***" }, q: { apiKey: { env: "NAME" } }, r: { apiKey: ["***", { env: "B" }] } },
      auth: { keys: [{ id: "a", hash: "***" }], jwt: { secret: "***" } }
    })
  })
})
