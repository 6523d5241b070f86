import { Upstream } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Net from "node:net"
import { events, type Parsed, post, type Post, streamedText } from "./wire.ts"

const both = ["openai", "anthropic"] as const

/** Runs a test against a server of its own. */
const upstream = <E>(
  name: string,
  test: (at: Upstream.Upstream, ask: (options: Post) => ReturnType<typeof post>) => Effect.Effect<void, E>,
  options?: Upstream.Options
) =>
  it.live(name, () =>
    Effect.scoped(Effect.flatMap(Upstream.make(options), (at) => test(at, (each) => post(at.url, each))))
  )

describe("Upstream, when it is good", () => {
  upstream("answers OpenAI's wire whole, in 40 to 60 words, with usage and limits", (_, ask) =>
    Effect.gen(function* () {
      const { headers, status, text } = yield* ask({ model: "good" })
      const body = JSON.parse(text)
      assert.strictEqual(status, 200)
      assert.strictEqual(body.object, "chat.completion")
      assert.strictEqual(body.choices[0].finish_reason, "stop")
      const count = body.choices[0].message.content.split(/\s+/).length
      assert.isTrue(count >= 40 && count <= 60, `${count} words`)
      assert.include(body.choices[0].message.content, "What is a breakwater?")
      for (const content of ["", "a b c d e f g h i j k l"]) {
        const other = JSON.parse((yield* ask({ model: "good", body: { messages: [{ role: "user", content }] } })).text)
        const words = other.choices[0].message.content.split(/\s+/).length
        assert.isTrue(words >= 40 && words <= 60, `${words} words`)
      }
      assert.strictEqual(body.usage.total_tokens, body.usage.prompt_tokens + body.usage.completion_tokens)
      assert.isAbove(body.usage.completion_tokens, 40)
      assert.match(String(headers["x-request-id"]), /^req_/)
      assert.strictEqual(headers["x-ratelimit-remaining-requests"], "9999")
    })
  )

  upstream("streams OpenAI's wire: role, several pieces, finish reason, usage if asked, [DONE]", (_, ask) =>
    Effect.gen(function* () {
      const whole = JSON.parse((yield* ask({ model: "good" })).text).choices[0].message.content
      const plain = yield* ask({ model: "good", stream: true })
      const counted = yield* ask({ model: "good", stream: true, body: { stream_options: { include_usage: true } } })
      assert.strictEqual(plain.headers["content-type"], "text/event-stream; charset=utf-8")
      assert.strictEqual(streamedText(plain.text), whole)
      const seen = events(plain.text)
      assert.deepStrictEqual(seen[0].choices[0].delta, { role: "assistant", content: "", refusal: null })
      assert.isAbove(seen.length, 10)
      assert.strictEqual(seen.at(-2).choices[0].finish_reason, "stop")
      assert.strictEqual(seen.at(-1), "[DONE]")
      assert.isFalse(seen.slice(0, -1).some((event) => "usage" in event))
      const last = events(counted.text).at(-2)
      assert.deepStrictEqual(last.choices, [])
      assert.isAbove(last.usage.completion_tokens, 40)
      assert.isTrue(events(counted.text)[0].usage === null)
    })
  )

  upstream("answers Anthropic's wire whole and streamed, with the same words", (_, ask) =>
    Effect.gen(function* () {
      const whole = yield* ask({ model: "good", wire: "anthropic" })
      const body = JSON.parse(whole.text)
      assert.deepStrictEqual([body.type, body.role, body.stop_reason], ["message", "assistant", "end_turn"])
      assert.isAbove(body.usage.output_tokens, 40)
      assert.match(String(whole.headers["anthropic-ratelimit-requests-reset"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      const streamed = yield* ask({ model: "good", wire: "anthropic", stream: true })
      assert.strictEqual(streamedText(streamed.text), body.content[0].text)
      const names = [...streamed.text.matchAll(/^event: (.*)$/gm)].map((match) => match[1])
      assert.deepStrictEqual(
        [...new Set(names)],
        [
          "message_start",
          "content_block_start",
          "ping",
          "content_block_delta",
          "content_block_stop",
          "message_delta",
          "message_stop"
        ]
      )
      const openai = JSON.parse((yield* ask({ model: "any-unknown-name" })).text)
      assert.strictEqual(openai.choices[0].message.content, body.content[0].text)
    })
  )

  upstream("embeds, as numbers or base64, the same text always alike", (_, ask) =>
    Effect.gen(function* () {
      const body = { input: ["a", "b", "a"], dimensions: 16 }
      const plain = JSON.parse((yield* ask({ model: "good", wire: "embeddings", body })).text)
      const packed = JSON.parse(
        (yield* ask({ model: "good", wire: "embeddings", body: { ...body, encoding_format: "base64" } })).text
      )
      assert.deepStrictEqual(
        plain.data.map((each: Parsed) => each.index),
        [0, 1, 2]
      )
      assert.strictEqual(plain.data[0].embedding.length, 16)
      assert.deepStrictEqual(plain.data[0].embedding, plain.data[2].embedding)
      assert.notDeepEqual(plain.data[0].embedding, plain.data[1].embedding)
      const bytes = Buffer.from(packed.data[0].embedding, "base64")
      assert.strictEqual(bytes.length, 64)
      assert.closeTo(bytes.readFloatLE(0), plain.data[0].embedding[0], 1e-6)
    })
  )

  const weather = {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer", minimum: 3 }, unit: { enum: ["C", "F"] } },
    required: ["city", "days", "unit"]
  }

  upstream("calls a tool with arguments of its schema, if the user asks for it, whole and streamed", (_, ask) =>
    Effect.gen(function* () {
      const messages = [{ role: "user", content: "Please use the tool." }]
      const openai = { messages, tools: [{ type: "function", function: { name: "weather", parameters: weather } }] }
      const whole = JSON.parse((yield* ask({ model: "good", body: openai })).text).choices[0]
      assert.strictEqual(whole.finish_reason, "tool_calls")
      assert.deepStrictEqual(JSON.parse(whole.message.tool_calls[0].function.arguments), {
        city: "city",
        days: 3,
        unit: "C"
      })
      const streamed = events((yield* ask({ model: "good", stream: true, body: openai })).text)
      const args = streamed
        .map((event) => event.choices?.[0]?.delta?.tool_calls?.[0]?.function?.arguments ?? "")
        .join("")
      assert.deepStrictEqual(JSON.parse(args), { city: "city", days: 3, unit: "C" })
      assert.strictEqual(streamed.at(-2).choices[0].finish_reason, "tool_calls")

      const anthropic = { messages, tools: [{ name: "weather", input_schema: weather }] }
      const message = JSON.parse((yield* ask({ model: "good", wire: "anthropic", body: anthropic })).text)
      assert.deepStrictEqual([message.stop_reason, message.content[0].input.days], ["tool_use", 3])
      const parts = events((yield* ask({ model: "good", wire: "anthropic", stream: true, body: anthropic })).text)
      assert.deepStrictEqual(JSON.parse(parts.map((event) => event.delta?.partial_json ?? "").join("")).unit, "C")

      const refused = JSON.parse((yield* ask({ model: "good", body: { ...openai, tool_choice: "none" } })).text)
      assert.strictEqual(refused.choices[0].finish_reason, "stop")
      const answered = JSON.parse(
        (yield* ask({
          model: "good",
          body: {
            ...openai,
            messages: [...messages, whole.message, { role: "tool", tool_call_id: "x", content: "12 °C" }]
          }
        })).text
      )
      assert.include(answered.choices[0].message.content, "The tool answered: 12 °C")
    })
  )

  upstream("answers JSON of a schema, if one is asked for", (_, ask) =>
    Effect.gen(function* () {
      const openai = { response_format: { type: "json_schema", json_schema: { name: "w", schema: weather } } }
      const whole = JSON.parse((yield* ask({ model: "good", body: openai })).text)
      assert.deepStrictEqual(JSON.parse(whole.choices[0].message.content), { city: "city", days: 3, unit: "C" })
      const anthropic = { output_config: { format: { type: "json_schema", schema: weather } } }
      const streamed = yield* ask({ model: "good", wire: "anthropic", stream: true, body: anthropic })
      assert.deepStrictEqual(JSON.parse(streamedText(streamed.text)).days, 3)
    })
  )

  upstream("keeps to max tokens and stop sequences", (_, ask) =>
    Effect.gen(function* () {
      const short = JSON.parse((yield* ask({ model: "good", body: { max_tokens: 5 } })).text)
      assert.strictEqual(short.choices[0].finish_reason, "length")
      assert.strictEqual(short.usage.completion_tokens, 5)
      const stopped = JSON.parse((yield* ask({ model: "good", body: { stop: ["naïve"] } })).text)
      assert.notInclude(stopped.choices[0].message.content, "naïve")
    })
  )

  upstream(
    "takes its time for every word if told to",
    (_, ask) =>
      Effect.gen(function* () {
        const streamed = yield* ask({ model: "good", stream: true })
        assert.isAbove(streamed.tookMs, 80)
        assert.isAbove(streamed.pieces, 5)
        assert.isAbove((yield* ask({ model: "good" })).tookMs, 80)
      }),
    { wordDelay: Duration.millis(2) }
  )

  upstream("lists its models, and complains of what is no request", (at, ask) =>
    Effect.gen(function* () {
      const list = yield* Effect.promise(() =>
        fetch(`${at.url}/v1/models`).then((response) => response.json() as Parsed)
      )
      assert.deepStrictEqual(
        list.data.map((model: Parsed) => model.id),
        Upstream.faults.map((fault) => fault.model)
      )
      assert.strictEqual(new Set(list.data.map((model: Parsed) => model.id)).size, 36)
      const bad = yield* Effect.promise(() => fetch(`${at.url}/v1/chat/completions`, { method: "POST", body: "{" }))
      assert.strictEqual(bad.status, 400)
      const nothing = yield* ask({ model: "good", wire: "anthropic", body: { max_tokens: undefined } })
      assert.deepStrictEqual(JSON.parse(nothing.text).error, {
        type: "invalid_request_error",
        message: "max_tokens: Field required"
      })
      assert.strictEqual((yield* Effect.promise(() => fetch(`${at.url}/nowhere`))).status, 404)
    })
  )
})

describe("Upstream, failing by status", () => {
  const table: ReadonlyArray<
    readonly [model: string, openai: readonly [number, string | null], anthropic: readonly [number, string]]
  > = [
    ["rate-limit", [429, "rate_limit_exceeded"], [429, "rate_limit_error"]],
    ["rate-limit-no-hint", [429, "rate_limit_exceeded"], [429, "rate_limit_error"]],
    ["rate-limit-body-hint", [429, "rate_limit_exceeded"], [429, "rate_limit_error"]],
    ["quota-exhausted", [429, "insufficient_quota"], [402, "billing_error"]],
    ["error-500", [500, null], [500, "api_error"]],
    ["overloaded-503", [503, null], [503, "overloaded_error"]],
    ["overloaded-529", [529, null], [529, "overloaded_error"]],
    ["context-overflow", [400, "context_length_exceeded"], [400, "invalid_request_error"]],
    ["content-filter", [400, "content_policy_violation"], [400, "invalid_request_error"]],
    ["auth-401", [401, "invalid_api_key"], [401, "authentication_error"]],
    ["not-found-404", [404, "model_not_found"], [404, "not_found_error"]],
    ["recovering", [503, null], [503, "overloaded_error"]]
  ]
  for (const [model, openai, anthropic] of table) {
    upstream(`${model}: the status and body of each wire, streamed or not, twice`, (_, ask) =>
      Effect.gen(function* () {
        for (const stream of [false, true, true]) {
          const one = yield* ask({ model, stream })
          const error = JSON.parse(one.text).error
          assert.deepStrictEqual([one.status, error.code], [...openai])
          assert.deepStrictEqual(Object.keys(error), ["message", "type", "param", "code"])
          const other = yield* ask({ model, stream, wire: "anthropic" })
          const body = JSON.parse(other.text)
          assert.deepStrictEqual([other.status, body.error.type], [...anthropic])
          assert.deepStrictEqual([body.type, body.request_id], ["error", other.headers["request-id"]])
        }
        assert.strictEqual((yield* ask({ model, wire: "embeddings" })).status, openai[0])
      })
    )
  }

  upstream("rate limits say when, in the header, in the text, or not at all", (_, ask) =>
    Effect.gen(function* () {
      for (const wire of both) {
        assert.strictEqual((yield* ask({ model: "rate-limit", wire })).headers["retry-after"], "1")
        assert.strictEqual((yield* ask({ model: "rate-limit:7", wire })).headers["retry-after"], "7")
        const silent = yield* ask({ model: "rate-limit-no-hint", wire })
        assert.isUndefined(silent.headers["retry-after"])
        assert.notMatch(silent.text, /try again/)
        const told = yield* ask({ model: "rate-limit-body-hint", wire })
        assert.isUndefined(told.headers["retry-after"])
        assert.include(told.text, "try again in 634ms")
      }
    })
  )

  upstream("overflow names its numbers", (_, ask) =>
    Effect.gen(function* () {
      assert.include((yield* ask({ model: "context-overflow" })).text, "maximum context length is 8192 tokens")
      assert.include(
        (yield* ask({ model: "context-overflow", wire: "anthropic" })).text,
        "208310 tokens > 200000 maximum"
      )
    })
  )

  upstream("once is once for the server, more with a parameter, and again after a reset", (at, ask) =>
    Effect.gen(function* () {
      const statuses = (model: string, count: number) =>
        Effect.forEach(Array.from({ length: count }), () => Effect.map(ask({ model }), (seen) => seen.status))
      assert.deepStrictEqual(yield* statuses("rate-limit-once", 3), [429, 200, 200])
      assert.deepStrictEqual(yield* statuses("error-500-once", 2), [500, 200])
      assert.deepStrictEqual(yield* statuses("error-500-once:2", 3), [500, 500, 200])
      assert.deepStrictEqual(yield* statuses("flapping", 4), [200, 503, 200, 503])
      assert.deepStrictEqual(yield* statuses("error-500?after=1&times=2", 4), [200, 500, 500, 200])
      yield* at.reset
      assert.deepStrictEqual(yield* statuses("error-500-once", 2), [500, 200])
    })
  )

  upstream("recovering is down after the start and after an outage, for as long as is said", (at, ask) =>
    Effect.gen(function* () {
      const status = Effect.map(ask({ model: "recovering:150" }), (seen) => seen.status)
      assert.strictEqual(yield* status, 503)
      yield* Effect.sleep(200)
      assert.strictEqual(yield* status, 200)
      yield* at.outage("10 seconds")
      assert.strictEqual(yield* status, 503)
      yield* Effect.promise(() => fetch(`${at.url}/_control/outage?ms=0`, { method: "POST" }))
      assert.strictEqual(yield* status, 200)
    })
  )

  upstream("prefill is refused, ignored, or gone on from", (_, ask) =>
    Effect.gen(function* () {
      const messages = (prefill: string) => [
        { role: "user", content: "What is a breakwater?" },
        { role: "assistant", content: prefill }
      ]
      for (const wire of both) {
        const whole = streamedText((yield* ask({ model: "good", wire, stream: true })).text)
        const begun = whole.slice(0, 60)
        const refused = yield* ask({ model: "prefill-refused", wire, body: { messages: messages(begun) } })
        assert.strictEqual(refused.status, 400)
        assert.strictEqual((yield* ask({ model: "prefill-refused", wire })).status, 200)
        const gone = yield* ask({ model: "prefill-ok", wire, stream: true, body: { messages: messages(begun) } })
        assert.strictEqual(begun + streamedText(gone.text), whole)
        const anew = yield* ask({ model: "good", wire, stream: true, body: { messages: messages(begun) } })
        assert.strictEqual(streamedText(anew.text), whole)
      }
    })
  )
})

describe("Upstream, failing on the wire", () => {
  for (const wire of both) {
    const good = (ask: (options: Post) => ReturnType<typeof post>) =>
      Effect.map(ask({ model: "good", wire, stream: true }), (seen) => streamedText(seen.text))

    upstream(`${wire}: reset-before-headers`, (_, ask) =>
      Effect.gen(function* () {
        for (const stream of [true, false]) {
          const seen = yield* ask({ model: "reset-before-headers", wire, stream })
          assert.deepStrictEqual([seen.status, seen.ending], [undefined, "reset"])
        }
      })
    )

    upstream(`${wire}: silence sends nothing at all`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "silence", wire, stream: true, patienceMs: 150 })
        assert.deepStrictEqual([seen.status, seen.text, seen.ending], [undefined, "", "gaveUp"])
      })
    )

    upstream(`${wire}: slow-first-token sends headers, and the token when it is time`, (_, ask) =>
      Effect.gen(function* () {
        const waiting = yield* ask({ model: "slow-first-token", wire, stream: true, patienceMs: 150 })
        assert.deepStrictEqual([waiting.status, waiting.text, waiting.ending], [200, "", "gaveUp"])
        const late = yield* ask({ model: "slow-first-token:120", wire, stream: true })
        assert.isAbove(late.firstByteMs, 110)
        assert.strictEqual(streamedText(late.text), yield* good(ask))
        assert.isAbove((yield* ask({ model: "slow-first-token:120", wire })).firstByteMs, 110)
      })
    )

    upstream(`${wire}: cut-stream breaks in the middle, every time; cut-stream-once the first time`, (_, ask) =>
      Effect.gen(function* () {
        const whole = yield* good(ask)
        for (let i = 0; i < 2; i++) {
          const seen = yield* ask({ model: "cut-stream", wire, stream: true })
          const text = streamedText(seen.text)
          assert.strictEqual(seen.ending, "aborted")
          assert.isTrue(text.length > 0 && text.length < whole.length && whole.startsWith(text))
        }
        const half = yield* ask({ model: "cut-stream", wire })
        assert.strictEqual(half.ending, "aborted")
        assert.throws(() => JSON.parse(half.text))
        const early = yield* ask({ model: "cut-stream:1", wire, stream: true })
        assert.isBelow(streamedText(early.text).length, 60)
        assert.strictEqual((yield* ask({ model: "cut-stream-once", wire, stream: true })).ending, "aborted")
        assert.strictEqual(streamedText((yield* ask({ model: "cut-stream-once", wire, stream: true })).text), whole)
      })
    )

    upstream(`${wire}: end-without-done-mid ends as if all were well, without a finish reason`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "end-without-done-mid", wire, stream: true })
        assert.strictEqual(seen.ending, "end")
        assert.notMatch(seen.text, /"(finish|stop)_reason":"/)
        assert.isAbove(streamedText(seen.text).length, 0)
      })
    )

    upstream(`${wire}: stalled-stream stops, and only keep-alives continue`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "stalled-stream:40", wire, stream: true, patienceMs: 250 })
        assert.strictEqual(seen.ending, "gaveUp")
        const whole = yield* good(ask)
        assert.isTrue(whole.startsWith(streamedText(seen.text)) && streamedText(seen.text).length < whole.length)
        const alive = wire === "openai" ? ": keep-alive\n\n" : "event: ping\n"
        assert.isAbove(seen.text.split(alive).length - 1, 2)
        const half = yield* ask({ model: "stalled-stream", wire, patienceMs: 100 })
        assert.strictEqual(half.ending, "gaveUp")
        assert.isAbove(half.text.length, 0)
      })
    )

    upstream(
      `${wire}: malformed-event is one bad event in a whole answer; malformed-events go on to the end`,
      (_, ask) =>
        Effect.gen(function* () {
          const isBad = (event: unknown) => typeof event === "string" && event !== "[DONE]"
          const one = yield* ask({ model: "malformed-event", wire, stream: true })
          assert.strictEqual(events(one.text).filter(isBad).length, 1)
          assert.strictEqual(streamedText(one.text), yield* good(ask))
          const many = yield* ask({ model: "malformed-events", wire, stream: true })
          assert.deepStrictEqual(events(many.text).slice(-5).filter(isBad).length, 5)
          assert.notMatch(many.text, /"(finish|stop)_reason":"/)
        })
    )

    upstream(`${wire}: missing-done closes after the finish reason; missing-done-open stays open`, (_, ask) =>
      Effect.gen(function* () {
        const closed = yield* ask({ model: "missing-done", wire, stream: true })
        const open = yield* ask({ model: "missing-done-open", wire, stream: true, patienceMs: 200 })
        assert.deepStrictEqual([closed.ending, open.ending], ["end", "gaveUp"])
        for (const seen of [closed, open]) {
          assert.strictEqual(streamedText(seen.text), yield* good(ask))
          assert.match(seen.text, /"(finish|stop)_reason":"/)
          assert.notMatch(seen.text, /\[DONE\]|message_stop/)
        }
      })
    )

    upstream(`${wire}: content-filter-output stops early and says so`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "content-filter-output", wire, stream: true })
        const whole = yield* good(ask)
        assert.isTrue(whole.startsWith(streamedText(seen.text)) && streamedText(seen.text).length < whole.length)
        const reason = wire === "openai" ? '"finish_reason":"content_filter"' : '"stop_reason":"refusal"'
        assert.include(seen.text, reason)
        assert.include((yield* ask({ model: "content-filter-output", wire })).text, reason)
      })
    )

    upstream(`${wire}: wrong-content-type, empty-200 and invalid-json-200 are 200 and no answer`, (_, ask) =>
      Effect.gen(function* () {
        for (const stream of [true, false]) {
          const html = yield* ask({ model: "wrong-content-type", wire, stream })
          assert.deepStrictEqual([html.status, html.headers["content-type"]], [200, "text/html; charset=utf-8"])
          const empty = yield* ask({ model: "empty-200", wire, stream })
          assert.deepStrictEqual([empty.status, empty.text, empty.ending], [200, "", "end"])
          const invalid = yield* ask({ model: "invalid-json-200", wire, stream })
          assert.deepStrictEqual([invalid.status, invalid.ending], [200, "end"])
          assert.match(invalid.text, /^\{"id":/)
          assert.throws(() => JSON.parse(invalid.text))
        }
      })
    )

    upstream(`${wire}: huge-event has an event of more than 1 MiB`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "huge-event", wire, stream: true })
        const longest = Math.max(...seen.text.split("\n\n").map((event) => event.length))
        assert.isAbove(longest, 1_048_576)
        assert.strictEqual(seen.ending, "end")
      })
    )

    upstream(`${wire}: slow-drip sends a byte at a time and is whole in the end`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "slow-drip:300", wire, stream: true })
        assert.strictEqual(streamedText(seen.text), yield* good(ask))
        assert.isAbove(seen.tookMs, 200)
        assert.isAbove(seen.pieces, 100)
        assert.strictEqual((yield* ask({ model: "slow-drip:100", wire })).ending, "end")
      })
    )

    upstream(`${wire}: error-in-stream is an error inside a 200`, (_, ask) =>
      Effect.gen(function* () {
        const seen = yield* ask({ model: "error-in-stream", wire, stream: true })
        assert.strictEqual(seen.status, 200)
        assert.isAbove(streamedText(seen.text).length, 0)
        const last = events(seen.text).at(-1)
        assert.strictEqual(last.error.type, wire === "openai" ? "server_error" : "overloaded_error")
        const whole = yield* ask({ model: "error-in-stream", wire })
        assert.strictEqual(whole.status, 200)
        assert.isString(JSON.parse(whole.text).error.message)
      })
    )
  }
})

describe("Upstream, as a server", () => {
  upstream("counts by model and client, and the clients that gave up", (at, ask) =>
    Effect.gen(function* () {
      yield* ask({ model: "good", headers: { "x-client-id": "ada" } })
      yield* ask({ model: "good", headers: { authorization: "Bearer test-key-1234" } })
      yield* ask({ model: "silence", patienceMs: 60 })
      yield* ask({ model: "cut-stream", stream: true })
      yield* ask({ model: "missing-done", stream: true })
      yield* Effect.sleep(50)
      const stats = yield* at.stats
      assert.strictEqual(stats.total, 5)
      assert.deepStrictEqual(stats.byModel, { good: 2, silence: 1, "cut-stream": 1, "missing-done": 1 })
      assert.deepStrictEqual(stats.byClient, { ada: 1, "…1234": 1, anonymous: 3 })
      assert.deepStrictEqual([stats.abortedByClient, stats.inFlight, stats.openSockets], [1, 0, 0])
      const overHttp = yield* Effect.promise(() =>
        fetch(`${at.url}/_control/stats`).then((response) => response.json() as Parsed)
      )
      assert.strictEqual(overHttp.total, 5)
      assert.deepStrictEqual((yield* at.requests).map((request) => request.model)[4], "missing-done")
      yield* Effect.promise(() => fetch(`${at.url}/_control/reset`, { method: "POST" }))
      assert.strictEqual((yield* at.stats).total, 0)
    })
  )

  it.live("leaves nothing behind: sockets, timers and fibers end with the scope", () =>
    Effect.gen(function* () {
      const handles = () =>
        process.getActiveResourcesInfo().filter((name) => name === "TCPServerWrap" || name === "TCPSocketWrap").length
      const before = handles()
      const scope = yield* Scope.make()
      const at = yield* Scope.provide(Upstream.make(), scope)
      const socket = Net.connect(at.port, "127.0.0.1")
      const gone = new Promise((resolve) => socket.on("error", () => {}).once("close", resolve))
      const pending = ["silence", "slow-first-token:60000", "stalled-stream", "missing-done-open"].map((model) =>
        Effect.runPromise(post(at.url, { model, stream: true, patienceMs: 20_000 }))
      )
      while ((yield* at.stats).inFlight < 4 || (yield* at.stats).openSockets < 5) yield* Effect.sleep(5)
      yield* Scope.close(scope, Exit.void)
      const seen = yield* Effect.promise(() => Promise.all(pending))
      assert.deepStrictEqual(
        seen.map((each) => each.ending),
        ["reset", "aborted", "aborted", "aborted"]
      )
      yield* Effect.promise(() => gone)
      yield* Effect.sleep(20)
      assert.deepStrictEqual(
        [(yield* at.stats).openSockets, (yield* at.stats).inFlight, (yield* at.stats).abortedByClient],
        [0, 0, 0]
      )
      assert.isAtMost(handles(), before)
    })
  )

  upstream("survives half a request, a wrong path and garbage", (at, ask) =>
    Effect.gen(function* () {
      const send = (bytes: string) =>
        Effect.promise(
          () =>
            new Promise<void>((resolve) => {
              const socket = Net.connect(at.port, "127.0.0.1", () =>
                socket.write(bytes, () => setTimeout(() => socket.destroy(), 20))
              )
              socket.on("error", () => {}).once("close", () => resolve())
            })
        )
      yield* send('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"model":')
      yield* send("GET //:99999999 HTTP/1.1\r\nhost: x\r\n\r\n")
      yield* send("nonsense\r\n\r\n")
      assert.strictEqual((yield* ask({ model: "good", body: { messages: "none", tools: 7, stop: {} } })).status, 200)
      yield* Effect.sleep(20)
      assert.deepStrictEqual([(yield* at.stats).openSockets, (yield* at.stats).total], [0, 1])
    })
  )

  it.live("can be had from a Layer, and says so if its port is taken", () =>
    Effect.gen(function* () {
      const at = yield* Upstream.UpstreamServer
      assert.strictEqual((yield* post(at.url, { model: "good" })).status, 200)
      const error = yield* Effect.flip(Effect.scoped(Upstream.make({ port: at.port })))
      assert.strictEqual(error._tag, "UpstreamError")
    }).pipe(Effect.provide(Upstream.layer()))
  )

  it.effect("refuses ports and delays that are none", () =>
    Effect.gen(function* () {
      for (const options of [
        { port: -1 },
        { port: 1.5 },
        { port: 70_000 },
        { wordDelay: NaN },
        { wordDelay: Infinity }
      ]) {
        const error = yield* Effect.flip(Effect.scoped(Upstream.make(options)))
        assert.strictEqual(error._tag, "ConfigError")
      }
    })
  )
})
