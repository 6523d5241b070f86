/**
 * What clients send, as they send it, to a provider of each wire: a request as large as those of coding agents, and every
 * field that one wire has and another has not. What cannot be carried is said, or stands in the manual's table.
 */
import { Gateway } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { type Json, post, promised } from "./support.ts"

interface Sent {
  readonly body: Json
  readonly headers: Http.IncomingHttpHeaders
}

const sse = (events: ReadonlyArray<object>, named: boolean): string =>
  events
    .map((event) => `${named ? `event: ${(event as { type: string }).type}\n` : ""}data: ${JSON.stringify(event)}\n\n`)
    .join("")

/** Thinks, says something, and calls a tool: in the words of Anthropic. */
const ofAnthropic = {
  content: [
    { type: "thinking", thinking: "Let me look.", signature: "c2lnbmF0dXJl" },
    { type: "redacted_thinking", data: "b3BhcXVl" },
    { type: "text", text: "I will read\u2028it.\n\ndata: [DONE]" },
    { type: "tool_use", id: "toolu_1", name: "read", input: { path: "a\nb" } }
  ],
  usage: { input_tokens: 20, cache_creation_input_tokens: 5, cache_read_input_tokens: 7, output_tokens: 9 }
}

const anthropicStream = (): string => {
  const blocks = ofAnthropic.content.flatMap((block, index) => {
    const [start, delta] =
      block.type === "thinking"
        ? [
            { type: "thinking", thinking: "", signature: "" },
            [
              { type: "thinking_delta", thinking: block.thinking },
              { type: "signature_delta", signature: block.signature }
            ]
          ]
        : block.type === "text"
          ? [{ type: "text", text: "" }, [{ type: "text_delta", text: block.text }]]
          : block.type === "tool_use"
            ? [{ ...block, input: {} }, [{ type: "input_json_delta", partial_json: JSON.stringify(block.input) }]]
            : [block, []]
    return [
      { type: "content_block_start", index, content_block: start },
      { type: "ping" },
      ...(delta as ReadonlyArray<object>).map((each) => ({ type: "content_block_delta", index, delta: each })),
      { type: "content_block_stop", index }
    ]
  })
  const usage = { ...ofAnthropic.usage, output_tokens: 1 }
  const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], usage }
  return sse(
    [
      { type: "message_start", message },
      ...blocks,
      { type: "message_delta", delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 9 } },
      { type: "message_stop" }
    ],
    true
  )
}

const call = { id: "call_1", type: "function", function: { name: "read", arguments: '{"path":"a\\nb"}' } }
const openAiUsage = {
  prompt_tokens: 32,
  completion_tokens: 9,
  total_tokens: 41,
  prompt_tokens_details: { cached_tokens: 7 }
}

const openAiStream = (): string => {
  const chunk = (delta: object, finish_reason: string | null = null) => ({
    id: "c1",
    object: "chat.completion.chunk",
    created: 1,
    model: "m",
    choices: [{ index: 0, delta, finish_reason }]
  })
  const events = [
    chunk({ role: "assistant", reasoning_content: "Let me look." }),
    chunk({ content: "I will read\u2028it.\n\ndata: [DONE]" }),
    chunk({ tool_calls: [{ index: 0, ...call }] }),
    chunk({}, "tool_calls"),
    { ...chunk({}), choices: [], usage: openAiUsage }
  ]
  return `${sse(events, false)}data: [DONE]\n\n`
}

const answerOf = (url: string, stream: boolean): string => {
  if (url.startsWith("/v1/messages")) {
    if (stream) return anthropicStream()
    return JSON.stringify({
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "m",
      ...ofAnthropic,
      stop_reason: "tool_use"
    })
  }
  if (stream) return openAiStream()
  const content = "I will read\u2028it.\n\ndata: [DONE]"
  const message = { role: "assistant", content, reasoning_content: "Let me look.", tool_calls: [call] }
  return JSON.stringify({
    id: "c1",
    model: "m",
    choices: [{ index: 0, message, finish_reason: "tool_calls", logprobs: { content: [] } }],
    usage: openAiUsage
  })
}

/** A server of both wires that keeps what it was sent, behind a gateway. */
const stage = Effect.gen(function* () {
  const sent: Array<Sent> = []
  const server = yield* Effect.acquireRelease(
    promised(
      () =>
        new Promise<Http.Server>((resolve) => {
          const made = Http.createServer((req, res) => {
            let text = ""
            req.on("data", (data) => (text += String(data)))
            req.on("end", () => {
              const body = JSON.parse(text) as Json
              sent.push({ body, headers: req.headers })
              const stream = body["stream"] === true
              res.setHeader("content-type", stream ? "text/event-stream" : "application/json")
              res.end(answerOf(req.url ?? "", stream))
            })
          })
          made.listen(0, "127.0.0.1", () => resolve(made))
        })
    ),
    (made) => Effect.sync(() => made.close())
  )
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gateway = yield* Gateway.make({
    providers: {
      open: { type: "openai-compatible", baseUrl: `${address}/v1` },
      claude: { type: "anthropic", baseUrl: address, apiKey: "k", betas: ["context-management-2025-06-27"] },
      gemini: { type: "gemini", baseUrl: address, apiKey: "k" }
    },
    defaults: { retries: 0 }
  })
  const ask = (path: string, body: object, headers: Record<string, string> = {}) =>
    Effect.flatMap(post(`${gateway.url}${path}`, body, headers), (response) =>
      promised(async () => {
        const text = await response.text()
        const whole = text.startsWith("{") ? (JSON.parse(text) as Json) : {}
        return { status: response.status, text, body: whole, last: sent.at(-1)! }
      })
    )
  return { ask, sent }
})

const cached = { cache_control: { type: "ephemeral" } }

/** A request as a coding agent sends it in the middle of its work. */
const agentRequest = (model: string, more: object = {}) => ({
  model,
  max_tokens: 32_000,
  system: [
    { type: "text", text: "You are an agent." },
    { type: "text", text: "The project is large.", ...cached }
  ],
  metadata: { user_id: "user_0123_account__session_4567" },
  thinking: { type: "enabled", budget_tokens: 10_000 },
  tools: Array.from({ length: 20 }, (_, i) => ({
    name: i === 0 ? "read" : `tool_${i}`,
    description: "Does something.",
    input_schema: {
      type: "object",
      properties: { path: { type: "string" } },
      required: ["path"],
      additionalProperties: false
    },
    ...(i === 19 ? cached : {})
  })),
  messages: [
    {
      role: "user",
      content: [
        { type: "text", text: "Read it." },
        { type: "text", text: "And be quick.", ...cached }
      ]
    },
    { role: "assistant", content: ofAnthropic.content },
    {
      role: "user",
      content: [
        {
          type: "tool_result",
          tool_use_id: "toolu_1",
          is_error: true,
          content: [
            { type: "text", text: "What I saw:" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }
          ],
          ...cached
        }
      ]
    }
  ],
  stop_sequences: ["</end>"],
  ...more
})

const blocksOf = (text: string): ReadonlyArray<Json> => {
  const blocks: Array<Record<string, unknown>> = []
  for (const event of text.split("\n\n").filter((each) => each !== "")) {
    const lines = event.split("\n")
    assert.strictEqual(lines.length, 2, "an event is two lines, whatever the model says")
    const data = JSON.parse(lines[1]!.slice(6)) as Json
    assert.strictEqual(lines[0], `event: ${data["type"] as string}`)
    if (data["type"] === "content_block_start")
      blocks[data["index"] as number] = { ...(data["content_block"] as object), json: "" }
    const block = blocks[data["index"] as number]
    if (data["type"] === "content_block_delta" && block !== undefined) {
      const delta = data["delta"] as Json
      if (delta["type"] === "text_delta") block["text"] = `${String(block["text"])}${delta["text"] as string}`
      if (delta["type"] === "thinking_delta")
        block["thinking"] = `${String(block["thinking"])}${delta["thinking"] as string}`
      if (delta["type"] === "signature_delta") block["signature"] = delta["signature"]
      if (delta["type"] === "input_json_delta")
        block["json"] = `${String(block["json"])}${delta["partial_json"] as string}`
    }
  }
  return blocks.map(({ json, ...block }) =>
    block["type"] === "tool_use" ? { ...block, input: JSON.parse(String(json)) as unknown } : block
  ) as ReadonlyArray<Json>
}

describe("an agent's request", () => {
  it.live.each([false, true])(
    "comes through to Anthropic as it was sent, and its answer back (streamed: %s)",
    (stream) =>
      Effect.gen(function* () {
        const { ask } = yield* stage
        const request = agentRequest("claude/m", { stream, context_management: { edits: [] } })
        const { last, status, text, body } = yield* ask("/v1/messages?beta=true", request, {
          "anthropic-version": "2023-06-01"
        })
        assert.strictEqual(status, 200, text)
        for (const field of [
          "system",
          "tools",
          "messages",
          "thinking",
          "metadata",
          "stop_sequences",
          "max_tokens",
          "context_management"
        ]) {
          assert.deepStrictEqual(last.body[field], (request as unknown as Json)[field], field)
        }
        assert.strictEqual(last.headers["anthropic-beta"], "context-management-2025-06-27")
        assert.deepStrictEqual(stream ? blocksOf(text) : body["content"], ofAnthropic.content)
        if (!stream) assert.deepInclude(body["usage"], ofAnthropic.usage)
        else assert.include(text, '"stop_reason":"tool_use"')
      }).pipe(Effect.scoped)
  )

  it.live.each([false, true])("is put into OpenAI's words, and its answer back (streamed: %s)", (stream) =>
    Effect.gen(function* () {
      const { ask } = yield* stage
      const { last, status, text, body } = yield* ask("/v1/messages", agentRequest("open/m", { stream }))
      assert.strictEqual(status, 200, text)
      const sent = last.body
      assert.strictEqual(sent["max_tokens"], 32_000)
      assert.deepStrictEqual(sent["stop"], ["</end>"])
      assert.strictEqual(sent["reasoning_effort"], "high")
      assert.strictEqual((sent["tools"] as ReadonlyArray<unknown>).length, 20)
      assert.isUndefined(sent["thinking"])
      const roles = (sent["messages"] as ReadonlyArray<Json>).map(({ role }) => role as string)
      // A picture that a tool brought stands in a message of the user's: the wire has no other place for it.
      assert.deepStrictEqual(roles.slice(0, 5), ["system", "system", "user", "assistant", "tool"])
      assert.include(JSON.stringify(sent["messages"]), "data:image/png;base64,aGk=")
      assert.notInclude(JSON.stringify(sent), "cache_control")
      const content = (stream ? blocksOf(text) : body["content"]) as ReadonlyArray<Json>
      assert.deepStrictEqual(
        content.map(({ type }) => type as string),
        ["thinking", "text", "tool_use"]
      )
      assert.strictEqual(content[1]!["text"], "I will read\u2028it.\n\ndata: [DONE]")
      assert.deepStrictEqual(content[2]!["input"], { path: "a\nb" })
      // Back to Anthropic, thoughts without a signature would be refused there.
      const again = yield* ask("/v1/messages", {
        ...agentRequest("claude/m"),
        messages: [
          { role: "user", content: "Hi" },
          { role: "assistant", content },
          { role: "user", content: "Go on" }
        ]
      })
      assert.strictEqual(again.status, 200)
      assert.notInclude(JSON.stringify(again.last.body["messages"]), '"thinking"')
    }).pipe(Effect.scoped)
  )
})

describe("what one wire has and another has not", () => {
  const tools = [{ name: "read", input_schema: { type: "object" } }]
  const openTools = [{ type: "function", function: { name: "read", parameters: { type: "object" } } }]
  const messages = [{ role: "user", content: "Hi" }]

  it.live("one call of a tool at a time is carried to both, and refused where there is no word for it", () =>
    Effect.gen(function* () {
      const { ask } = yield* stage
      const base = { max_tokens: 9, messages, tools, tool_choice: { type: "any", disable_parallel_tool_use: true } }
      const native = yield* ask("/v1/messages", { ...base, model: "claude/m" })
      assert.deepStrictEqual(native.last.body["tool_choice"], { type: "any", disable_parallel_tool_use: true })
      const foreign = yield* ask("/v1/messages", { ...base, model: "open/m" })
      assert.strictEqual(foreign.last.body["parallel_tool_calls"], false)
      for (const more of [{ model: "gemini/m" }, { model: "claude/m", fallbacks: ["open/m"] }]) {
        const { status, text } = yield* ask("/v1/messages", { ...base, ...more })
        assert.strictEqual(status, 400)
        assert.include(text, "disable_parallel_tool_use")
      }
      const chat = { messages, tools: openTools, parallel_tool_calls: false }
      assert.strictEqual(
        (yield* ask("/v1/chat/completions", { ...chat, model: "open/m" })).last.body["parallel_tool_calls"],
        false
      )
      const choices: ReadonlyArray<readonly [choice: unknown, said: object]> = [
        [undefined, { type: "auto" }],
        ["required", { type: "any" }],
        [
          { type: "function", function: { name: "read" } },
          { type: "tool", name: "read" }
        ]
      ]
      for (const [tool_choice, said] of choices) {
        const { last, status } = yield* ask("/v1/chat/completions", { ...chat, model: "claude/m", tool_choice })
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(last.body["tool_choice"], { ...said, disable_parallel_tool_use: true })
        assert.isUndefined(last.body["parallel_tool_calls"])
      }
      const { status } = yield* ask("/v1/chat/completions", { ...chat, model: "gemini/m" })
      assert.strictEqual(status, 400)
      // What everybody does unasked is no reason to refuse.
      const plain = yield* ask("/v1/chat/completions", { ...chat, parallel_tool_calls: true, model: "claude/m" })
      assert.strictEqual(plain.status, 200)
      assert.isUndefined(plain.last.body["parallel_tool_calls"])
    }).pipe(Effect.scoped)
  )

  it.live("efforts are carried from one to the other", () =>
    Effect.gen(function* () {
      const { ask } = yield* stage
      const base = { max_tokens: 9, messages, output_config: { effort: "max" } }
      assert.deepStrictEqual((yield* ask("/v1/messages", { ...base, model: "claude/m" })).last.body["output_config"], {
        effort: "max"
      })
      const foreign = yield* ask("/v1/messages", { ...base, model: "open/m" })
      assert.strictEqual(foreign.last.body["reasoning_effort"], "high")
      assert.isUndefined(foreign.last.body["output_config"])
    }).pipe(Effect.scoped)
  )

  it.live("fields of OpenAI's reach OpenAI as they came", () =>
    Effect.gen(function* () {
      const { ask } = yield* stage
      const fields = {
        model: "open/m",
        parallel_tool_calls: false,
        service_tier: "flex",
        store: true,
        metadata: { a: "b" },
        logprobs: true,
        top_logprobs: 2,
        seed: 7,
        user: "ada",
        stop: ["a", "b"],
        temperature: 0,
        reasoning_effort: "low",
        verbosity: "low",
        prediction: { type: "content", content: "x" },
        response_format: { type: "json_schema", json_schema: { name: "n", strict: true, schema: { type: "object" } } },
        tool_choice: "required",
        tools: openTools
      }
      const { body, last, status, text } = yield* ask("/v1/chat/completions", {
        ...fields,
        messages: [{ role: "developer", content: "Be brief." }, ...messages],
        max_completion_tokens: 9
      })
      assert.strictEqual(status, 200, text)
      const { model: _, tools: _tools, ...same } = fields
      for (const [field, value] of Object.entries(same)) assert.deepStrictEqual(last.body[field], value, field)
      assert.strictEqual(last.body["max_tokens"], 9)
      assert.deepStrictEqual(last.body["messages"][0], { role: "system", content: "Be brief." })
      assert.deepStrictEqual(body["choices"][0].logprobs, { content: [] })
    }).pipe(Effect.scoped)
  )

  it.live("what would be lost is refused by its name", () =>
    Effect.gen(function* () {
      const { ask, sent } = yield* stage
      const document = { type: "document", source: { type: "text", media_type: "text/plain", data: "d" } }
      const user = (content: object) => [{ role: "user", content: [content, { type: "text", text: "Hi" }] }]
      const lost: ReadonlyArray<readonly [path: string, body: object, param: string]> = [
        ["/v1/chat/completions", { messages, n: 2 }, "n"],
        ["/v1/chat/completions", { messages, stream: true, logprobs: true }, "logprobs"],
        ["/v1/chat/completions", { messages: user({ type: "file", file: { file_id: "f" } }) }, "file_data"],
        [
          "/v1/chat/completions",
          { messages: [...messages, { role: "assistant", audio: { id: "a" } }, ...messages] },
          "audio"
        ],
        ["/v1/messages", { messages: user({ ...document, citations: { enabled: true } }), max_tokens: 9 }, "citations"],
        ["/v1/messages", { messages: user({ ...document, context: "c" }), max_tokens: 9 }, "context"],
        ["/v1/messages", { messages: user({ type: "search_result" }), max_tokens: 9 }, "type"]
      ]
      for (const [path, body, param] of lost) {
        const { status, text } = yield* ask(path, { model: "open/m", ...body })
        assert.strictEqual(status, 400, text)
        assert.include(text, param)
      }
      assert.strictEqual(sent.length, 0)
      const counted = yield* ask("/v1/messages/count_tokens", { model: "open/m", messages }).pipe(Effect.exit)
      assert.strictEqual(counted._tag, "Success")
      if (counted._tag === "Success") {
        assert.strictEqual(counted.value.status, 404)
        assert.strictEqual(counted.value.body["error"].type, "not_found_error")
      }
    }).pipe(Effect.scoped)
  )

  it.live("calls of functions as they once were are calls of tools", () =>
    Effect.gen(function* () {
      const { ask } = yield* stage
      const { last, status } = yield* ask("/v1/chat/completions", {
        model: "claude/m",
        messages: [
          ...messages,
          { role: "assistant", content: null, function_call: { name: "read", arguments: '{"path":"a"}' } },
          { role: "function", name: "read", content: "It says a." }
        ],
        tools: openTools
      })
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        (last.body["messages"] as ReadonlyArray<Json>).slice(1).map(({ content }) => content[0].type as string),
        ["tool_use", "tool_result"]
      )
    }).pipe(Effect.scoped)
  )
})
