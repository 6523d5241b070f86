/**
 * Token quotas that many processes share, on Redis.
 *
 * Every question is one script and so one round trip and one step, over all kinds of a key. The time is the server's, so
 * that clocks of processes need not agree. A key whose quota is full again, and which is not paused, is gone.
 */
import type { LLMError, QuotaStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { Client, Connection } from "./internal/Connection.ts"
import { storeError, storeName } from "./internal/Connection.ts"
import { quotaKey } from "./internal/Keys.ts"
import { quotaScript } from "./internal/quotaScript.ts"
import { evaluate } from "./internal/Script.ts"

type Decision = QuotaStore.Decision
type Limits = QuotaStore.PerKind<QuotaStore.Limit>

/** A wait that ends in an overflow of the server's numbers helps nobody. */
const longestPauseMs = 31_536_000_000

const decisionOf = (reply: unknown): Decision | undefined => {
  const words = String(reply).split(" ")
  if (words.length !== 13) return undefined
  const [granted, waitMs, kind, pausedMs, at] = words.slice(0, 5).map(Number)
  const four = (from: number): QuotaStore.PerKind<number> => {
    const number = (i: number) => (words[i] === "x" ? Infinity : Number(words[i]))
    return [number(from), number(from + 2), number(from + 4), number(from + 6)]
  }
  const [remaining, used] = [four(5), four(6)]
  if ([waitMs, kind, pausedMs, at, ...remaining, ...used].some(Number.isNaN)) return undefined
  return {
    granted: granted === 1,
    waitMs: waitMs! < 0 ? Infinity : waitMs!,
    kind: kind! < 0 ? undefined : kind!,
    remaining,
    pausedMs: pausedMs!,
    grant: { at: at!, used }
  }
}

const limitArgs = (limits: Limits, amounts: QuotaStore.PerKind<number>) =>
  limits.flatMap(({ limit, windowMs }, kind) => [
    `${limit === Infinity ? 0 : limit}`,
    `${windowMs}`,
    `${amounts[kind]}`
  ])

const settleArgs = (limits: Limits, grant: QuotaStore.Grant, correction: QuotaStore.PerKind<number>) => [
  ...limitArgs(limits, correction),
  `${grant.at}`,
  ...grant.used.map(String)
]

const nothing = (): void => {}

const quotasOf = (connection: Connection, keyOf: (key: string) => string): QuotaStore.SharedQuotas => {
  const ask = (client: Client, what: string, key: string, args: ReadonlyArray<string>) =>
    evaluate<unknown>(client, quotaScript, [keyOf(key)], [what, ...args])
  return {
    reserve: (key, limits, need) => {
      const args = limitArgs(limits, need)
      return Effect.flatMap(
        connection.run(
          "reserve",
          (client) => ask(client, "reserve", key, args),
          (reply, client) => {
            // Who asked has gone, by interruption or because it took too long: nobody will use or settle this grant.
            const decision = decisionOf(reply)
            if (decision?.granted !== true || need.every((amount) => amount === 0)) return
            const [requests, tokens, input, output] = need
            const back = settleArgs(limits, decision.grant, [-requests, -tokens, -input, -output])
            ask(client, "settle", key, back).catch(nothing)
          }
        ),
        (reply): Effect.Effect<Decision, LLMError.StoreError> => {
          const decision = decisionOf(reply)
          return decision === undefined
            ? Effect.fail(storeError("reserve", "Redis: the script's answer cannot be read"))
            : Effect.succeed(decision)
        }
      )
    },
    settle: (key, limits, grant, correction) => {
      const args = settleArgs(limits, grant, correction)
      return Effect.asVoid(connection.run("settle", (client) => ask(client, "settle", key, args)))
    },
    pause: (key, ms) => {
      const args = [`${Math.min(ms, longestPauseMs)}`]
      return Effect.asVoid(connection.run("pause", (client) => ask(client, "pause", key, args)))
    },
    forget: (key) => Effect.asVoid(connection.run("forget", (client) => client.sendCommand(["DEL", keyOf(key)])))
  }
}

/** The store on a connection. */
export const make = (connection: Connection, prefix: string): QuotaStore.QuotaStoreService => ({
  name: storeName,
  open: (namespace) => quotasOf(connection, (key) => quotaKey(prefix, namespace, key))
})
