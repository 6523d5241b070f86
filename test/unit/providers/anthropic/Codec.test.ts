import type { Message, Request } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Codec from "../../../../packages/providers/src/anthropic/Codec.ts"
import * as Models from "../../../../packages/providers/src/anthropic/Models.ts"

const request = (over: Partial<Request.ProviderRequest> = {}): Request.ProviderRequest => ({
  model: "claude-sonnet-4-5",
  messages: [{ role: "user", content: "Hi" }],
  ...over
})

const body = (over: Partial<Request.ProviderRequest> = {}, stream = false) =>
  Codec.encodeRequest(request(over), stream).body

const wire = (messages: ReadonlyArray<Message.Message>) => body({ messages })

const tools = [
  { name: "weather", description: "Says it", parameters: { type: "object", properties: {} }, strict: true },
  { name: "clock", parameters: { type: "object", properties: {} } }
] as const

describe("messages", () => {
  it("a plain request", () => {
    expect(body({ maxTokens: 100, stop: ["END", " "], user: "u1" }, true)).toEqual({
      model: "claude-sonnet-4-5",
      max_tokens: 100,
      messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }],
      stop_sequences: ["END"],
      metadata: { user_id: "u1" },
      stream: true
    })
  })

  it("system messages leave the list, and keep their cache control", () => {
    const encoded = wire([
      { role: "system", content: "Be brief.", options: { anthropic: { cacheControl: { type: "ephemeral" } } } },
      { role: "user", content: "Hi" },
      { role: "system", content: "Be kind." }
    ])
    expect(encoded["system"]).toEqual([
      { type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } },
      { type: "text", text: "Be kind." }
    ])
    expect(encoded["messages"]).toHaveLength(1)
  })

  it("a turn with tools: results become blocks of one user message, before what the user says next", () => {
    expect(
      wire([
        { role: "user", content: "Weather and time?" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "Both.", options: { anthropic: { signature: "sig" } } },
            { type: "reasoning", text: "", options: { anthropic: { redactedData: "red" } } },
            { type: "reasoning", text: "another provider's thoughts" },
            { type: "text", text: "Let me see." },
            { type: "tool-call", id: "toolu_1", name: "weather", params: { city: "Zürich" } },
            { type: "tool-call", id: "call:2/x", name: "clock", params: undefined }
          ]
        },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "toolu_1", name: "weather", isFailure: false, result: { c: 21 } }]
        },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "call:2/x", name: "clock", isFailure: true, result: "broken" }]
        },
        { role: "user", content: "Well?" }
      ])["messages"]
    ).toEqual([
      { role: "user", content: [{ type: "text", text: "Weather and time?" }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Both.", signature: "sig" },
          { type: "redacted_thinking", data: "red" },
          { type: "text", text: "Let me see." },
          { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Zürich" } },
          { type: "tool_use", id: "call_2_x", name: "clock", input: {} }
        ]
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "toolu_1", content: '{"c":21}' },
          { type: "tool_result", tool_use_id: "call_2_x", content: "broken", is_error: true },
          { type: "text", text: "Well?" }
        ]
      }
    ])
  })

  it("an answer handed back as it came keeps its signature", () => {
    const turn = Codec.decodeTurn({
      content: [
        { type: "thinking", thinking: "Hm.", signature: "sig" },
        { type: "text", text: "Yes." }
      ],
      stop_reason: "end_turn",
      usage: {}
    })!
    expect(
      wire([
        { role: "assistant", content: turn.content as unknown as Message.AssistantMessage["content"] },
        { role: "user", content: "Sure?" }
      ])["messages"]
    ).toMatchObject([
      {
        content: [
          { type: "thinking", thinking: "Hm.", signature: "sig" },
          { type: "text", text: "Yes." }
        ]
      },
      {}
    ])
  })

  it("files: images and documents, as base64 and as URLs", () => {
    expect(
      wire([
        {
          role: "user",
          content: [
            { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) },
            { type: "file", mediaType: "image/*", data: "data:image/webp;base64,AAAA" },
            { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png") },
            {
              type: "file",
              mediaType: "application/pdf",
              data: { _tag: "Uint8Array", base64: "JVBERi0=" },
              fileName: "a.pdf"
            },
            { type: "file", mediaType: "application/pdf", data: "https://example.com/a.pdf" },
            { type: "file", mediaType: "text/plain", data: "SGVsbG8=" }
          ]
        }
      ])["messages"]
    ).toMatchObject([
      {
        content: [
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AQID" } },
          { type: "image", source: { type: "base64", media_type: "image/webp", data: "AAAA" } },
          { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
          {
            type: "document",
            title: "a.pdf",
            source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" }
          },
          { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } },
          { type: "document", source: { type: "text", media_type: "text/plain", data: "Hello" } }
        ]
      }
    ])
  })

  it("blank text is left out, for the provider refuses it", () => {
    expect(
      wire([
        { role: "user", content: "Hi" },
        { role: "assistant", content: [{ type: "text", text: " \n" }] },
        {
          role: "user",
          content: [
            { type: "text", text: "" },
            { type: "text", text: "There?" }
          ]
        }
      ])["messages"]
    ).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Hi" },
          { type: "text", text: "There?" }
        ]
      }
    ])
  })
})

describe("prefill", () => {
  const prefilled = request({
    prefill: true,
    messages: [
      { role: "user", content: "Count" },
      { role: "assistant", content: "one,\n " }
    ]
  })

  it("goes without blanks at its end, and the answer does not repeat them", () => {
    const { body, trimmed } = Codec.encodeRequest(prefilled, false)
    expect(body["messages"]).toMatchObject([{}, { content: [{ type: "text", text: "one," }] }])
    expect(trimmed).toBe("\n ")
    const answer = (text: string) =>
      Codec.decodeTurn({ content: [{ type: "text", text }], stop_reason: "end_turn", usage: {} }, trimmed)!.content
    expect(answer("\n two")).toEqual([{ type: "text", text: "two" }])
    expect(answer("\ntwo")).toEqual([{ type: "text", text: "two" }])
    expect(answer("two")).toEqual([{ type: "text", text: "two" }])
  })

  it.each([
    ["claude-3-5-sonnet-20241022", true],
    ["claude-3-haiku-20240307", true],
    ["claude-opus-4-20250514", true],
    ["claude-sonnet-4-5-20250929", true],
    ["claude-haiku-4-5", true],
    ["claude-opus-4-6", false],
    ["us.anthropic.claude-opus-4-6-v1", false],
    ["anthropic/claude-sonnet-4.6", false],
    ["claude-opus-4-8", false],
    ["claude-sonnet-5", false],
    ["claude-haiku-5-5", false],
    ["claude-fable-5-1", false],
    ["claude-mythos-preview", false],
    ["an-unknown-model", undefined]
  ])("%s: %s", (model, prefill) => {
    expect(Models.capabilities(model).prefill).toBe(prefill)
  })
})

describe("limits", () => {
  it.each([
    ["claude-opus-4-6", 128_000],
    ["claude-sonnet-4-5", 64_000],
    ["claude-haiku-4-5", 64_000],
    ["claude-opus-4-1-20250805", 32_000],
    ["claude-3-5-haiku-latest", 8_192],
    ["claude-3-opus-20240229", 4_096],
    ["an-unknown-model", 4_096]
  ])("%s answers with at most %d tokens unless told otherwise", (model, max) => {
    expect(body({ model })["max_tokens"]).toBe(max)
    expect(body({ model, maxTokens: 7 })["max_tokens"]).toBe(7)
    expect(Codec.encodeRequest(request({ model }), false, { defaultMaxTokens: 99 }).body["max_tokens"]).toBe(99)
  })
})

describe("what another model left behind", () => {
  it("asks for no more than the model can answer, where that is known", () => {
    expect(body({ model: "claude-haiku-4-5", maxTokens: 100_000 })["max_tokens"]).toBe(64_000)
    expect(body({ model: "an-unknown-model", maxTokens: 100_000 })["max_tokens"]).toBe(100_000)
  })

  it("does not think within a turn that was begun without thoughts", () => {
    const begun = (thoughts: ReadonlyArray<Message.AssistantPart>): ReadonlyArray<Message.Message> => [
      { role: "user", content: "Time?" },
      { role: "assistant", content: [...thoughts, { type: "tool-call", id: "c1", name: "clock", params: {} }] },
      { role: "tool", content: [{ type: "tool-result", id: "c1", name: "clock", isFailure: false, result: "12:00" }] }
    ]
    const thinking = (messages: ReadonlyArray<Message.Message>, model = "claude-sonnet-4-5") =>
      body({ model, messages, tools, reasoning: { effort: "low" } })["thinking"]
    expect(thinking(begun([]))).toBeUndefined()
    expect(thinking(begun([]), "claude-opus-4-6")).toMatchObject({ type: "adaptive" })
    expect(
      thinking(begun([{ type: "reasoning", text: "x", options: { anthropic: { signature: "s" } } }]))
    ).toBeDefined()
    expect(
      thinking([...begun([]), { role: "assistant", content: "Noon." }, { role: "user", content: "Thanks" }])
    ).toBeDefined()
  })

  it("a prefill goes without thoughts and without a schema", () => {
    const encoded = body({
      prefill: true,
      messages: [
        { role: "user", content: "Count" },
        { role: "assistant", content: "one," }
      ],
      reasoning: { effort: "low" },
      responseFormat: { type: "json", name: "n", schema: {} }
    })
    expect(encoded).not.toHaveProperty("thinking")
    expect(encoded).not.toHaveProperty("output_config")
  })
})

describe("tools", () => {
  it("declares schemas", () => {
    expect(body({ tools })["tools"]).toEqual([
      { name: "weather", description: "Says it", input_schema: { type: "object", properties: {} }, strict: true },
      { name: "clock", input_schema: { type: "object", properties: {} } }
    ])
    expect(body({ tools })["tool_choice"]).toBeUndefined()
  })

  it.each([
    ["auto", { type: "auto" }],
    ["none", { type: "none" }],
    ["required", { type: "any" }],
    [{ tool: "clock" }, { type: "tool", name: "clock" }]
  ] as const)("choice %o", (toolChoice, expected) => {
    expect(body({ tools, toolChoice })["tool_choice"]).toEqual(expected)
  })

  it("one of some: the others are not declared", () => {
    const encoded = body({ tools, toolChoice: { mode: "required", oneOf: ["clock"] } })
    expect(encoded["tools"]).toMatchObject([{ name: "clock" }])
    expect(encoded["tool_choice"]).toEqual({ type: "any" })
    expect(body({ tools, toolChoice: { oneOf: ["clock", "weather"] } })["tool_choice"]).toEqual({ type: "auto" })
  })

  it("no tools, no choice", () => {
    expect(body({ tools: [], toolChoice: "required" })).not.toHaveProperty("tool_choice")
    expect(body({ tools: [] })).not.toHaveProperty("tools")
  })
})

describe("sampling", () => {
  const sampling = { temperature: 1.5, topP: 0.9, topK: 40, seed: 7, presencePenalty: 1, frequencyPenalty: 1 }
  const sent = (model: string) => {
    const { max_tokens: _, messages: __, model: ___, ...rest } = body({ model, ...sampling })
    return rest
  }

  it("older models take all, newer one, the newest none; what has no word is not sent", () => {
    expect(sent("claude-3-5-haiku-latest")).toEqual({ temperature: 1, top_p: 0.9, top_k: 40 })
    expect(sent("claude-opus-4-6")).toEqual({ temperature: 1, top_k: 40 })
    expect(body({ model: "claude-opus-4-6", topP: 0.9 })["top_p"]).toBe(0.9)
    expect(sent("claude-opus-4-7")).toEqual({})
    expect(sent("claude-sonnet-5")).toEqual({})
  })
})

describe("reasoning", () => {
  const reasoning = (model: string, effort: Request.ReasoningEffort, over: Partial<Request.ProviderRequest> = {}) => {
    const encoded = body({ model, reasoning: { effort }, ...over })
    return { thinking: encoded["thinking"], config: encoded["output_config"] }
  }

  it("newer models think by effort, in the open", () => {
    const thinking = { type: "adaptive", display: "summarized" }
    expect(reasoning("claude-opus-4-6", "medium")).toEqual({ thinking, config: { effort: "medium" } })
    expect(reasoning("claude-opus-5-5", "minimal")).toEqual({ thinking, config: { effort: "low" } })
  })

  it("older models think within a budget below the answer's length, and then take no sampling", () => {
    const encoded = body({ reasoning: { effort: "high" }, temperature: 0.2, topK: 3 })
    expect(encoded["thinking"]).toEqual({ type: "enabled", budget_tokens: 16_384 })
    expect(encoded).not.toHaveProperty("temperature")
    expect(encoded).not.toHaveProperty("top_k")
    expect(reasoning("claude-sonnet-4-5", "high", { maxTokens: 2000 }).thinking).toEqual({
      type: "enabled",
      budget_tokens: 1999
    })
    expect(reasoning("claude-sonnet-4-5", "high", { maxTokens: 500 }).thinking).toBeUndefined()
    expect(reasoning("claude-3-5-haiku-latest", "high").thinking).toBeUndefined()
  })

  it("none turns it off where that can be said", () => {
    expect(reasoning("claude-opus-4-6", "none")).toEqual({})
    expect(reasoning("claude-sonnet-5", "none")).toEqual({ thinking: { type: "disabled" } })
    expect(reasoning("claude-fable-5-1", "none")).toEqual({ config: { effort: "low" } })
  })

  it("a forced tool leaves no room for thoughts", () => {
    expect(reasoning("claude-sonnet-4-5", "low", { tools, toolChoice: "required" }).thinking).toBeUndefined()
    expect(reasoning("claude-opus-4-6", "low", { tools, toolChoice: { tool: "clock" } })).toEqual({
      config: { effort: "low" }
    })
    expect(reasoning("claude-opus-4-6", "low", { tools, toolChoice: "auto" }).thinking).toBeDefined()
  })
})

describe("structured outputs and extra", () => {
  const responseFormat = { type: "json", name: "Person", schema: { type: "object" } } as const

  it("a JSON answer is asked for with its schema", () => {
    expect(body({ responseFormat })["output_config"]).toEqual({
      format: { type: "json_schema", schema: { type: "object" } }
    })
  })

  it("extra goes over everything, and an effort does not cost the format", () => {
    const encoded = body({
      responseFormat,
      extra: { output_config: { effort: "max" }, max_tokens: 5, service_tier: "auto" }
    })
    expect(encoded).toMatchObject({
      max_tokens: 5,
      service_tier: "auto",
      output_config: { effort: "max", format: { type: "json_schema" } }
    })
  })
})

describe("answers", () => {
  it("counts what was cached into the input, once", () => {
    expect(
      Codec.decodeUsage({
        input_tokens: 10,
        cache_read_input_tokens: 100,
        cache_creation_input_tokens: 30,
        output_tokens: 50,
        output_tokens_details: { thinking_tokens: 20 }
      })
    ).toEqual({ inputTokens: 140, outputTokens: 50, cachedInputTokens: 100, cacheWriteTokens: 30, reasoningTokens: 20 })
    expect(Codec.decodeUsage({ input_tokens: 1, output_tokens: 2, cache_read_input_tokens: null })).toEqual({
      inputTokens: 1,
      outputTokens: 2
    })
    expect(Codec.decodeUsage(undefined)).toEqual({ inputTokens: 0, outputTokens: 0 })
    expect(Codec.decodeUsage({ input_tokens: -1, output_tokens: "3" })).toEqual({ inputTokens: 0, outputTokens: 0 })
  })

  it("a whole turn", () => {
    expect(
      Codec.decodeTurn({
        id: "msg_1",
        model: "claude-sonnet-4-5-20250929",
        content: [
          { type: "thinking", thinking: "Hm.", signature: "sig" },
          { type: "redacted_thinking", data: "red" },
          { type: "server_tool_use", id: "srv", name: "web_search", input: {} },
          { type: "text", text: "Hi" },
          { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Zürich" } }
        ],
        stop_reason: "tool_use",
        stop_sequence: null,
        usage: { input_tokens: 3, output_tokens: 4 }
      })
    ).toEqual({
      id: "msg_1",
      model: "claude-sonnet-4-5-20250929",
      content: [
        { type: "reasoning", text: "Hm.", metadata: { anthropic: { signature: "sig" } } },
        { type: "reasoning", text: "", metadata: { anthropic: { redactedData: "red" } } },
        { type: "text", text: "Hi" },
        { type: "tool-call", id: "toolu_1", name: "weather", params: { city: "Zürich" } }
      ],
      finishReason: "tool-calls",
      usage: { inputTokens: 3, outputTokens: 4 }
    })
  })

  it.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["tool_use", "tool-calls"],
    ["pause_turn", "pause"],
    ["something_new", "other"]
  ])("%s means %s", (reason, expected) => {
    expect(Codec.finishReason(reason)).toBe(expected)
  })

  it("what is no answer is none", () => {
    for (const other of [undefined, null, 3, "text", [], {}, { content: "text" }]) {
      expect(Codec.decodeTurn(other)).toBeUndefined()
    }
  })
})
