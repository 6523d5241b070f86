/**
 * An incremental parser of server-sent events over bytes, as the WHATWG standard describes them: CR, LF and
 * CRLF ends of line, comments, several data lines, a byte order mark, and chunks cut anywhere, even within a
 * character.
 *
 * Pure and synchronous. Text is decoded a chunk at a time and scanned with `indexOf`, because a stream of
 * tokens is thousands of small events.
 */

/** One dispatched event. */
export interface SseEvent {
  /** The event's name; `message` if it has none. */
  readonly event: string
  readonly data: string
  /** The last id the stream has set; empty if none. */
  readonly id: string
}

export interface SseOptions {
  /**
   * How long one event may be, counted in characters of its decoded text (never more than its bytes).
   * Default: 1 MiB. It bounds the memory a hostile server can take.
   */
  readonly maxEventBytes?: number
  /**
   * Dispatch an event that the end of the input has cut short of its blank line. The standard drops it, which
   * is the default; some servers leave the last blank line out.
   */
  readonly flushAtEnd?: boolean
  /**
   * Read a field `error` as the data of an event named `error`. It is none of the standard's, but some servers
   * (older ones of llama.cpp) report failures so. Default: `false`.
   */
  readonly errorField?: boolean
}

export interface SseParser {
  /** The events that are complete with this chunk. Empty for ever once {@link SseParser.tooLarge} is true. */
  readonly feed: (chunk: Uint8Array) => ReadonlyArray<SseEvent>
  /** To be called once, at the end of the input. */
  readonly end: () => ReadonlyArray<SseEvent>
  /** Whether an event was longer than allowed. Events before it have been dispatched. */
  readonly tooLarge: boolean
  /** Milliseconds the server asked a reconnecting client to wait, if it did. */
  readonly retry: number | undefined
}

const defaultMaxEventBytes = 1024 * 1024

const none: ReadonlyArray<SseEvent> = []
const noBytes = new Uint8Array(0)
const LF = 10
const SPACE = 32
const COLON = 58

/** Bytes at the end that begin a character which is not complete yet: 0 to 3. */
const incompleteTail = (bytes: Uint8Array): number => {
  const length = bytes.length
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back]!
    if (byte < 0x80) return 0
    if (byte >= 0xc0) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return needed > back ? back : 0
    }
  }
  return 0
}

const join = (head: Uint8Array, tail: Uint8Array): Uint8Array => {
  const out = new Uint8Array(head.length + tail.length)
  out.set(head)
  out.set(tail, head.length)
  return out
}

/** `text.startsWith("data:", start)`, several times faster on texts that are not ASCII. */
const isData = (text: string, start: number): boolean =>
  text.charCodeAt(start) === 100 &&
  text.charCodeAt(start + 1) === 97 &&
  text.charCodeAt(start + 2) === 116 &&
  text.charCodeAt(start + 3) === 97 &&
  text.charCodeAt(start + 4) === COLON

class Parser implements SseParser {
  tooLarge = false
  retry: number | undefined = undefined
  private readonly max: number
  private readonly flushAtEnd: boolean
  private readonly errorField: boolean
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  /** The bytes of a character that a chunk has cut. */
  private cut: Uint8Array = noBytes
  /** The text of a line that a chunk has cut. Appended to, never scanned again. */
  private partial = ""
  private started = false
  private afterCr = false
  private name = ""
  private data: string | undefined = undefined
  private id = ""
  private out: Array<SseEvent> | undefined = undefined

  constructor(options: SseOptions | undefined) {
    this.max = options?.maxEventBytes ?? defaultMaxEventBytes
    this.flushAtEnd = options?.flushAtEnd ?? false
    this.errorField = options?.errorField ?? false
  }

  feed(chunk: Uint8Array): ReadonlyArray<SseEvent> {
    if (this.tooLarge || chunk.length === 0) return none
    let bytes = chunk
    if (this.cut.length > 0) {
      bytes = join(this.cut, chunk)
      this.cut = noBytes
    }
    const tail = bytes[bytes.length - 1]! < 0x80 ? 0 : incompleteTail(bytes)
    if (tail > 0) {
      this.cut = bytes.slice(bytes.length - tail)
      bytes = bytes.subarray(0, bytes.length - tail)
      if (bytes.length === 0) return none
    }
    this.scan(this.decoder.decode(bytes))
    return this.take()
  }

  end(): ReadonlyArray<SseEvent> {
    if (this.tooLarge || !this.flushAtEnd) return none
    if (this.cut.length > 0) this.scan(this.decoder.decode(this.cut))
    if (this.partial.length > 0) this.scan("\n")
    this.line("", 0, 0)
    return this.take()
  }

  private take(): ReadonlyArray<SseEvent> {
    const out = this.out
    this.out = undefined
    return out ?? none
  }

  private scan(text: string): void {
    let position = 0
    if (!this.started) {
      this.started = true
      if (text.charCodeAt(0) === 0xfeff) position = 1
    }
    if (this.afterCr && position < text.length) {
      this.afterCr = false
      if (text.charCodeAt(position) === LF) position++
    }
    const length = text.length
    // The next of each kind; looked for again only when it has been passed.
    let lf = text.indexOf("\n", position)
    let cr = text.indexOf("\r", position)
    while (lf !== -1 || cr !== -1) {
      // Almost every event of a model is one data line and a blank one: no state is touched for it.
      if (cr === -1 && text.charCodeAt(lf + 1) === LF && this.isWhole(text, position, lf)) {
        const from = text.charCodeAt(position + 5) === SPACE ? position + 6 : position + 5
        this.emit(text.slice(Math.min(from, lf), lf))
        position = lf + 2
        lf = text.indexOf("\n", position)
        continue
      }
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr
      if (this.partial.length > 0) {
        const whole = this.partial + text.slice(position, end)
        this.partial = ""
        this.line(whole, 0, whole.length)
      } else {
        this.line(text, position, end)
      }
      if (this.tooLarge) return
      position = end + 1
      if (end === cr) {
        if (position === length) this.afterCr = true
        else if (text.charCodeAt(position) === LF) position++
        cr = text.indexOf("\r", position)
      }
      if (lf !== -1 && lf < position) lf = text.indexOf("\n", position)
    }
    if (position < length) {
      this.partial += position === 0 ? text : text.slice(position)
      if (this.partial.length + (this.data?.length ?? 0) > this.max) this.overflow()
    }
  }

  /** Whether a line is all the data of its event, within the limit. */
  private isWhole(text: string, start: number, end: number): boolean {
    return this.data === undefined && end - start <= this.max && this.partial.length === 0 && isData(text, start)
  }

  private emit(data: string): void {
    const event = { event: this.name === "" ? "message" : this.name, data, id: this.id }
    this.name = ""
    if (this.out === undefined) this.out = [event]
    else this.out.push(event)
  }

  private overflow(): void {
    this.tooLarge = true
    this.partial = ""
    this.data = undefined
  }

  /** One line, from `start` to `end` of `text`. */
  private line(text: string, start: number, end: number): void {
    if (end - start + (this.data?.length ?? 0) > this.max) return this.overflow()
    if (start === end) return this.dispatch()
    if (text.charCodeAt(start) === COLON) return
    if (isData(text, start)) {
      const value = text.slice(text.charCodeAt(start + 5) === SPACE && start + 5 < end ? start + 6 : start + 5, end)
      this.data = this.data === undefined ? value : this.data + "\n" + value
      return
    }
    this.field(text.slice(start, end))
  }

  private field(line: string): void {
    const colon = line.indexOf(":")
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? "" : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1)
    if (field === "event") this.name = value
    else if (field === "data") this.data = this.data === undefined ? value : this.data + "\n" + value
    else if (field === "id") {
      if (!value.includes("\0")) this.id = value
    } else if (field === "error" && this.errorField) {
      this.name = "error"
      this.data = value
    } else if (field === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value)
  }

  private dispatch(): void {
    const data = this.data
    this.data = undefined
    // Without a data line there is nothing to dispatch; with an empty one there is an event whose data is empty.
    if (data === undefined) this.name = ""
    else this.emit(data)
  }
}

/** A parser for one stream. */
export const makeParser = (options?: SseOptions): SseParser => new Parser(options)
