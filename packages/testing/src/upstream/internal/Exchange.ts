/** One request and the ways to answer it, the indecent ones included. */
import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import type { Answer } from "./answer.ts"
import type { Ask } from "./Ask.ts"
import type { Frame, Problem, Reply, Stamp, Wire } from "./wire.ts"

export class Exchange {
  readonly ask: Ask
  readonly wire: Wire
  readonly stamp: Stamp
  readonly answer: Answer
  /** What follows the colon of the model's name. */
  readonly parameter: number | undefined
  /** How many calls this model has had, this one included. */
  readonly callNumber: number
  /** Set once this side has broken the connection, so that it is not blamed on the client. */
  destroyed = false
  readonly #response: Http.ServerResponse
  readonly #wordMillis: number

  constructor(fields: {
    readonly ask: Ask
    readonly wire: Wire
    readonly stamp: Stamp
    readonly answer: Answer
    readonly parameter: number | undefined
    readonly callNumber: number
    readonly response: Http.ServerResponse
    readonly wordMillis: number
  }) {
    this.ask = fields.ask
    this.wire = fields.wire
    this.stamp = fields.stamp
    this.answer = fields.answer
    this.parameter = fields.parameter
    this.callNumber = fields.callNumber
    this.#response = fields.response
    this.#wordMillis = fields.wordMillis
  }

  /** Sends status and headers now, before any of the body. */
  head(status: number, headers: Readonly<Record<string, string>>): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#response.writeHead(status, { ...headers })
      this.#response.flushHeaders()
    })
  }

  /** The head of a good stream. */
  get streamHead(): Effect.Effect<void> {
    return this.head(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      ...this.wire.headers(this.stamp)
    })
  }

  /** Writes, and waits until the bytes have left for the socket. */
  write(bytes: string | Uint8Array): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      this.#response.write(bytes, () => resume(Effect.void))
    })
  }

  readonly end: Effect.Effect<void> = Effect.sync(() => {
    this.#response.end()
  })

  /** Closes the socket without ending the answer. */
  readonly cut: Effect.Effect<void> = Effect.sync(() => {
    this.destroyed = true
    this.#response.socket?.destroy()
  })

  /** Ends the answer, and the connection with it. */
  readonly endAndClose: Effect.Effect<void> = Effect.sync(() => {
    this.destroyed = true
    const socket = this.#response.socket
    this.#response.end(() => socket?.end())
  })

  /** Resets the socket. */
  readonly reset: Effect.Effect<void> = Effect.sync(() => {
    this.destroyed = true
    this.#response.socket?.resetAndDestroy()
  })

  /** Answers whole. */
  reply(reply: Reply): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#response.writeHead(reply.status, {
        ...reply.headers,
        "content-length": String(Buffer.byteLength(reply.body))
      })
      this.#response.end(reply.body)
    })
  }

  problem(problem: Problem, detail?: string): Effect.Effect<void> {
    return this.reply(this.wire.problem(problem, this.ask, this.stamp, detail))
  }

  frames(answer: Answer = this.answer): ReadonlyArray<Frame> {
    return this.wire.frames(this.ask, answer, this.stamp)
  }

  body(answer: Answer = this.answer): string {
    return this.wire.whole(this.ask, answer, this.stamp)
  }

  get jsonHeaders(): Readonly<Record<string, string>> {
    return { "content-type": "application/json", ...this.wire.headers(this.stamp) }
  }

  /** Plays frames at the speed of the server's words. */
  play(frames: ReadonlyArray<Frame>): Effect.Effect<void> {
    return Effect.forEach(
      frames,
      (frame) =>
        frame.kind === "content" && this.#wordMillis > 0
          ? Effect.andThen(Effect.sleep(this.#wordMillis * 4), this.write(frame.bytes))
          : this.write(frame.bytes),
      { discard: true }
    )
  }

  /** Answers well: as a stream or whole, as was asked. */
  good(answer: Answer = this.answer): Effect.Effect<void> {
    if (this.ask.stream) {
      return this.streamHead.pipe(Effect.andThen(this.play(this.frames(answer))), Effect.andThen(this.end))
    }
    const reply = this.reply({ status: 200, headers: this.jsonHeaders, body: this.body(answer) })
    const millis = this.#wordMillis * 4 * answer.chunks.length
    return millis > 0 ? Effect.andThen(Effect.sleep(millis), reply) : reply
  }
}
