/** How each fault is acted out. */
import * as Effect from "effect/Effect"
import { halfOf, hugeOf } from "./answer.ts"
import type { Exchange } from "./Exchange.ts"
import type { Frame } from "./wire.ts"

export type Behaviour = (exchange: Exchange) => Effect.Effect<void>

/** The frames up to the middle of the answer, or up to so many pieces of it. */
const firstPart = (frames: ReadonlyArray<Frame>, pieces: number | undefined): ReadonlyArray<Frame> => {
  const contents = frames.filter((frame) => frame.kind === "content").length
  const keep = pieces ?? Math.max(1, Math.floor(contents / 2))
  const head = frames.filter((frame) => frame.kind === "head")
  return [...head, ...frames.filter((frame) => frame.kind === "content").slice(0, keep)]
}

const stallFor = (exchange: Exchange, defaultMillis: number) => Effect.sleep(exchange.parameter ?? defaultMillis)

/** Half an answer, and then something else. A whole answer is announced in full and half of it sent. */
const halfThen =
  (then: (exchange: Exchange) => Effect.Effect<void>): Behaviour =>
  (exchange) =>
    Effect.gen(function* () {
      if (exchange.ask.stream) {
        yield* exchange.streamHead
        yield* exchange.play(firstPart(exchange.frames(), exchange.parameter))
      } else {
        const body = Buffer.from(exchange.body())
        yield* exchange.head(200, { ...exchange.jsonHeaders, "content-length": String(body.length) })
        yield* exchange.write(body.subarray(0, Math.floor(body.length / 2)))
      }
      yield* then(exchange)
    })

const cut = halfThen((exchange) => exchange.cut)

const stalled: Behaviour = (exchange) =>
  Effect.gen(function* () {
    if (!exchange.ask.stream) return yield* halfThen(() => Effect.never)(exchange)
    yield* exchange.streamHead
    yield* exchange.play(firstPart(exchange.frames(), undefined))
    while (true) {
      yield* stallFor(exchange, 1_000)
      yield* exchange.write(exchange.wire.keepAlive)
    }
  })

/** Streams only: a whole answer has nothing of the kind, and is good. */
const streamOnly =
  (behaviour: Behaviour): Behaviour =>
  (exchange) =>
    exchange.ask.stream ? Effect.andThen(exchange.streamHead, behaviour(exchange)) : exchange.good()

const withoutDone = (then: (exchange: Exchange) => Effect.Effect<void>): Behaviour =>
  streamOnly((exchange) =>
    Effect.andThen(exchange.play(exchange.frames().filter((frame) => frame.kind !== "done")), then(exchange))
  )

const malformedEvent = streamOnly((exchange) => {
  const frames = exchange.frames()
  const before = firstPart(frames, undefined)
  const bad: Frame = { kind: "content", bytes: exchange.wire.malformedFrame }
  const after = frames.slice(before.length)
  return Effect.andThen(exchange.play([...before, bad, ...after]), exchange.end)
})

const malformedEvents: Behaviour = (exchange) =>
  Effect.gen(function* () {
    if (!exchange.ask.stream) return yield* invalidJson(exchange)
    yield* exchange.streamHead
    yield* exchange.play(firstPart(exchange.frames(), 1))
    for (let i = 0; i < (exchange.parameter ?? 5); i++) yield* exchange.write(exchange.wire.malformedFrame)
    yield* exchange.end
  })

const invalidJson: Behaviour = (exchange) => {
  const body = exchange.body()
  return exchange.reply({
    status: 200,
    headers: exchange.jsonHeaders,
    body: body.slice(0, Math.floor(body.length / 2))
  })
}

const html: Behaviour = (exchange) =>
  exchange.reply({
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8" },
    body: "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>"
  })

const empty: Behaviour = (exchange) =>
  exchange.reply({
    status: 200,
    headers: exchange.ask.stream
      ? { "content-type": "text/event-stream; charset=utf-8", ...exchange.wire.headers(exchange.stamp) }
      : exchange.jsonHeaders,
    body: ""
  })

/** Byte by byte, spread over the given time by a hundred pauses. */
const slowDrip: Behaviour = (exchange) =>
  Effect.gen(function* () {
    const stream = exchange.ask.stream
    const bytes = Buffer.from(
      stream
        ? exchange
            .frames()
            .map((frame) => frame.bytes)
            .join("")
        : exchange.body()
    )
    yield* stream
      ? exchange.streamHead
      : exchange.head(200, { ...exchange.jsonHeaders, "content-length": String(bytes.length) })
    const between = Math.ceil(bytes.length / 100)
    const pause = Effect.sleep((exchange.parameter ?? 2_000) / 100)
    for (let i = 0; i < bytes.length; i++) {
      yield* exchange.write(bytes.subarray(i, i + 1))
      if (i % between === between - 1) yield* pause
    }
    yield* exchange.end
  })

const errorInStream: Behaviour = (exchange) =>
  exchange.ask.stream
    ? Effect.gen(function* () {
        yield* exchange.streamHead
        yield* exchange.play(firstPart(exchange.frames(), exchange.parameter))
        yield* exchange.write(exchange.wire.errorFrame)
        yield* exchange.end
      })
    : exchange.reply({
        ...exchange.wire.problem("server", exchange.ask, exchange.stamp),
        status: 200
      })

const slowFirstToken: Behaviour = (exchange) =>
  exchange.ask.stream
    ? Effect.gen(function* () {
        yield* exchange.streamHead
        yield* stallFor(exchange, 5_000)
        yield* exchange.play(exchange.frames())
        yield* exchange.end
      })
    : Effect.andThen(stallFor(exchange, 5_000), exchange.good())

/** Faulty for the first calls, one unless the parameter says more; good from then on. */
const first =
  (behaviour: Behaviour): Behaviour =>
  (exchange) =>
    exchange.callNumber <= (exchange.parameter ?? 1) ? behaviour(exchange) : exchange.good()

const rateLimit: Behaviour = (exchange) => exchange.problem("rate-limit", String(exchange.parameter ?? 1))

export const behaviours = {
  good: (exchange) => exchange.good(),
  "rate-limit": rateLimit,
  "rate-limit-no-hint": (exchange) => exchange.problem("rate-limit-no-hint"),
  "rate-limit-once": first((exchange) => exchange.problem("rate-limit", "1")),
  "rate-limit-body-hint": (exchange) => exchange.problem("rate-limit-body-hint"),
  "quota-exhausted": (exchange) => exchange.problem("quota"),
  "error-500-once": first((exchange) => exchange.problem("server")),
  "error-500": (exchange) => exchange.problem("server"),
  "overloaded-503": (exchange) => exchange.problem("overloaded-503"),
  "overloaded-529": (exchange) => exchange.problem("overloaded-529"),
  "reset-before-headers": (exchange) => exchange.reset,
  silence: () => Effect.never,
  "slow-first-token": slowFirstToken,
  "cut-stream": cut,
  "cut-stream-once": (exchange) => (exchange.callNumber === 1 ? cut(exchange) : exchange.good()),
  "end-without-done-mid": (exchange) =>
    exchange.ask.stream ? halfThen((each) => each.endAndClose)(exchange) : cut(exchange),
  "stalled-stream": stalled,
  "malformed-event": malformedEvent,
  "malformed-events": malformedEvents,
  "missing-done": withoutDone((exchange) => exchange.endAndClose),
  "missing-done-open": withoutDone(() => Effect.never),
  "context-overflow": (exchange) => exchange.problem("context-length"),
  "content-filter": (exchange) => exchange.problem("content-filter"),
  "content-filter-output": (exchange) => exchange.good(halfOf(exchange.answer, "content-filter")),
  "prefill-refused": (exchange) => (exchange.ask.prefill === undefined ? exchange.good() : exchange.problem("prefill")),
  "prefill-ok": (exchange) => exchange.good(),
  flapping: (exchange) =>
    exchange.callNumber % (exchange.parameter ?? 2) === 0 ? exchange.problem("overloaded-503") : exchange.good(),
  "wrong-content-type": html,
  "huge-event": (exchange) => exchange.good(hugeOf(exchange.answer, exchange.parameter ?? 1_114_112)),
  "slow-drip": slowDrip,
  "error-in-stream": errorInStream,
  "empty-200": empty,
  "invalid-json-200": invalidJson,
  "auth-401": (exchange) => exchange.problem("auth"),
  "not-found-404": (exchange) => exchange.problem("not-found"),
  /** The server asks this of a model that is down; see `recovering` there. */
  recovering: (exchange) => exchange.problem("overloaded-503")
} satisfies Record<string, Behaviour>

export type FaultName = keyof typeof behaviours
