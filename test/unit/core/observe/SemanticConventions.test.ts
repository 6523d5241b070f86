/** Our names against those that OpenTelemetry has published. */
import { Metrics } from "@breakwater/core"
import * as Incubating from "@opentelemetry/semantic-conventions/incubating"
import { assert, describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { finishReason, operationName, providerName } from "../../../../packages/core/src/internal/genAi.ts"

const published = Object.entries(Incubating) as ReadonlyArray<readonly [string, unknown]>
const valuesOf = (prefix: string): ReadonlyArray<string> =>
  published
    .filter(([name, value]) => name.startsWith(prefix) && typeof value === "string")
    .map(([, value]) => String(value))

const source = readFileSync(new URL("../../../../packages/core/src/observe/Spans.ts", import.meta.url), "utf8")
const attributes = Array.from(
  new Set(
    Array.from(source.matchAll(/\b(?:request\.attribute|span\.attribute|set)\(\s*"([^"]+)"/g), ([, name]) => name!)
  )
)

/** What a span by the conventions may have and ours has, by the published constant. */
const expected: Readonly<Record<string, string>> = {
  ATTR_GEN_AI_OPERATION_NAME: "gen_ai.operation.name",
  ATTR_GEN_AI_PROVIDER_NAME: "gen_ai.provider.name",
  ATTR_GEN_AI_REQUEST_MODEL: "gen_ai.request.model",
  ATTR_GEN_AI_REQUEST_STREAM: "gen_ai.request.stream",
  ATTR_GEN_AI_REQUEST_TEMPERATURE: "gen_ai.request.temperature",
  ATTR_GEN_AI_REQUEST_TOP_P: "gen_ai.request.top_p",
  ATTR_GEN_AI_REQUEST_TOP_K: "gen_ai.request.top_k",
  ATTR_GEN_AI_REQUEST_MAX_TOKENS: "gen_ai.request.max_tokens",
  ATTR_GEN_AI_REQUEST_STOP_SEQUENCES: "gen_ai.request.stop_sequences",
  ATTR_GEN_AI_REQUEST_SEED: "gen_ai.request.seed",
  ATTR_GEN_AI_REQUEST_PRESENCE_PENALTY: "gen_ai.request.presence_penalty",
  ATTR_GEN_AI_REQUEST_FREQUENCY_PENALTY: "gen_ai.request.frequency_penalty",
  ATTR_GEN_AI_OUTPUT_TYPE: "gen_ai.output.type",
  ATTR_GEN_AI_EMBEDDINGS_DIMENSION_COUNT: "gen_ai.embeddings.dimension.count",
  ATTR_GEN_AI_RESPONSE_ID: "gen_ai.response.id",
  ATTR_GEN_AI_RESPONSE_MODEL: "gen_ai.response.model",
  ATTR_GEN_AI_RESPONSE_FINISH_REASONS: "gen_ai.response.finish_reasons",
  ATTR_GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: "gen_ai.response.time_to_first_chunk",
  ATTR_GEN_AI_USAGE_INPUT_TOKENS: "gen_ai.usage.input_tokens",
  ATTR_GEN_AI_USAGE_OUTPUT_TOKENS: "gen_ai.usage.output_tokens",
  ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: "gen_ai.usage.cache_read.input_tokens",
  ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: "gen_ai.usage.cache_creation.input_tokens",
  ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: "gen_ai.usage.reasoning.output_tokens",
  ATTR_GEN_AI_SYSTEM_INSTRUCTIONS: "gen_ai.system_instructions",
  ATTR_GEN_AI_INPUT_MESSAGES: "gen_ai.input.messages",
  ATTR_GEN_AI_OUTPUT_MESSAGES: "gen_ai.output.messages",
  ATTR_ERROR_TYPE: "error.type",
  ATTR_HTTP_RESPONSE_STATUS_CODE: "http.response.status_code"
}

describe("names by the conventions", () => {
  it.each(Object.entries(expected))("%s is %s, and on a span", (constant, name) => {
    expect((Incubating as Readonly<Record<string, unknown>>)[constant]).toBe(name)
    expect(attributes).toContain(name)
  })

  it("no span has a name of theirs that they do not know, nor one of ours that is not marked as ours", () => {
    const theirs = new Set(valuesOf("ATTR_"))
    for (const name of attributes) {
      if (!name.startsWith("breakwater.")) assert.isTrue(theirs.has(name), `${name} is not published`)
    }
  })

  it("metrics of theirs are published, and their labels attributes", () => {
    const metrics = new Set(valuesOf("METRIC_"))
    const theirs = Metrics.names.filter((name) => name.startsWith("gen_ai."))
    expect(theirs).toEqual([
      Incubating.METRIC_GEN_AI_CLIENT_OPERATION_DURATION,
      Incubating.METRIC_GEN_AI_CLIENT_TOKEN_USAGE,
      Incubating.METRIC_GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK,
      Incubating.METRIC_GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK
    ])
    for (const name of theirs) assert.isTrue(metrics.has(name))
    const labels = Metrics.definitions.flatMap((each) => each.labels).filter((label) => label.includes("."))
    expect(labels).toContain("gen_ai.token.type")
    for (const label of labels) assert.include(valuesOf("ATTR_"), label)
  })

  it("operations, providers, kinds of output and of tokens are published values", () => {
    const operations = valuesOf("GEN_AI_OPERATION_NAME_VALUE_")
    for (const each of ["generate", "stream", "embed"] as const) expect(operations).toContain(operationName(each))
    const providers = valuesOf("GEN_AI_PROVIDER_NAME_VALUE_")
    for (const name of ["openai", "anthropic", "gemini", "azure", "bedrock", "mistral", "vertex", "xai", "watsonx"]) {
      expect(providers).toContain(providerName(name))
    }
    expect(providerName("my-own")).toBe("my-own")
    expect(providerName("constructor")).toBe("constructor")
    for (const type of ["text", "json"]) expect(valuesOf("GEN_AI_OUTPUT_TYPE_VALUE_")).toContain(type)
    for (const type of ["input", "output"]) expect(valuesOf("GEN_AI_TOKEN_TYPE_VALUE_")).toContain(type)
  })

  it("reasons for the end of an output message are those of its schema, where there is one", () => {
    expect(
      [undefined, "stop", "length", "tool-calls", "content-filter", "pause"].map((each) => finishReason(each as never))
    ).toEqual(["error", "stop", "length", "tool_call", "content_filter", "pause"])
  })
})
