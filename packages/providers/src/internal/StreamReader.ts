/**
 * Turns the bytes of one streamed answer into stream parts: SSE, JSON, decoder, and the rules of what counts as
 * the end. Pure state; the reading of bytes is `HttpCall`'s.
 */
import type { LLMError, Response } from "@breakwater/core"
import { interrupted, invalidResponse, type Origin, type Target } from "./Failure.ts"
import { makeParser, type SseEvent, type SseParser } from "./Sse.ts"

type Part = Response.StreamPart
type AttemptError = LLMError.AttemptError

/** What a codec gives for one stream. One object serves one stream. */
export interface StreamDecoder {
  /**
   * Appends the parts of one event; `json` is its data, parsed. A `finish` part ends the stream: nothing is read
   * after it. Returns the error if the event is one.
   */
  readonly event: (json: unknown, event: SseEvent, out: Array<Part>) => AttemptError | undefined
  /**
   * The stream is over: `done` by its `[DONE]`, or `closed` without. Appends the rest of the parts and the `finish`
   * part and returns `true`, or returns `false` if the answer is not complete, or an error.
   */
  readonly end: (how: "done" | "closed", out: Array<Part>) => AttemptError | boolean
  /** True when the answer is complete but for its usage: the rest is waited for only briefly. */
  readonly settling?: boolean
}

export interface ReaderOptions {
  readonly decoder: StreamDecoder
  readonly origin: Origin
  readonly onMalformed: (inARow: number) => void
  /** The answer was no event stream at all: what its text says. */
  readonly onText: (text: string) => AttemptError | ReadonlyArray<Part>
  readonly maxEventBytes?: number
}

const maxMalformed = 3
const maxPlainText = 64 * 1024

/** One stream being read. Feed it, then take `out` and look at `failure` and `finished`. */
export class StreamReader {
  /** Parts that are ready. The caller takes the array and leaves a new one. */
  out: Array<Part> = []
  failure: AttemptError | undefined = undefined
  finished = false
  /** Whether the connection has ended: there is nothing left to drain. */
  closed = false
  private readonly options: ReaderOptions
  private readonly parser: SseParser
  /** Everything handed on, for the error of a broken stream. */
  private readonly handed: Array<Part> = []
  private malformed = 0
  private sawEvent = false
  private plain: Array<Uint8Array> | undefined = []
  private plainLength = 0

  constructor(options: ReaderOptions) {
    this.options = options
    this.parser = makeParser({
      flushAtEnd: true,
      errorField: true,
      ...(options.maxEventBytes === undefined ? {} : { maxEventBytes: options.maxEventBytes })
    })
  }

  get target(): Target {
    return this.options.origin
  }

  get settling(): boolean {
    return this.options.decoder.settling === true
  }

  /** Takes the parts that are ready. */
  take(): Array<Part> {
    const out = this.out
    this.out = []
    for (const part of out) this.handed.push(part)
    return out
  }

  feed(chunk: Uint8Array): void {
    if (this.finished || this.failure !== undefined) return
    if (this.plain !== undefined) this.keepPlain(chunk)
    this.events(this.parser.feed(chunk), false)
    if (this.parser.tooLarge && !this.finished && this.failure === undefined) {
      this.failure = invalidResponse(this.options.origin, "An event of the stream was larger than allowed.")
    }
  }

  /** The connection ended, well (`cause` undefined) or not, or the wait for the rest of a complete answer is over. */
  close(cause?: unknown): void {
    this.closed = true
    if (this.finished || this.failure !== undefined) return
    if (cause === undefined) {
      this.events(this.parser.end(), true)
      if (this.finished || this.failure !== undefined) return
      if (!this.sawEvent && this.plainLength > 0) return this.text()
    }
    const ended = this.options.decoder.end("closed", this.out)
    if (ended === true) this.finished = true
    else this.failure = ended === false ? this.broken(cause) : ended
  }

  private broken(cause: unknown): AttemptError {
    const message =
      cause === undefined
        ? "The stream ended before the answer was complete."
        : "The connection broke before the answer was complete."
    return interrupted(this.options.origin, [...this.handed, ...this.out], message, cause)
  }

  private events(events: ReadonlyArray<SseEvent>, atEnd: boolean): void {
    if (events.length === 0) return
    for (const event of events) {
      this.event(event, atEnd)
      if (this.finished || this.failure !== undefined) return
    }
  }

  private event(event: SseEvent, atEnd: boolean): void {
    const { decoder } = this.options
    const data = event.data
    if (data === "[DONE]") {
      this.seen()
      const ended = decoder.end("done", this.out)
      if (ended === true) this.finished = true
      else this.failure = ended === false ? this.broken(undefined) : ended
      return
    }
    if (data.length === 0) return
    let json: unknown
    try {
      json = JSON.parse(data) as unknown
    } catch {
      // What the end of the input cut short is not malformed.
      if (!atEnd) this.skip(data)
      return
    }
    this.seen()
    const error = decoder.event(json, event, this.out)
    if (error !== undefined) this.failure = error
    else if (this.out.length > 0 && this.out[this.out.length - 1]!.type === "finish") this.finished = true
  }

  private seen(): void {
    this.malformed = 0
    this.sawEvent = true
    this.plain = undefined
  }

  private skip(data: string): void {
    this.sawEvent = true
    this.plain = undefined
    this.malformed++
    this.options.onMalformed(this.malformed)
    if (this.malformed >= maxMalformed) {
      this.failure = invalidResponse(this.options.origin, `${maxMalformed} events in a row could not be read.`, data)
    }
  }

  private keepPlain(chunk: Uint8Array): void {
    if (this.plainLength >= maxPlainText) return
    this.plain!.push(chunk)
    this.plainLength += chunk.length
  }

  private text(): void {
    const bytes = new Uint8Array(this.plainLength)
    let at = 0
    for (const chunk of this.plain ?? []) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    const text = new TextDecoder().decode(bytes.subarray(0, maxPlainText)).trim()
    // Comments alone are a stream that broke off, not an answer in text.
    if (text.length === 0 || text.startsWith(":") || /^(?:data|event|id|retry|error):/.test(text)) {
      const ended = this.options.decoder.end("closed", this.out)
      if (ended === true) this.finished = true
      else this.failure = ended === false ? this.broken(undefined) : ended
      return
    }
    const answer = this.options.onText(text)
    if ("_tag" in answer) this.failure = answer
    else {
      for (const part of answer) this.out.push(part)
      this.finished = true
    }
  }
}
