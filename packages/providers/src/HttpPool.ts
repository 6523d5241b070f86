/**
 * The HTTP client that providers share: connections are kept open, counted, and made within a time. It speaks HTTP/1.1.
 *
 * Waiting for answers is bounded by the pipeline's timeouts, not here: a client that gives up by itself would say
 * less about why. Any other `HttpClient` Layer works as well.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as Undici from "@effect/platform-node/Undici"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { checkDuration, optionError } from "./internal/Options.ts"
import * as UndiciWire from "./internal/UndiciWire.ts"
import * as Wire from "./internal/Wire.ts"

export interface Options {
  /** Connections to one host at most; calls above it wait for one. A whole number from 1. Default: 256. */
  readonly connections?: number
  /** How long making a connection may take, above zero, at most 5 minutes. Default: 10 seconds. */
  readonly connectTimeout?: Duration.Input
  /** How long an idle connection is kept, above zero, at most an hour. Default: 30 seconds. */
  readonly keepAlive?: Duration.Input
}

export const defaults = {
  connections: 256,
  connectTimeout: "10 seconds",
  keepAlive: "30 seconds"
} as const satisfies Required<Options>

/**
 * A client with a pool of its own, closed with the Layer's scope.
 *
 * Fails with a `ConfigError` that names the wrong option.
 */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient, Config.ConfigError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { connections, connectTimeout, keepAlive } = { ...defaults, ...options }
      if (!Number.isSafeInteger(connections) || connections < 1) {
        return yield* Effect.fail(optionError("connections", String(connections), "a whole number of at least 1"))
      }
      const timeout = yield* checkDuration("connectTimeout", connectTimeout, Duration.minutes(5))
      const keepAliveTimeout = yield* checkDuration("keepAlive", keepAlive, Duration.hours(1))
      return pooled({
        connections,
        connect: { timeout },
        keepAliveTimeout,
        keepAliveMaxTimeout: Math.max(keepAliveTimeout, 600_000),
        pipelining: 1,
        // A connection for each call: `connections` is a bound, and giving up a call closes it. Under HTTP/2 a call that is
        // given up as it is sent can leave Node's session in a loop without end.
        allowH2: false
      })
    })
  )

/** The client of a pool, with the short way to its sockets that providers take. */
const pooled = (options: Undici.Agent.Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function* () {
      const dispatcher = yield* NodeHttpClient.makeDispatcherOptions(options)
      // Not `layerUndiciNoDispatcher`: Layers that are constants are built once, and every pool would share the first one's.
      const over = Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
      const client = Context.get(yield* Layer.build(HttpClient.layerMergedContext(over)), HttpClient.HttpClient)
      Wire.attach(client, UndiciWire.make(dispatcher))
      return client
    })
  )
