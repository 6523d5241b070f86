/**
 * The misbehaving upstream: a real HTTP server that speaks OpenAI's wire (`POST /v1/chat/completions`,
 * `POST /v1/embeddings`, `GET /v1/models`) and Anthropic's (`POST /v1/messages`), with faults chosen by the name
 * of the model. {@link faults} lists them.
 *
 * `GET /_control/stats` and `GET /_control/requests` tell what came in, `POST /_control/reset` forgets it, and
 * `POST /_control/outage?ms=3000` takes the model `recovering` down.
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Net from "node:net"
import { duration, firstOf, millisOf, wholeInRange } from "../internal/options.ts"
import { handler } from "./internal/handler.ts"
import { ServerState, type Stats, type ReceivedRequest } from "./internal/state.ts"

export { type Fault, faults } from "./faults.ts"
export type { ReceivedRequest, Stats }

export interface Options {
  /** Default: 0, any free port. */
  readonly port?: number
  /** Default: `127.0.0.1`. */
  readonly host?: string
  /** How long a word of an answer takes. Default: 0. */
  readonly wordDelay?: Duration.Input
}

/** A running upstream. */
export interface Upstream {
  /** `http://127.0.0.1:41234`, without a slash at its end. The wires are under `/v1`. */
  readonly url: string
  readonly port: number
  readonly stats: Effect.Effect<Stats>
  /** The last hundred requests, the oldest first. */
  readonly requests: Effect.Effect<ReadonlyArray<ReceivedRequest>>
  /** Forgets counts, requests and outages. `once` models fail once again. */
  readonly reset: Effect.Effect<void>
  /** Takes the model `recovering` down for this long. Default: its parameter, or five seconds. */
  readonly outage: (duration?: Duration.Input) => Effect.Effect<void>
}

/** A running upstream, for programs that get it from a Layer. */
export class UpstreamServer extends Context.Service<UpstreamServer, Upstream>()("@breakwater/testing/Upstream") {}

/** The server could not be started: the port is taken, say. */
export class UpstreamError extends Schema.TaggedError<UpstreamError>("@breakwater/testing/UpstreamError")(
  "UpstreamError",
  {
    message: Schema.String,
    cause: Schema.optionalKey(Schema.Defect())
  }
) {}

const listen = (server: Http.Server, port: number, host: string): Effect.Effect<number, UpstreamError> =>
  Effect.callback<number, UpstreamError>((resume) => {
    const onError = (cause: Error) =>
      resume(Effect.fail(new UpstreamError({ message: `cannot listen on ${host}:${port}: ${cause.message}`, cause })))
    server.once("error", onError)
    server.listen(port, host, () => {
      server.off("error", onError)
      resume(Effect.succeed((server.address() as Net.AddressInfo).port))
    })
  })

const close = (server: Http.Server, state: ServerState): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    state.closing = true
    server.close(() => resume(Effect.void))
    for (const socket of state.sockets) socket.destroy()
  })

/**
 * Starts the server, and stops it with the scope: its sockets are destroyed and its timers cleared.
 *
 * Waits of the faults are the Clock's: under a `TestClock` they wait for it to be moved.
 */
export const make = (options: Options = {}): Effect.Effect<Upstream, Config.ConfigError | UpstreamError, Scope.Scope> =>
  Effect.gen(function* () {
    const { host = "127.0.0.1", port = 0, wordDelay = 0 } = options
    const wrong = firstOf([wholeInRange("port", port, 0, 65_535), duration("wordDelay", wordDelay)])
    if (wrong !== undefined) return yield* Effect.fail(wrong)

    const clock = yield* Clock.Clock
    const state = new ServerState(clock)
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => Http.createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 })),
      (server) => close(server, state)
    )
    // Made after the server, so that the fibers are gone before the sockets are destroyed under them.
    const run = yield* FiberSet.makeRuntime()
    server.on("connection", (socket) => state.opened(socket))
    server.on("request", handler(state, run, millisOf(wordDelay) as number))
    const bound = yield* listen(server, port, host)
    return {
      url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`,
      port: bound,
      stats: Effect.sync(() => state.stats()),
      requests: Effect.sync(() => state.requests.slice()),
      reset: Effect.sync(() => state.reset()),
      outage: (length) => Effect.sync(() => state.startOutage(length === undefined ? undefined : millisOf(length)))
    }
  })

/** {@link make} as a Layer. */
export const layer = (options?: Options): Layer.Layer<UpstreamServer, Config.ConfigError | UpstreamError> =>
  Layer.effect(UpstreamServer, make(options))
