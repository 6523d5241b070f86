/**
 * Load on bare sockets, so that the one who asks costs less than the one who is asked: requests that are ready as bytes, and
 * of the answers only their status and their end is looked at.
 */
import * as Net from "node:net"

export interface Place {
  readonly port: number
  readonly headers: Readonly<Record<string, string>>
  readonly model: string
}

const messages = [
  { role: "system", content: "You are brief." },
  { role: "user", content: "Tell me of the harbour. ".repeat(20) }
]

const bytesOf = ({ headers, model }: Place, stream: boolean): Buffer => {
  const body = JSON.stringify({ model, messages, ...(stream ? { stream: true } : {}) })
  const own = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n${own.join("")}\r\n${body}`
  )
}

/** One connection, which carries one request at a time. */
class Client {
  private readonly socket: Net.Socket
  private readonly request: Buffer
  private text = ""
  private done: (() => void) | undefined = undefined
  private failed: ((error: Error) => void) | undefined = undefined

  constructor(place: Place, stream: boolean) {
    this.request = bytesOf(place, stream)
    this.socket = Net.connect(place.port, "127.0.0.1").setNoDelay(true)
    this.socket.on("data", (chunk) => this.read(chunk, stream))
    this.socket.on("error", (error) => this.failed?.(error))
    this.socket.on("close", () => this.failed?.(new Error("the connection was closed")))
  }

  ask(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.done = resolve
      this.failed = reject
      this.socket.write(this.request)
    })
  }

  close(): Promise<void> {
    this.failed = undefined
    return new Promise((resolve) => {
      this.socket.once("close", () => resolve())
      this.socket.end()
    })
  }

  private read(chunk: Buffer, stream: boolean): void {
    // Of a long answer the head was looked at before: its end is all that is still of interest.
    const head = this.text.length === 0
    this.text = (this.text.length > 4_096 ? this.text.slice(-64) : this.text) + chunk.toString("latin1")
    if (head && !this.text.startsWith("HTTP/1.1 200 ")) {
      return this.failed?.(new Error(`an answer began with ${this.text.slice(0, 200)}`))
    }
    if (!this.isWhole()) return
    const cut = stream && !this.text.includes("[DONE]")
    this.text = ""
    if (cut) this.failed?.(new Error("a stream was cut"))
    else this.done?.()
  }

  private isWhole(): boolean {
    if (this.text.endsWith("\r\n0\r\n\r\n")) return true
    const end = this.text.indexOf("\r\n\r\n")
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(end < 0 ? "" : this.text.slice(0, end + 2))?.[1]
    return length !== undefined && this.text.length >= end + 4 + Number(length)
  }
}

/** Asks so many times, so many at once; hears of each how many nanoseconds it took. */
export const load = async (
  place: Place,
  stream: boolean,
  concurrency: number,
  requests: number,
  onAnswer?: (tookNs: number) => void
): Promise<void> => {
  let left = requests
  const worker = async (): Promise<void> => {
    const client = new Client(place, stream)
    while (left-- > 0) {
      const start = process.hrtime.bigint()
      await client.ask()
      onAnswer?.(Number(process.hrtime.bigint() - start))
    }
    await client.close()
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}
