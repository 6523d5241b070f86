/**
 * Answers that many processes share, on Redis.
 *
 * A get is one script and a set one command, so each is one round trip. An entry goes with its time; whose it is
 * stands in the name of its key. There is no index beside the entries that could be lost without them, when the
 * server makes room: `clear` goes through the server's keys in bounded steps instead.
 */
import type { CacheStore, LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { wholeMs } from "../internal/cacheEntry.ts"
import { fromReply, readScript, type Reply, toText } from "./internal/cacheScript.ts"
import { type Connection, storeName } from "./internal/Connection.ts"
import { cacheKey, cacheKeys } from "./internal/Keys.ts"
import { eachNames } from "./internal/names.ts"
import { evaluate } from "./internal/Script.ts"

const unknownSize: CacheStore.CacheSize = { entries: undefined, bytes: undefined, evicted: undefined }

const nothing = (): void => {}

const get = (connection: Connection, name: string): Effect.Effect<CacheStore.Found | undefined, LLMError.StoreError> =>
  connection.run("get", (client) =>
    evaluate<Reply>(client, readScript, [name], []).then((reply) => {
      if (reply === null) return undefined
      const found = fromReply(reply)
      // Nobody waits for this: if it does not arrive, the next one to read sends it again.
      if (found === undefined) client.sendCommand(["UNLINK", name]).catch(nothing)
      return found
    })
  )

/** Removes what a name begins with, one step after the other. */
const clear = (connection: Connection, beginning: string): Effect.Effect<number, LLMError.StoreError> =>
  Effect.suspend(() => {
    let removed = 0
    const remove = (names: ReadonlyArray<string>) =>
      Effect.map(
        connection.run("clear", (client) => client.sendCommand<number>(["UNLINK", ...names])),
        (count) => {
          removed += count
          return true
        }
      )
    return Effect.map(eachNames(connection, "clear", beginning, remove), () => removed)
  })

/** The store on a connection. */
export const make = (connection: Connection, prefix: string): CacheStore.CacheStoreService => ({
  name: storeName,
  get: (key) => get(connection, cacheKey(prefix, key)),
  set: (key, entry, ttlMs) =>
    Effect.suspend(() => {
      const ms = wholeMs(ttlMs)
      const text = toText(entry, ms)
      return Effect.as(
        connection.run("set", (client) => client.sendCommand(["SET", cacheKey(prefix, key), text, "PX", `${ms}`])),
        true
      )
    }),
  remove: (key) =>
    Effect.asVoid(connection.run("remove", (client) => client.sendCommand(["UNLINK", cacheKey(prefix, key)]))),
  clear: (tenant, namespace) => clear(connection, cacheKeys(prefix, tenant, namespace)),
  size: Effect.succeed(unknownSize)
})
