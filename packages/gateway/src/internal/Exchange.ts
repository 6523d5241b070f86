/** One request and its answer, on the raw sockets of `node:http`. */
import type { Event } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Principal } from "../auth/Permissions.ts"
import type { Engine } from "../config/Build.ts"
import type { Settings } from "../config/Settings.ts"
import type { WireError } from "../wire/Status.ts"

/** The client has gone, or does not read: there is nobody to answer. */
export class ClientGone {
  readonly _tag = "ClientGone"
}

const gone = new ClientGone()

export class Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly requestId: string
  readonly path: string
  readonly engine: Engine
  readonly settings: Settings
  readonly startedMs: number
  /** Who is calling, once that is known. */
  principal: Principal | undefined = undefined
  /** Whether it counts among the requests under way. */
  counted = true
  /** For the access log. */
  target: string | undefined = undefined
  attempts = 0
  error: string | undefined = undefined
  /** How the call of the service ended, once it has. */
  finished: Event.RequestFinished | undefined = undefined
  private readonly headers: Record<string, string> = {}

  constructor(fields: Pick<Exchange, "req" | "res" | "requestId" | "path" | "engine" | "settings" | "startedMs">) {
    this.req = fields.req
    this.res = fields.res
    this.requestId = fields.requestId
    this.path = fields.path
    this.engine = fields.engine
    this.settings = fields.settings
    this.startedMs = fields.startedMs
    this.headers["x-request-id"] = fields.requestId
  }

  get anthropic(): boolean {
    return this.path.startsWith("/v1/messages")
  }

  header(name: string): string | undefined {
    const value = this.req.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  /** What stands behind the path. */
  get query(): URLSearchParams {
    const url = this.req.url ?? ""
    const mark = url.indexOf("?")
    return new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1))
  }

  /** Sets headers of the answer; they go out with its beginning. */
  set(headers: Readonly<Record<string, string>>): void {
    Object.assign(this.headers, headers)
  }

  /** Answers whole. */
  send(status: number, body: string | Buffer, type = "application/json"): Effect.Effect<void> {
    return Effect.sync(() => this.sendNow(status, body, type))
  }

  sendNow(status: number, body: string | Buffer, type = "application/json"): void {
    const { res } = this
    if (res.headersSent || res.destroyed) return
    this.headers["content-type"] = type
    this.headers["content-length"] = String(Buffer.byteLength(body))
    // A body that was not read to its end cannot be followed by another request.
    if (!this.req.complete) this.headers["connection"] = "close"
    res.writeHead(status, this.headers)
    res.end(this.req.method === "HEAD" ? undefined : body)
  }

  /** Answers that what the client has is still good. */
  notModifiedNow(): void {
    if (this.res.headersSent || this.res.destroyed) return
    this.res.writeHead(304, this.headers)
    this.res.end()
  }

  json(status: number, value: unknown): Effect.Effect<void> {
    return Effect.suspend(() => this.send(status, JSON.stringify(value)))
  }

  failNow(error: WireError): void {
    this.set(error.headers)
    this.sendNow(error.status, error.body)
  }

  /** Begins a stream of events. */
  begin(): void {
    if (this.res.headersSent || this.res.destroyed) return
    this.headers["content-type"] = "text/event-stream; charset=utf-8"
    this.headers["cache-control"] = "no-cache, no-transform"
    this.headers["x-accel-buffering"] = "no"
    this.res.writeHead(200, this.headers)
  }

  get begun(): boolean {
    return this.res.headersSent
  }

  /** Writes, and waits while the client does not read; one that reads nothing for too long is cut off. */
  write(text: string): Effect.Effect<void, ClientGone> {
    const { res } = this
    if (res.destroyed) return Effect.fail(gone)
    return res.write(text) ? Effect.void : this.until("drain")
  }

  /** Waits until the answer has left for the client. */
  get flushed(): Effect.Effect<void> {
    const { res } = this
    if (res.writableFinished || res.destroyed || res.writableLength === 0) return Effect.void
    return Effect.ignore(this.until("finish"))
  }

  private until(event: "drain" | "finish"): Effect.Effect<void, ClientGone> {
    const { res } = this
    return Effect.callback<void, ClientGone>((resume) => {
      const done = () => resume(res.destroyed ? Effect.fail(gone) : Effect.void)
      res.once(event, done)
      res.once("close", done)
      return Effect.sync(() => {
        res.off(event, done)
        res.off("close", done)
      })
    }).pipe(
      Effect.timeoutOrElse({
        duration: this.settings.writeTimeoutMs,
        orElse: () =>
          Effect.suspend(() => {
            res.destroy()
            return Effect.fail(gone)
          })
      })
    )
  }

  end(): void {
    if (!this.res.destroyed) this.res.end()
  }
}
