/**
 * A real HTTP server for one test: it records what it is asked and answers as it is told.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

interface Recorded {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}

export interface WireServer {
  readonly url: string
  readonly requests: ReadonlyArray<Recorded>
  /** Resolves when the client has closed the connection of a request before its answer was complete. */
  readonly aborted: Promise<void>
}

export type Answer = (response: http.ServerResponse, request: Recorded) => void

/** An answer in JSON. */
export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(typeof body === "string" ? body : JSON.stringify(body))
  }

/** A stream of events. It ends, hangs, or breaks off after them. */
export const sse =
  (
    chunks: ReadonlyArray<Uint8Array | string>,
    end: "end" | "hang" | "destroy" = "end",
    headers: Record<string, string> = {}
  ): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream", ...headers })
    response.flushHeaders()
    const next = (index: number): void => {
      if (index < chunks.length) response.write(chunks[index]!, () => setImmediate(next, index + 1))
      else if (end === "end") response.end()
      else if (end === "destroy") response.destroy()
    }
    next(0)
  }

/** Starts a server on a free port of this machine. It is closed, with all its connections, with the scope. */
export const make = (answer: Answer): Effect.Effect<WireServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ server: http.Server; wire: WireServer }>((resume) => {
      const requests: Array<Recorded> = []
      let abort = () => {}
      const aborted = new Promise<void>((resolve) => {
        abort = resolve
      })
      const server = http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const recorded = {
            method: request.method ?? "",
            url: request.url ?? "",
            headers: request.headers,
            body: JSON.parse(Buffer.concat(chunks).toString("utf8"))
          }
          requests.push(recorded)
          response.on("close", () => {
            if (!response.writableFinished) abort()
          })
          answer(response, recorded)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ server, wire: { url: `http://127.0.0.1:${port}`, requests, aborted } }))
      })
    }),
    ({ server }) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(({ wire }) => wire))
