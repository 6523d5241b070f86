import { LLM, LLMConfig, LLMProvider } from "@breakwater/core"
import { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const load = (env: Record<string, string>) =>
  LLMConfig.load.pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))

describe("LLM_* variables", () => {
  it.effect("set targets, retries, timeouts and defaults", () =>
    Effect.gen(function* () {
      const options = yield* load({
        LLM_MODEL: "a/m",
        LLM_FALLBACKS: "b/n, c/o",
        LLM_PRESET: "batch",
        LLM_TIMEOUT: "90",
        LLM_FIRST_TOKEN_TIMEOUT: "1500ms",
        LLM_MAX_RETRIES: "7",
        LLM_MAX_ATTEMPTS: "9",
        LLM_STREAM_POLICY: "continue",
        LLM_STRICT: "true",
        LLM_TEMPERATURE: "0.2",
        LLM_MAX_TOKENS: "100"
      })
      assert.deepStrictEqual(options.targets, ["a/m", "b/n", "c/o"])
      assert.strictEqual(options.retry?.retries, 7)
      assert.strictEqual(options.maxAttempts, 9)
      assert.strictEqual(options.streamPolicy, "continue")
      assert.strictEqual(options.strict, true)
      assert.deepStrictEqual(options.defaults, { temperature: 0.2, maxTokens: 100 })
      assert.deepStrictEqual(options.timeouts?.total, Duration.seconds(90))
      assert.deepStrictEqual(options.timeouts?.firstToken, Duration.millis(1500))
      assert.deepStrictEqual(options.timeouts?.idle, Duration.seconds(60))
    })
  )

  it.effect.each([
    ["LLM_PRESET", "fast"],
    ["LLM_MODEL", "my model"],
    ["LLM_FALLBACKS", "a/m,,b/n"],
    ["LLM_TIMEOUT", "-3s"],
    ["LLM_TIMEOUT", "NaN"],
    ["LLM_TIMEOUT", "25h"],
    ["LLM_IDLE_TIMEOUT", "soon"],
    ["LLM_MAX_RETRIES", "-1"],
    ["LLM_MAX_RETRIES", "1e3"],
    ["LLM_MAX_ATTEMPTS", "0"],
    ["LLM_STREAM_POLICY", "pause"],
    ["LLM_STRICT", "perhaps"],
    ["LLM_TEMPERATURE", "2.5"],
    ["LLM_MAX_TOKENS", "0"]
  ])("%s=%s is refused: variable, value and range are named", ([name, value]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(load({ LLM_MODEL: "a/m", [name!]: value! }))
      const allowed = LLMConfig.variables.find((variable) => variable.name === name)!.allowed
      assert.include(error.message, name!)
      assert.include(error.message, JSON.stringify(value))
      assert.include(error.message, allowed)
    })
  )

  it.effect("without LLM_MODEL the Layer says what is missing", () =>
    Effect.gen(function* () {
      const providers = LLMProvider.layer(ScriptedProvider.layer({ name: "a", script: ["x"] }))
      const layer = LLM.layerConfig().pipe(Layer.provide(LLM.layerNoPolicies), Layer.provide(providers))
      const error = yield* Effect.flip(
        Layer.build(layer).pipe(
          Effect.scoped,
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: {} }))
        )
      )
      assert.include(error.message, "targets")
    })
  )

  it("durations are read as people write them", () => {
    const seconds = (text: string) => {
      const duration = LLMConfig.parseDuration(text)
      return duration === undefined ? undefined : Duration.toSeconds(duration)
    }
    assert.deepStrictEqual(
      ["30s", "30", "500ms", "1.5 minutes", "2h", "", "s", "1d", "-1s", "0", "1e3s", "99999999999"].map(seconds),
      [30, 30, 0.5, 90, 7200, undefined, undefined, undefined, undefined, undefined, undefined, undefined]
    )
  })
})
