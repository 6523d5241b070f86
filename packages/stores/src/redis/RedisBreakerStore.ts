/**
 * What circuit breakers tell each other, on Redis: a channel for those who listen, and a memory for those who come
 * later. Calls through a breaker ask nothing here.
 *
 * A subscription has a connection of its own. When that breaks, or no longer answers, its stream fails: the breaker
 * decides alone until it has subscribed again.
 */
import type { BreakerStore, LLMError } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { loadScript, publishScript } from "./internal/breakerScript.ts"
import { type Client, type Connection, session, type Settings, storeError } from "./internal/Connection.ts"
import { type BreakerKeys, breakerKeys } from "./internal/Keys.ts"
import { evaluate } from "./internal/Script.ts"

type Change = BreakerStore.BreakerChange

const rememberClosedMs = 60_000
const longestOpenMs = 31_536_000_000
/** Changes that wait for a slow reader; the oldest are lost first. */
const backlog = 4096

const readChange = (json: string): Change | undefined => {
  try {
    const value: Partial<Change> | null = JSON.parse(json)
    if (typeof value !== "object" || value === null) return undefined
    const { key, openings, origin, remainingMs, revision, state } = value
    if (typeof key !== "string" || typeof origin !== "string" || (state !== "open" && state !== "closed")) {
      return undefined
    }
    if (typeof openings !== "number" || typeof remainingMs !== "number" || typeof revision !== "number") {
      return undefined
    }
    return { key, state, remainingMs, openings, revision, origin }
  } catch {
    return undefined
  }
}

const publish = (connection: Connection, keys: BreakerKeys, change: Change) =>
  Effect.asVoid(
    connection.run("publish", (client) =>
      evaluate(
        client,
        publishScript,
        [keys.until, keys.changes],
        [
          change.key,
          change.state,
          `${change.state === "open" ? Math.min(change.remainingMs, longestOpenMs) : rememberClosedMs}`,
          `${change.revision}`,
          encodeURIComponent(change.origin),
          JSON.stringify(change),
          keys.channel
        ]
      )
    )
  )

const load = (connection: Connection, keys: BreakerKeys) =>
  Effect.map(
    connection.run("load", (client) =>
      evaluate<ReadonlyArray<string>>(client, loadScript, [keys.until, keys.changes], [])
    ),
    (found) => {
      const open: Array<Change> = []
      for (let i = 0; i + 1 < found.length; i += 2) {
        const change = readChange(found[i + 1]!)
        if (change !== undefined) open.push({ ...change, remainingMs: Number(found[i]) })
      }
      return open
    }
  )

/** Asks the subscription's server for a sign of life; a connection that died in silence would never say so. */
const heartbeat = (client: Client, settings: Settings): Effect.Effect<never, LLMError.StoreError> => {
  const ping = Effect.tryPromise({
    try: () => client.ping(),
    catch: (cause) => storeError("subscribe", "Redis: the subscription's connection is broken", cause)
  })
  const patienceMs = Math.max(1_000, settings.waitMs)
  return Effect.forever(
    Effect.andThen(
      Effect.sleep(settings.heartbeatMs),
      Effect.timeoutOrElse(ping, {
        duration: patienceMs,
        orElse: () => Effect.fail(storeError("subscribe", `Redis: the subscription was silent for ${patienceMs} ms`))
      })
    )
  )
}

const subscribe = (
  settings: Settings,
  keys: BreakerKeys
): Effect.Effect<Stream.Stream<Change, LLMError.StoreError>, LLMError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const queue = yield* Effect.acquireRelease(Queue.sliding<Change, LLMError.StoreError>(backlog), (self) =>
      Queue.shutdown(self)
    )
    const fail = (error: LLMError.StoreError): void => void Queue.failCauseUnsafe(queue, Cause.fail(error))
    const client = yield* session(settings, "subscribe", fail)
    const listen = Effect.tryPromise({
      try: () =>
        client.subscribe(keys.channel, (message) => {
          const change = readChange(message)
          if (change !== undefined) Queue.offerUnsafe(queue, change)
        }),
      catch: (cause) => storeError("subscribe", "Redis: the subscription was refused", cause)
    })
    yield* Effect.timeoutOrElse(listen, {
      duration: settings.connectMs,
      orElse: () => Effect.fail(storeError("subscribe", `Redis: no answer within ${settings.connectMs} ms`))
    })
    yield* Effect.forkScoped(Effect.catch(heartbeat(client, settings), (error) => Effect.sync(() => fail(error))))
    return Stream.fromQueue(queue)
  })

/** The store on a connection. */
export const make = (connection: Connection, prefix: string): BreakerStore.BreakerStoreService => {
  const keys = breakerKeys(prefix)
  return {
    publish: (change) => publish(connection, keys, change),
    subscribe: subscribe(connection.settings, keys),
    load: load(connection, keys)
  }
}
