import { assert, describe, it } from "@effect/vitest"
import type { Message, Model, Request } from "@breakwater/core"
import { encodeChat, encodeEmbeddings } from "../../../../packages/providers/src/openai-compatible/Encode.ts"
import type { Dialect } from "../../../../packages/providers/src/openai-compatible/Dialect.ts"

const encode = (
  request: Partial<Request.ProviderRequest>,
  dialect: Dialect = {},
  capabilities: Model.Capabilities = {},
  stream = false
): Record<string, unknown> =>
  JSON.parse(encodeChat({ model: "m", messages: [], ...request }, stream, dialect, capabilities)) as Record<
    string,
    unknown
  >

const messages = (...list: ReadonlyArray<Message.Message>) => encode({ messages: list })["messages"]
const bytes = new Uint8Array([1, 2, 3])

describe("messages", () => {
  it("texts stay texts", () => {
    assert.deepStrictEqual(
      messages(
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
        { role: "user", content: [{ type: "text", text: "one part" }] },
        { role: "assistant", content: "Hello" }
      ),
      [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
        { role: "user", content: "one part" },
        { role: "assistant", content: "Hello" }
      ]
    )
  })

  it("images, audio and other files, from every form of data", () => {
    const file = (mediaType: string, data: Message.FilePart["data"]): Message.FilePart => ({
      type: "file",
      mediaType,
      data
    })
    assert.deepStrictEqual(
      messages({
        role: "user",
        content: [
          { type: "text", text: "What?" },
          file("image/png", bytes),
          file("image/*", "AQID"),
          file("image/jpeg", new URL("https://x.test/a.jpg")),
          file("image/png", { _tag: "Uint8Array", base64: "AQID" }),
          file("audio/wav", bytes),
          { ...file("application/pdf", bytes), fileName: "a.pdf" }
        ]
      }),
      [
        {
          role: "user",
          content: [
            { type: "text", text: "What?" },
            { type: "image_url", image_url: { url: "data:image/png;base64,AQID" } },
            { type: "image_url", image_url: { url: "data:image/jpeg;base64,AQID" } },
            { type: "image_url", image_url: { url: "https://x.test/a.jpg" } },
            { type: "image_url", image_url: { url: "data:image/png;base64,AQID" } },
            { type: "input_audio", input_audio: { data: "AQID", format: "wav" } },
            { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AQID" } }
          ]
        }
      ]
    )
  })

  it("tool calls and their results, files of results as a user's after them", () => {
    assert.deepStrictEqual(
      messages(
        {
          role: "assistant",
          content: [
            {
              type: "reasoning",
              text: "hmm",
              options: { "openai-compatible": { reasoning_details: [{ type: "x" }] } }
            },
            { type: "tool-call", id: "1", name: "add", params: { a: 1 } },
            { type: "tool-call", id: "2", name: "raw", params: "{broken" }
          ]
        },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "1", name: "add", isFailure: false, result: { sum: 2 } },
            {
              type: "tool-result",
              id: "2",
              name: "raw",
              isFailure: true,
              result: "ignored",
              modelOutput: [
                { type: "text", text: "seen" },
                { type: "file", mediaType: "image/png", data: "AQID" }
              ]
            }
          ]
        }
      ),
      [
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "1", type: "function", function: { name: "add", arguments: '{"a":1}' } },
            { id: "2", type: "function", function: { name: "raw", arguments: "{broken" } }
          ],
          reasoning_details: [{ type: "x" }]
        },
        { role: "tool", tool_call_id: "1", content: '{"sum":2}' },
        { role: "tool", tool_call_id: "2", content: "seen" },
        { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AQID" } }] }
      ]
    )
  })
})

describe("fields", () => {
  const full: Partial<Request.ProviderRequest> = {
    temperature: 0.5,
    topP: 0.9,
    topK: 40,
    maxTokens: 100,
    stop: ["END"],
    seed: 7,
    presencePenalty: 1,
    frequencyPenalty: -1,
    user: "u",
    reasoning: { effort: "low" }
  }

  it("all of them, under their names", () => {
    assert.deepStrictEqual(encode(full), {
      model: "m",
      messages: [],
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      max_tokens: 100,
      stop: ["END"],
      seed: 7,
      presence_penalty: 1,
      frequency_penalty: -1,
      user: "u",
      reasoning_effort: "low"
    })
  })

  it("in another dialect", () => {
    const body = encode(
      { ...full, prefill: true },
      {
        maxTokensField: "max_completion_tokens",
        topK: false,
        reasoningField: "reasoning",
        chatFields: { usage: { include: true } },
        prefillFields: { continue_final_message: true }
      }
    )
    assert.strictEqual(body["max_completion_tokens"], 100)
    assert.notProperty(body, "max_tokens")
    assert.notProperty(body, "top_k")
    assert.deepStrictEqual(body["reasoning"], { effort: "low" })
    assert.deepStrictEqual(body["usage"], { include: true })
    assert.strictEqual(body["continue_final_message"], true)
  })

  it("a stream asks for usage; `extra` goes over everything", () => {
    assert.deepStrictEqual(encode({ extra: { stream_options: null, temperature: 1 }, temperature: 0 }, {}, {}, true), {
      model: "m",
      messages: [],
      temperature: 1,
      stream: true,
      stream_options: null
    })
    assert.deepStrictEqual(encode({}, {}, {}, true)["stream_options"], { include_usage: true })
  })

  it("a JSON answer, by schema where it can be", () => {
    const responseFormat = { type: "json", name: "my answer!", schema: { type: "object" }, strict: true } as const
    assert.deepStrictEqual(encode({ responseFormat })["response_format"], {
      type: "json_schema",
      json_schema: { name: "my_answer_", schema: { type: "object" }, strict: true }
    })
    assert.deepStrictEqual(encode({ responseFormat }, {}, { jsonSchema: false })["response_format"], {
      type: "json_object"
    })
  })

  it("tools and how to choose among them", () => {
    const tool = (name: string) => ({ name, description: "d", parameters: { type: "object" } })
    const wire = (name: string) => ({
      type: "function",
      function: { name, description: "d", parameters: { type: "object" } }
    })
    const tools = [tool("a"), tool("b"), tool("c")]
    const choose = (toolChoice: Request.ProviderRequest["toolChoice"]) => {
      const body = encode(toolChoice === undefined ? { tools } : { tools, toolChoice })
      return [body["tool_choice"], (body["tools"] as ReadonlyArray<unknown>).length]
    }
    assert.deepStrictEqual(encode({ tools: [tool("a")] })["tools"], [wire("a")])
    assert.deepStrictEqual(choose(undefined), [undefined, 3])
    assert.deepStrictEqual(choose("required"), ["required", 3])
    assert.deepStrictEqual(choose({ tool: "b" }), [{ type: "function", function: { name: "b" } }, 3])
    assert.deepStrictEqual(choose({ oneOf: ["a", "c"] }), ["auto", 2])
    assert.deepStrictEqual(choose({ mode: "required", oneOf: ["a"] }), ["required", 1])
    assert.notProperty(encode({ tools: [], toolChoice: "auto" }), "tool_choice")
  })
})

it("embeddings", () => {
  assert.deepStrictEqual(
    JSON.parse(
      encodeEmbeddings({ model: "e", input: ["a"], dimensions: 8, user: "u", extra: { input_type: "query" } })
    ),
    { model: "e", input: ["a"], encoding_format: "float", dimensions: 8, user: "u", input_type: "query" }
  )
})
