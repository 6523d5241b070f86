import type { Message, Request } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Codec from "../../../../packages/providers/src/gemini/Codec.ts"
import * as Contents from "../../../../packages/providers/src/gemini/Contents.ts"
import * as Models from "../../../../packages/providers/src/gemini/Models.ts"

const body = (over: Partial<Request.ProviderRequest> = {}) =>
  Codec.encodeRequest({ model: "gemini-2.5-flash", messages: [{ role: "user", content: "Hi" }], ...over })

const tools = [
  { name: "weather", description: "Says it", parameters: { type: "object", properties: { city: { type: "string" } } } },
  { name: "clock", parameters: { type: "object", properties: {} } }
] as const

describe("contents", () => {
  it("a plain request", () => {
    expect(body()).toEqual({ contents: [{ role: "user", parts: [{ text: "Hi" }] }] })
  })

  it("all that can be said of an answer", () => {
    expect(
      body({
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        maxTokens: 100,
        stop: ["END"],
        seed: 7,
        presencePenalty: 1,
        frequencyPenalty: -1,
        responseFormat: { type: "json", name: "Person", schema: { type: "object" } },
        reasoning: { effort: "low" }
      })["generationConfig"]
    ).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      maxOutputTokens: 100,
      stopSequences: ["END"],
      seed: 7,
      presencePenalty: 1,
      frequencyPenalty: -1,
      responseMimeType: "application/json",
      responseJsonSchema: { type: "object" },
      thinkingConfig: { thinkingBudget: 1024, includeThoughts: true }
    })
  })

  it("asks for no more than the model can answer, where that is known", () => {
    const request = { model: "gemini-2.0-flash", messages: [], maxTokens: 100_000 }
    expect(Codec.encodeRequest(request, 8_192)["generationConfig"]).toEqual({ maxOutputTokens: 8_192 })
    expect(Codec.encodeRequest(request)["generationConfig"]).toEqual({ maxOutputTokens: 100_000 })
  })

  it("extra goes over everything, field by field in generationConfig", () => {
    expect(
      body({
        maxTokens: 100,
        extra: { generationConfig: { candidateCount: 1 }, safetySettings: [] }
      })
    ).toMatchObject({ generationConfig: { maxOutputTokens: 100, candidateCount: 1 }, safetySettings: [] })
  })

  const history: ReadonlyArray<Message.Message> = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Weather and time?" },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "Both.", options: { gemini: { thoughtSignature: "t" } } },
        { type: "reasoning", text: "another provider's thoughts", options: { anthropic: { signature: "x" } } },
        { type: "text", text: "Let me see." },
        {
          type: "tool-call",
          id: "gemini-call-r-0",
          name: "weather",
          params: { city: "Zürich" },
          options: { gemini: { thoughtSignature: "sig" } }
        },
        { type: "tool-call", id: "given", name: "clock", params: {} }
      ]
    },
    {
      role: "tool",
      content: [{ type: "tool-result", id: "gemini-call-r-0", name: "weather", isFailure: false, result: 21 }]
    },
    { role: "tool", content: [{ type: "tool-result", id: "given", name: "clock", isFailure: true, result: "broken" }] },
    { role: "user", content: "Well?" }
  ]

  it("a turn with tools: made up ids stay here, results stand in one content", () => {
    expect(Contents.encode(history, "gemini-2.5-flash")).toEqual({
      systemInstruction: { parts: [{ text: "Be brief." }] },
      contents: [
        { role: "user", parts: [{ text: "Weather and time?" }] },
        {
          role: "model",
          parts: [
            { text: "Both.", thought: true, thoughtSignature: "t" },
            { text: "Let me see." },
            { functionCall: { name: "weather", args: { city: "Zürich" } }, thoughtSignature: "sig" },
            { functionCall: { id: "given", name: "clock", args: {} } }
          ]
        },
        {
          role: "user",
          parts: [
            { functionResponse: { name: "weather", response: { result: 21 } } },
            { functionResponse: { id: "given", name: "clock", response: { error: "broken" } } },
            { text: "Well?" }
          ]
        }
      ]
    })
  })

  it("a call that another model made is signed for the models that insist", () => {
    const foreign: ReadonlyArray<Message.Message> = [
      { role: "user", content: "Time?" },
      { role: "assistant", content: [{ type: "tool-call", id: "toolu_1", name: "clock", params: {} }] }
    ]
    const signature = (model: string) => Contents.encode(foreign, model).contents[1]!.parts[0]!["thoughtSignature"]
    expect(signature("gemini-3-pro-preview")).toBe(Contents.foreignSignature)
    expect(signature("gemini-2.5-pro")).toBeUndefined()
    // A signed call is left as it is.
    expect(Contents.encode(history, "gemini-3-pro-preview").contents[1]!.parts[2]!["thoughtSignature"]).toBe("sig")
  })

  it("files inline and by URL", () => {
    expect(
      body({
        messages: [
          {
            role: "user",
            content: [
              { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) },
              { type: "file", mediaType: "application/pdf", data: "https://example.com/a.pdf" }
            ]
          }
        ]
      })["contents"]
    ).toMatchObject([
      {
        parts: [
          { inlineData: { mimeType: "image/png", data: "AQID" } },
          { fileData: { mimeType: "application/pdf", fileUri: "https://example.com/a.pdf" } }
        ]
      }
    ])
  })
})

describe("tools", () => {
  it("declares schemas, and none for a tool without parameters", () => {
    expect(body({ tools })["tools"]).toEqual([
      {
        functionDeclarations: [
          { name: "weather", description: "Says it", parametersJsonSchema: tools[0].parameters },
          { name: "clock" }
        ]
      }
    ])
  })

  it.each([
    ["auto", { mode: "AUTO" }],
    ["none", { mode: "NONE" }],
    ["required", { mode: "ANY" }],
    [{ tool: "clock" }, { mode: "ANY", allowedFunctionNames: ["clock"] }],
    [
      { mode: "required", oneOf: ["clock"] },
      { mode: "ANY", allowedFunctionNames: ["clock"] }
    ]
  ] as const)("choice %o", (toolChoice, expected) => {
    expect(body({ tools, toolChoice })["toolConfig"]).toEqual({ functionCallingConfig: expected })
  })

  it("a free choice among some: the others are not declared", () => {
    const encoded = body({ tools, toolChoice: { oneOf: ["clock"] } })
    expect(encoded["tools"]).toEqual([{ functionDeclarations: [{ name: "clock" }] }])
    expect(encoded["toolConfig"]).toEqual({ functionCallingConfig: { mode: "AUTO" } })
  })
})

describe("reasoning", () => {
  it.each([
    ["gemini-2.5-flash", "none", { thinkingBudget: 0, includeThoughts: false }],
    ["gemini-2.5-pro", "none", { thinkingBudget: 128, includeThoughts: false }],
    ["gemini-2.5-pro", "high", { thinkingBudget: 24576, includeThoughts: true }],
    ["gemini-3-flash-preview", "none", { thinkingLevel: "MINIMAL", includeThoughts: false }],
    ["gemini-3-pro-preview", "minimal", { thinkingLevel: "LOW", includeThoughts: true }],
    ["gemini-3-pro-preview", "medium", { thinkingLevel: "HIGH", includeThoughts: true }],
    ["gemini-3.1-pro-preview", "medium", { thinkingLevel: "MEDIUM", includeThoughts: true }],
    ["gemini-2.0-flash", "high", undefined]
  ] as const)("%s, %s", (model, effort, expected) => {
    expect(Models.thinkingConfig(model, effort)).toEqual(expected)
  })
})

describe("answers", () => {
  it("thoughts are added to the output; what was cached is in the input already", () => {
    expect(
      Codec.decodeUsage({
        promptTokenCount: 120,
        cachedContentTokenCount: 100,
        candidatesTokenCount: 30,
        thoughtsTokenCount: 40,
        toolUsePromptTokenCount: 5,
        promptTokensDetails: [
          { modality: "TEXT", tokenCount: 90 },
          { modality: "AUDIO", tokenCount: 30 }
        ]
      })
    ).toEqual({
      inputTokens: 125,
      outputTokens: 70,
      cachedInputTokens: 100,
      reasoningTokens: 40,
      audioInputTokens: 30
    })
    expect(Codec.decodeUsage(undefined)).toBeUndefined()
  })

  const answer = {
    responseId: "r/1",
    modelVersion: "gemini-3-pro-preview",
    candidates: [
      {
        content: {
          parts: [
            { text: "Hm.", thought: true },
            { text: "Hi", thoughtSignature: "s0" },
            { functionCall: { name: "weather", args: { city: "Zürich" } }, thoughtSignature: "s1" },
            { functionCall: { name: "clock" } },
            { inlineData: { mimeType: "image/png", data: "AQID" } },
            { executableCode: { code: "1" } }
          ]
        },
        finishReason: "STOP"
      }
    ],
    usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 4 }
  }

  it("a whole turn", () => {
    expect(Codec.decodeTurn(answer, "seed")).toEqual({
      id: "r/1",
      model: "gemini-3-pro-preview",
      content: [
        { type: "reasoning", text: "Hm." },
        { type: "text", text: "Hi" },
        { type: "reasoning", text: "", metadata: { gemini: { thoughtSignature: "s0" } } },
        {
          type: "tool-call",
          id: "gemini-call-r_1-0",
          name: "weather",
          params: { city: "Zürich" },
          metadata: { gemini: { thoughtSignature: "s1" } }
        },
        { type: "tool-call", id: "gemini-call-r_1-1", name: "clock", params: {} },
        { type: "file", mediaType: "image/png", data: "AQID" }
      ],
      finishReason: "tool-calls",
      usage: { inputTokens: 3, outputTokens: 4 }
    })
  })

  it("made up ids are the same for the same answer, and other ones for another", () => {
    const ids = (seed: string, responseId?: string) =>
      Codec.decodeTurn({ ...answer, responseId }, seed)!.content.flatMap((part) =>
        part.type === "tool-call" ? [part.id] : []
      )
    expect(ids("a")).toEqual(ids("a"))
    expect(ids("a")).not.toEqual(ids("b"))
    expect(new Set(ids("a")).size).toBe(2)
    expect(ids("a", "r2")).toEqual(ids("b", "r2"))
  })

  it.each([
    ["STOP", "stop"],
    ["MAX_TOKENS", "length"],
    ["LANGUAGE", "other"],
    [undefined, "other"]
  ])("%s means %s", (reason, expected) => {
    expect(Codec.finishReason(reason, false)).toBe(expected)
  })

  it("what is no answer is none", () => {
    for (const other of [undefined, null, 3, "text", [], {}, { candidates: [] }]) {
      expect(Codec.decodeTurn(other, "s")).toBeUndefined()
    }
  })
})

describe("embeddings", () => {
  const request = {
    model: "gemini-embedding-001",
    input: ["a", "bb"],
    dimensions: 2,
    extra: { taskType: "RETRIEVAL_QUERY" }
  }

  it("one request a text", () => {
    expect(Codec.encodeEmbed(request)).toEqual({
      requests: ["a", "bb"].map((text) => ({
        model: "models/gemini-embedding-001",
        content: { parts: [{ text }] },
        outputDimensionality: 2,
        taskType: "RETRIEVAL_QUERY"
      }))
    })
  })

  it("reads the vectors, and refuses too few or broken ones", () => {
    expect(Codec.decodeEmbeddings({ embeddings: [{ values: [1, 2] }, { values: [3, 4] }] }, request)).toEqual({
      vectors: [
        [1, 2],
        [3, 4]
      ],
      usage: { inputTokens: 1, outputTokens: 0, estimated: true },
      model: "gemini-embedding-001"
    })
    expect(Codec.decodeEmbeddings({ embeddings: [{ values: [1, 2] }] }, request)).toBeUndefined()
    expect(Codec.decodeEmbeddings({ embeddings: [{ values: [1, "2"] }, { values: [3, 4] }] }, request)).toBeUndefined()
    expect(Codec.decodeEmbeddings({ embeddings: [{ values: [] }, { values: [3] }] }, request)).toBeUndefined()
    expect(Codec.decodeEmbeddings(undefined, request)).toBeUndefined()
  })
})
