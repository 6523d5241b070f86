/**
 * Limits that many processes share, on Redis.
 *
 * Every question is one script and so one round trip and one step, over all windows of a key. The time is the
 * server's, so that clocks of processes need not agree. A key that has been idle for its windows is gone.
 */
import type { LimiterStore, LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { Client, Connection } from "./internal/Connection.ts"
import { storeError, storeName } from "./internal/Connection.ts"
import { limitKey } from "./internal/Keys.ts"
import { limiterScript } from "./internal/limiterScript.ts"
import { evaluate } from "./internal/Script.ts"

type Rule = LimiterStore.Rule

const kinds: { readonly [Name in LimiterStore.AlgorithmName]: string } = {
  "token-bucket": "b",
  gcra: "g",
  "sliding-log": "l",
  "sliding-counter": "c",
  "fixed-window": "f"
}

/** What every question about a key of some rules has in common. */
interface Binding {
  readonly rules: ReadonlyArray<Rule>
  readonly args: ReadonlyArray<string>
  /** The keys of a limiter's key: its state, and a log for each rule that keeps one. */
  readonly keysOf: (key: string) => ReadonlyArray<string>
}

const bind = (prefix: string, namespace: string, rules: ReadonlyArray<Rule>): Binding => {
  const shape = rules.map((rule) => `${kinds[rule.algorithm]}${rule.windowMs}`).join(",")
  const logs = rules.flatMap((rule, i) => (rule.algorithm === "sliding-log" ? [`:${i}`] : []))
  return {
    rules,
    args: rules.flatMap((rule) => [kinds[rule.algorithm], `${rule.limit}`, `${rule.windowMs}`, `${rule.burst}`]),
    keysOf: (key) => {
      const state = limitKey(prefix, namespace, key, shape)
      return [state, ...logs.map((log) => state + log)]
    }
  }
}

const decisionOf = (rules: ReadonlyArray<Rule>, reply: unknown): LimiterStore.Decision | undefined => {
  const [allowed, waitMs, remaining, rule, at] = String(reply).split(" ").map(Number)
  const limit = rules[(rule ?? 0) - 1]?.limit
  if (limit === undefined || Number.isNaN(waitMs) || at === undefined) return undefined
  return { allowed: allowed === 1, waitMs: waitMs! < 0 ? Infinity : waitMs!, remaining: remaining!, limit, at }
}

const nothing = (): void => {}

/** A binding's questions, by one connection. */
const limitsOf = (connection: Connection, binding: Binding): LimiterStore.Limits => {
  const ask = (client: Client, what: string, key: string, weight: number, takenAt: number) =>
    evaluate<unknown>(client, limiterScript, binding.keysOf(key), [what, `${weight}`, `${takenAt}`, ...binding.args])

  const decide = (operation: string, key: string, weight: number, late?: (reply: unknown, client: Client) => void) =>
    Effect.flatMap(
      connection.run(operation, (client) => ask(client, operation, key, weight, 0), late),
      (reply): Effect.Effect<LimiterStore.Decision, LLMError.StoreError> => {
        const decision = decisionOf(binding.rules, reply)
        return decision === undefined
          ? Effect.fail(storeError(operation, "Redis: the script's answer cannot be read"))
          : Effect.succeed(decision)
      }
    )

  return {
    check: (key, weight) => decide("check", key, weight),
    take: (key, weight) =>
      decide("take", key, weight, (reply, client) => {
        // Who asked has gone, by interruption or because it took too long: nobody will use or refund this grant.
        const decision = decisionOf(binding.rules, reply)
        if (decision?.allowed === true) ask(client, "give", key, weight, decision.at).catch(nothing)
      }),
    give: (key, weight, takenAt) =>
      Number.isFinite(takenAt)
        ? Effect.asVoid(connection.run("give", (client) => ask(client, "give", key, weight, takenAt)))
        : Effect.void,
    forget: (key) =>
      Effect.asVoid(connection.run("forget", (client) => client.sendCommand(["DEL", ...binding.keysOf(key)])))
  }
}

/** The store on a connection. */
export const make = (connection: Connection, prefix: string): LimiterStore.LimiterStoreService => ({
  name: storeName,
  open: (namespace, rules) => limitsOf(connection, bind(prefix, namespace, rules)),
  size: Effect.succeed(undefined)
})
