/**
 * The HTTP server: `node:http` under Effect.
 *
 * The path of a request:
 *
 * ```text
 *  1 socket       counted; headers within their size and time, or 431 and 408
 *  2 admission    503 while the server drains or has too much to do; OPTIONS of CORS
 *  3 fiber        one a request; a client that leaves interrupts it, and with it the provider's call
 *  4 route        method and path: 404, 405
 *  5 caller       key or token: 401; scope: 403; tier: 429
 *  6 body         within its size, JSON, not nested too deep: 413, 415, 400
 *  7 decode       the wire's words become a call of the service; what is wrong is named
 *  8 targets      alias, route, provider/model, fallbacks, models the caller may use: 404
 *  9 service      the pipeline of core: cache, budget, retries, failover, breakers, timeouts
 * 10 encode       the answer in the wire's words; streams chunk by chunk, at the client's pace
 * 11 log          one record
 * ```
 *
 * The scope ends it: no new connections, the requests under way finish within a limit, the rest is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"
import { dispatch, finder } from "./api/Router.ts"
import { routesOf } from "./api/Routes.ts"
import type { Engine } from "./config/Build.ts"
import { settingsOf, type Settings } from "./config/Settings.ts"
import type { HandlerError } from "./handlers/Answering.ts"
import { type AccessRecord, recordOf } from "./internal/AccessLog.ts"
import { corsHeaders } from "./internal/Cors.ts"
import { Exchange } from "./internal/Exchange.ts"
import { type Problem, problem } from "./internal/Problem.ts"
import { closeGently, onClientError } from "./internal/Sockets.ts"
import { inTrace, isTraced } from "./internal/Tracing.ts"
import { Watch } from "./Watch.ts"
import { encodeError as anthropicError } from "./wire/anthropic/Errors.ts"
import { encodeError as openAiError } from "./wire/openai/Errors.ts"

export type { AccessRecord } from "./internal/AccessLog.ts"

export interface Options {
  /** Default: 0, any free port. */
  readonly port?: number
  /** Default: `127.0.0.1`. */
  readonly host?: string
  /** Certificate and key, in PEM. Default: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Called once for every request, when its answer has ended. */
  readonly onAccess?: (record: AccessRecord) => void
}

/** A running server. */
export interface Server {
  readonly url: string
  readonly port: number
  /** Requests that are being answered now. */
  readonly inFlight: () => number
  readonly connections: () => number
}

/** The server could not be started: the port is taken, say. */
export class ServeError extends Schema.TaggedError<ServeError>("@breakwater/gateway/ServeError")("ServeError", {
  message: Schema.String
}) {}

/** Hands out the engine in force; it is kept until it is given back, whatever is loaded meanwhile. */
export interface EngineSource {
  readonly current: () => Engine
  readonly acquire: () => Engine
  readonly release: (engine: Engine) => void
}

const listen = (server: Net.Server, port: number, host: string): Effect.Effect<number, ServeError> =>
  Effect.callback((resume) => {
    const onError = (error: Error) =>
      resume(Effect.fail(new ServeError({ message: `cannot listen on ${host}:${port}: ${error.message}` })))
    server.once("error", onError)
    server.listen(port, host, () => {
      server.off("error", onError)
      resume(Effect.succeed((server.address() as Net.AddressInfo).port))
    })
  })

const create = (settings: Settings, tls: Options["tls"]): Http.Server => {
  const options = {
    maxHeaderSize: settings.headerBytes,
    requestTimeout: settings.requestTimeoutMs,
    headersTimeout: Math.min(settings.requestTimeoutMs, 60_000),
    keepAliveTimeout: settings.keepAliveMs,
    connectionsCheckingInterval: Math.min(5_000, settings.requestTimeoutMs),
    // Two ways to say where a body ends are one too many.
    insecureHTTPParser: false
  }
  const server = tls === undefined ? Http.createServer(options) : Https.createServer({ ...options, ...tls })
  server.maxConnections = settings.connections
  return server
}

const draining = problem("overloaded", "The gateway is shutting down.", {
  retryAfterMs: 1_000,
  headers: { connection: "close" }
})

/** How the server keeps count. */
class State {
  /** Each with the ends of the requests that came over it and are not answered yet. */
  readonly sockets = new Map<Net.Socket, Set<() => void>>()
  inFlight = 0
  served = 0
  shed = 0
  draining = false
  /** Milliseconds a request takes, as a moving average: what a client that is turned away is told to wait. */
  usualMs = 0
  private waiter: (() => void) | undefined = undefined

  begun(): void {
    this.inFlight++
  }

  ended(tookMs: number): void {
    this.left()
    this.served++
    this.usualMs += (tookMs - this.usualMs) / Math.min(this.served, 20)
  }

  /** It goes on, and is no longer one of those under way. */
  left(): void {
    this.inFlight--
    if (this.inFlight === 0) this.waiter?.()
  }

  readonly idle: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.inFlight === 0) return resume(Effect.void)
    this.waiter = () => resume(Effect.void)
    return Effect.sync(() => {
      this.waiter = undefined
    })
  })
}

type Run = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

const requestIdPattern = /^[\x21-\x7e]{1,200}$/

const pathOf = (url: string): string => {
  const mark = url.indexOf("?")
  const path = mark < 0 ? url : url.slice(0, mark)
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path
}

const respond = (exchange: Exchange, error: HandlerError): void => {
  if (error._tag === "ClientGone") return
  exchange.error = error._tag === "Problem" ? error.kind : error._tag
  exchange.failNow(exchange.anthropic ? anthropicError(error, exchange.requestId) : openAiError(error))
  closeGently(exchange)
}

const internal: Problem = problem("internal", "The gateway failed.")

/** Runs a request to its end: whatever happens, there is an answer, or nobody to answer. */
const serve = (
  exchange: Exchange,
  handle: (exchange: Exchange) => Effect.Effect<void, HandlerError>
): Effect.Effect<void> =>
  Effect.matchCauseEffect(
    Effect.onExitPrimitive(
      Effect.suspend(() => handle(exchange)),
      (exit) => {
        if (exit._tag === "Failure") explain(exchange, exit.cause)
        return undefined
      }
    ),
    { onSuccess: () => exchange.flushed, onFailure: () => exchange.flushed }
  )

const explain = (exchange: Exchange, cause: Cause.Cause<HandlerError>): void => {
  const failure = cause.reasons.find((reason) => reason._tag === "Fail")
  if (failure !== undefined) respond(exchange, failure.error)
  else if (Cause.hasInterruptsOnly(cause)) interrupted(exchange)
  else respond(exchange, internal)
}

/** By a shutdown that would wait no longer, or by the client's leaving. */
const interrupted = (exchange: Exchange): void => {
  exchange.error = "interrupted"
  if (exchange.begun) exchange.res.destroy()
  else respond(exchange, draining)
}

/** Starts a server for the engines of a source, and stops it with the scope. */
export const make = (source: EngineSource, options: Options = {}): Effect.Effect<Server, ServeError, Scope.Scope> =>
  Effect.gen(function* () {
    const { host = "127.0.0.1", port = 0, tls } = options
    const settings = settingsOf(source.current().config)
    const clock = yield* Clock.Clock
    const prefix = (yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)
    const watch = yield* Watch
    const traced = yield* isTraced
    const state = new State()
    const nowMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
    // Made before the server, so that the requests under way are interrupted only after it has waited for them.
    const fibers = yield* FiberSet.make()
    const run: Run = yield* FiberSet.runtime(fibers)()
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => create(settings, tls)),
      (made) => stop(made, state, settings, fibers)
    )
    const handle = dispatch(
      finder(
        routesOf({
          inFlight: () => state.inFlight,
          connections: () => state.sockets.size,
          served: () => state.served,
          shed: () => state.shed,
          isDraining: () => state.draining,
          watch,
          mayStay: ({ engine }) => !state.draining && engine === source.current(),
          detach: (exchange) => {
            if (exchange.counted) state.left()
            exchange.counted = false
          }
        })
      )
    )
    const known = new WeakMap<Engine, Settings>()
    const settingsFor = (engine: Engine): Settings => {
      let found = known.get(engine)
      if (found === undefined) known.set(engine, (found = settingsOf(engine.config)))
      return found
    }
    let count = 0
    server.on("connection", (socket: Net.Socket) => {
      const open = new Set<() => void>()
      state.sockets.set(socket, open)
      socket.once("close", () => {
        state.sockets.delete(socket)
        // An answer that waits behind another one, of a client that pipelines, does not hear that its socket has closed.
        for (const end of open) end()
      })
    })
    server.on("clientError", onClientError)
    server.on("request", (req, res) => {
      const startedMs = nowMs()
      const given = req.headers["x-request-id"]
      const engine = source.acquire()
      const exchange = new Exchange({
        req,
        res,
        engine,
        startedMs,
        settings: settingsFor(engine),
        requestId:
          typeof given === "string" && requestIdPattern.test(given) ? given : `req-${prefix}-${(count++).toString(36)}`,
        path: pathOf(req.url ?? "/")
      })
      exchange.set(corsHeaders(exchange))
      state.begun()
      let fiber: Fiber.Fiber<void> | undefined
      const open = state.sockets.get(req.socket)
      const end = () => {
        if (open?.delete(end) === false) return
        if (!res.destroyed && !res.writableFinished) res.destroy()
        const tookMs = nowMs() - startedMs
        if (exchange.counted) state.ended(tookMs)
        source.release(engine)
        if (!res.writableFinished) fiber?.interruptUnsafe()
        options.onAccess?.(recordOf(exchange, tookMs))
      }
      open?.add(end)
      res.once("close", end)
      const refused = admission(exchange, state)
      if (refused === "preflight") return exchange.sendNow(204, "")
      if (refused !== undefined) return respond(exchange, refused)
      const served = serve(exchange, handle)
      fiber = run(traced ? inTrace(req.headers, served) : served)
    })
    const bound = yield* listen(server, port, host)
    return {
      url: `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${bound}`,
      port: bound,
      inFlight: () => state.inFlight,
      connections: () => state.sockets.size
    }
  })

const unlimited = new Set(["/health", "/ready", "/metrics"])

/** Whether there is room for a request. */
const admission = (exchange: Exchange, state: State): Problem | "preflight" | undefined => {
  if (exchange.req.method === "OPTIONS" && exchange.settings.origins.length > 0) return "preflight"
  if (unlimited.has(exchange.path)) return undefined
  if (state.draining) return draining
  const over = state.inFlight - exchange.settings.concurrency
  if (over <= 0) return undefined
  state.shed++
  const waitMs = (state.usualMs * over) / exchange.settings.concurrency
  return problem("overloaded", "Too many requests are under way; try again shortly.", {
    retryAfterMs: Math.max(1_000, waitMs)
  })
}

/** Takes no more, lets what is under way finish within the limit, and ends the rest. */
const stop = (server: Http.Server, state: State, settings: Settings, fibers: FiberSet.FiberSet): Effect.Effect<void> =>
  Effect.gen(function* () {
    state.draining = true
    const closed = Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
    })
    const closing = yield* Effect.forkChild(closed)
    yield* Effect.yieldNow
    server.closeIdleConnections()
    yield* Effect.timeoutOrElse(Effect.interruptible(state.idle), {
      duration: settings.shutdownMs,
      orElse: () => Effect.void
    })
    yield* FiberSet.clear(fibers)
    server.closeIdleConnections()
    for (const socket of state.sockets.keys()) socket.destroySoon()
    yield* Effect.timeoutOrElse(Effect.asVoid(Effect.exit(Fiber.join(closing))), {
      duration: "1 second",
      orElse: () => Effect.sync(() => state.sockets.forEach((_, socket) => socket.destroy()))
    })
  })
