/** A client that sees what is on the wire, broken or not. */
import * as Effect from "effect/Effect"
import * as Http from "node:http"

export interface Seen {
  readonly status: number | undefined
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
  /** `end`: as it should; `aborted`: cut in the body; `reset`: no answer at all; `gaveUp`: the client's patience. */
  readonly ending: "end" | "aborted" | "reset" | "gaveUp"
  readonly tookMs: number
  readonly firstByteMs: number
  readonly pieces: number
}

/** Parsed JSON of the wire: looked into as the test pleases. */
export type Parsed = ReturnType<typeof JSON.parse>

const paths = {
  openai: "/v1/chat/completions",
  anthropic: "/v1/messages",
  embeddings: "/v1/embeddings"
} as const

export interface Post {
  readonly model: string
  readonly wire?: keyof typeof paths
  readonly stream?: boolean
  readonly body?: Record<string, unknown>
  readonly headers?: Record<string, string>
  readonly patienceMs?: number
}

export const post = (url: string, options: Post): Effect.Effect<Seen> =>
  Effect.callback<Seen>((resume) => {
    const wire = options.wire ?? "openai"
    const started = performance.now()
    let firstByte = 0
    let status: number | undefined
    let headers: Http.IncomingHttpHeaders = {}
    const chunks: Array<Buffer> = []
    const done = (ending: Seen["ending"]) => {
      clearTimeout(timer)
      resume(
        Effect.succeed({
          status,
          headers,
          text: Buffer.concat(chunks).toString("utf8"),
          ending,
          tookMs: performance.now() - started,
          firstByteMs: firstByte - started,
          pieces: chunks.length
        })
      )
    }
    const request = Http.request(
      url + paths[wire],
      {
        method: "POST",
        agent: false,
        headers: { "content-type": "application/json", "anthropic-version": "2023-06-01", ...options.headers }
      },
      (response) => {
        status = response.statusCode
        headers = response.headers
        response.on("data", (chunk: Buffer) => {
          if (firstByte === 0) firstByte = performance.now()
          chunks.push(chunk)
        })
        response.on("end", () => done("end"))
        response.on("error", () => done("aborted"))
      }
    )
    const timer = setTimeout(() => {
      done("gaveUp")
      request.destroy()
    }, options.patienceMs ?? 5_000)
    request.on("error", () => done("reset"))
    request.end(
      JSON.stringify({
        model: options.model,
        stream: options.stream ?? false,
        ...(wire === "embeddings"
          ? { input: ["a", "b"] }
          : { messages: [{ role: "user", content: "What is a breakwater?" }] }),
        ...(wire === "anthropic" ? { max_tokens: 500 } : {}),
        ...options.body
      })
    )
  })

/** The payloads of the events of a stream, parsed where they are JSON. */
export const events = (text: string): ReadonlyArray<Parsed> =>
  text.split("\n\n").flatMap((block) => {
    const data = block
      .split("\n")
      .filter((line) => line.startsWith("data: "))
      .map((line) => line.slice(6))
      .join("\n")
    if (data.length === 0) return []
    try {
      return [JSON.parse(data)]
    } catch {
      return [data]
    }
  })

/** The text an OpenAI or Anthropic stream adds up to. */
export const streamedText = (text: string): string =>
  events(text)
    .map((event) => event.choices?.[0]?.delta?.content ?? event.delta?.text ?? "")
    .join("")
