/**
 * The classic faults of a provider through the gateway, streaming, with two retries and one fallback: the client gets
 * the whole answer and `[DONE]`, or a clean error, and sockets do not pile up.
 */
import * as Effect from "effect/Effect"
import { assert, describe, it } from "@effect/vitest"
import { chat, eventually, onStage, post, promised, type Stage } from "./support.ts"

interface Read {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly model: string
  readonly usage: { readonly total_tokens: number } | undefined
  readonly done: boolean
  readonly error: { readonly code: string } | undefined
}

/** Reads a stream of chunks as a client would. */
const readStream = (url: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const response = yield* post(`${url}/v1/chat/completions`, body, headers)
    const raw = yield* promised(() => response.text())
    const out = {
      text: "",
      model: "",
      usage: undefined as Read["usage"],
      done: false,
      error: undefined as Read["error"]
    }
    if (response.status !== 200) out.error = (JSON.parse(raw) as { error: { code: string } }).error
    else {
      for (const event of raw.split("\n\n").filter((each) => each !== "")) {
        const data = event.slice("data: ".length)
        if (data === "[DONE]") {
          out.done = true
          continue
        }
        const chunk = JSON.parse(data)
        if (chunk.error !== undefined) out.error = chunk.error
        out.text += chunk.choices?.[0]?.delta.content ?? ""
        out.model = chunk.model ?? out.model
        out.usage = chunk.usage ?? out.usage
      }
    }
    return { status: response.status, headers: response.headers, ...out } satisfies Read
  })

const asked = (fault: string, more: object = {}) =>
  chat(`first/${fault}`, { stream: true, stream_options: { include_usage: true }, fallbacks: ["second/good"], ...more })

/**
 * Only some faults are found out by the clock. The others get time: client, gateway and both servers share this process,
 * and where the machine is busy a good answer may take longer than a short timeout.
 */
const byTheClock = new Set(["silence", "slow-first-token:1500", "stalled-stream:100"])
const patient = { firstToken: "10s", idle: "10s", attempt: "15s", total: "20s" }
const timeoutsFor = (fault: string) =>
  byTheClock.has(fault) ? { ...patient, firstToken: "700ms", idle: "700ms" } : patient
const backoff = { base: "20ms", cap: "100ms" }

const wholeAnswer = (stage: Stage) => Effect.map(readStream(stage.url, asked("good")), ({ text }) => text)

const rescued: ReadonlyArray<readonly [fault: string, by: "first" | "second"]> = [
  ["rate-limit", "second"],
  ["rate-limit-no-hint", "second"],
  ["rate-limit-once", "first"],
  ["rate-limit-body-hint", "second"],
  ["quota-exhausted", "second"],
  ["error-500-once", "first"],
  ["error-500", "second"],
  ["overloaded-503", "second"],
  ["overloaded-529", "second"],
  ["reset-before-headers", "second"],
  ["silence", "second"],
  ["slow-first-token:1500", "second"],
  ["cut-stream", "second"],
  ["end-without-done-mid", "second"],
  ["stalled-stream:100", "second"],
  ["malformed-event", "first"],
  ["malformed-events", "second"],
  ["missing-done", "first"],
  ["missing-done-open", "first"],
  ["context-overflow", "second"],
  ["flapping", "first"],
  ["wrong-content-type", "second"],
  ["huge-event", "second"],
  ["slow-drip:600", "first"],
  ["error-in-stream", "second"],
  ["empty-200", "second"],
  ["auth-401", "second"],
  ["not-found-404", "second"]
]

describe("faults of the provider, streamed", () => {
  it.live.each(rescued)(
    "%s is rescued with the whole answer",
    ([fault, by]) =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            const expected = yield* wholeAnswer(stage)
            yield* stage.first.reset
            const got = yield* readStream(stage.url, asked(fault))
            assert.strictEqual(got.status, 200, JSON.stringify(got.error))
            assert.isUndefined(got.error)
            assert.strictEqual(got.text, expected)
            assert.isTrue(got.done)
            assert.isAbove(got.usage!.total_tokens, 0)
            // The model that finished the answer is the one that is named.
            assert.strictEqual(got.model, by === "first" ? fault : "good")
            const { total } = yield* stage.first.stats
            assert.isAtMost(total, 3)
            if (fault === "silence") assert.strictEqual(total, 1)
            assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 0)))
            assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
          }),
        { defaults: { backoff, timeouts: timeoutsFor(fault) } }
      ),
    20_000
  )

  it.live("a content filter is a clean error, and nobody else is asked", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const got = yield* readStream(stage.url, asked("content-filter"))
        assert.strictEqual(got.status, 400)
        assert.strictEqual(got.error?.code, "content_filter")
        assert.strictEqual((yield* stage.second.stats).total, 0)
      })
    )
  )

  it.live("a content filter in the middle is an error chunk and [DONE]", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const got = yield* readStream(stage.url, asked("content-filter-output"))
        assert.strictEqual(got.error?.code, "content_filter")
        assert.isTrue(got.done)
      })
    )
  )

  it.live("says which attempts failed, and nothing of what the provider said", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const got = yield* readStream(stage.url, asked("error-500"))
        assert.strictEqual(got.headers.get("x-breakwater-target"), "second/good")
        assert.strictEqual(got.headers.get("x-breakwater-attempts"), "4")
        const failure = "first/error-500=ServerError"
        assert.strictEqual(got.headers.get("x-breakwater-failures"), [failure, failure, failure].join(", "))
      })
    )
  )

  it.live("strict asks nobody else", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        const got = yield* readStream(stage.url, asked("error-500"), { "x-breakwater-strict": "true" })
        assert.strictEqual(got.status, 502)
        assert.strictEqual((yield* stage.second.stats).total, 0)
      })
    )
  )
})

describe("an outage", () => {
  it.live(
    "costs few probes, and the primary is used again soon after it",
    () =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            // Until it is told to end: how long thirty requests take is the machine's affair.
            yield* stage.first.outage("1 hour")
            const began = performance.now()
            const ask = Effect.map(readStream(stage.url, chat("route", { stream: true })), ({ headers, status }) => {
              assert.strictEqual(status, 200)
              return headers.get("x-breakwater-target")
            })
            for (let i = 0; i < 30; i++) {
              assert.strictEqual(yield* ask, "second/good")
              yield* Effect.sleep("20 millis")
            }
            // Five failures open the circuit; what comes after are probes, at most three for each time it was open.
            const halfSeconds = Math.ceil((performance.now() - began) / 500)
            assert.isAtMost((yield* stage.first.stats).total, 8 + 3 * halfSeconds)
            yield* stage.first.outage("1 millis")
            let target: string | null = null
            for (let i = 0; i < 100 && target !== "first/recovering"; i++) {
              target = yield* ask
              yield* Effect.sleep("50 millis")
            }
            assert.strictEqual(target, "first/recovering")
          }),
        {
          defaults: { backoff, timeouts: patient },
          routes: {
            route: { targets: ["first/recovering", "second/good"], breaker: { openFor: "500ms", maxOpenFor: "1s" } }
          }
        }
      ),
    30_000
  )
})

describe("many streams", () => {
  it.live(
    "leave no socket and no request behind",
    () =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            const faults = [
              "good",
              "cut-stream",
              "error-500-once",
              "stalled-stream:100",
              "error-in-stream",
              "empty-200"
            ]
            const expected = yield* wholeAnswer(stage)
            const all = yield* Effect.forEach(
              Array.from({ length: 120 }, (_, i) => faults[i % faults.length]!),
              (fault) => readStream(stage.url, asked(fault)),
              { concurrency: 20 }
            )
            const cut = all.filter(({ done, text }) => !done || text !== expected)
            assert.deepStrictEqual(cut, [])
            assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
            assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 0)))
            assert.isTrue(yield* eventually(Effect.map(stage.first.stats, ({ openSockets }) => openSockets <= 25)))
          }),
        // Twenty at once: a good answer may take its time, and must not be taken for one that stalls.
        { defaults: { backoff, timeouts: { ...patient, firstToken: "2s", idle: "2s" } } }
      ),
    30_000
  )
})
