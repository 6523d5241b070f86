/** Bodies made at random from those that are right: whatever comes, it is no 500, and the next request is answered. */
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { chat, eventually, onStage, post, promised } from "./support.ts"

/** The same numbers every time. */
const randomFrom = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const odd: ReadonlyArray<unknown> = [
  null,
  true,
  false,
  0,
  -1,
  1e308,
  1.5,
  "",
  "x",
  "\u0000",
  "\ud800",
  [],
  {},
  [null],
  [[]],
  { type: null },
  { type: "text" },
  { type: "function" },
  { type: "image_url", image_url: 7 },
  { role: "user" },
  { role: "tool", content: {} },
  "a".repeat(5_000),
  { toString: 1 },
  { length: 3 },
  JSON.parse('{"then":"x"}') as unknown,
  { _tag: "Problem" }
]

const full = {
  openai: {
    ...chat("first/good"),
    fallbacks: ["second/good"],
    temperature: 1,
    stop: ["END"],
    max_tokens: 50,
    seed: 1,
    user: "u",
    stream: false,
    stream_options: { include_usage: true },
    reasoning_effort: "low",
    tools: [
      { type: "function", function: { name: "f", description: "d", parameters: { type: "object" }, strict: true } }
    ],
    tool_choice: { type: "function", function: { name: "f" } },
    response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "object" } } },
    messages: [
      { role: "system", content: "s" },
      {
        role: "user",
        content: [
          { type: "text", text: "t" },
          { type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } }
        ]
      },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }]
      },
      { role: "tool", tool_call_id: "c", content: "r" },
      { role: "user", content: "u" }
    ]
  },
  anthropic: {
    model: "claude/good",
    max_tokens: 50,
    system: [{ type: "text", text: "s", cache_control: { type: "ephemeral" } }],
    stop_sequences: ["END"],
    metadata: { user_id: "u" },
    thinking: { type: "enabled", budget_tokens: 1_024 },
    output_config: { format: { type: "json_schema", schema: { type: "object" } } },
    tools: [{ name: "f", description: "d", input_schema: { type: "object" } }],
    tool_choice: { type: "auto" },
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "t" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }
        ]
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "h", signature: "s" },
          { type: "tool_use", id: "c", name: "f", input: {} }
        ]
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: [{ type: "text", text: "r" }] }] }
    ]
  },
  embeddings: { model: "first/good", input: ["one", "two"], dimensions: 4, encoding_format: "float", user: "u" }
} as const

/** Changes one to three places: another value, or none. */
const spoiled = (value: unknown, random: () => number): unknown => {
  const copy = structuredClone(value)
  const places: Array<readonly [Record<string, unknown>, string]> = []
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, unknown>, key])
      walk((node as Record<string, unknown>)[key])
    }
  }
  walk(copy)
  for (let i = 0; i <= random() * 2; i++) {
    const [node, key] = places[Math.floor(random() * places.length)]!
    if (random() < 0.15) delete node[key]
    else node[key] = structuredClone(odd[Math.floor(random() * odd.length)])
  }
  return copy
}

const paths = { openai: "/v1/chat/completions", anthropic: "/v1/messages", embeddings: "/v1/embeddings" } as const

describe("bodies made at random", () => {
  it.live.each(Object.keys(paths) as ReadonlyArray<keyof typeof paths>)(
    "for %s are never a 500",
    (kind) =>
      onStage((stage) =>
        Effect.gen(function* () {
          const random = randomFrom(20_261_122)
          const statuses = new Map<number, number>()
          yield* Effect.forEach(
            Array.from({ length: 600 }, () => JSON.stringify(spoiled(full[kind], random))),
            (body) =>
              Effect.gen(function* () {
                const response = yield* post(`${stage.url}${paths[kind]}`, body)
                const text = yield* promised(() => response.text())
                assert.notStrictEqual(response.status, 500, `${body.slice(0, 2_000)}\n${text}`)
                assert.notInclude(text, "    at ")
                statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
              }),
            { concurrency: 8 }
          )
          assert.isAbove(statuses.get(400) ?? 0, 50)
          assert.isAbove(statuses.get(200) ?? 0, 20)
          assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
        })
      ),
    60_000
  )
})
