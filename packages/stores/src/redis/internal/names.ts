/** Looking through the server's keys, in bounded steps. */
import type { LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import type { Client, Connection } from "./Connection.ts"

/** Keys that one step looks at, about: the server answers nobody else for that long, under a millisecond. */
const keysPerStep = 1_000

/** A text that stands for itself where the server expects a pattern. */
const literally = (text: string): string => text.replace(/[*?[\]\\^-]/g, "\\$&")

/** Gives the names that begin so to `each`, step by step, until there are no more or it says that it is enough. */
export const eachNames = (
  connection: Connection,
  operation: string,
  beginning: string,
  each: (names: ReadonlyArray<string>) => Effect.Effect<boolean, LLMError.StoreError>
): Effect.Effect<void, LLMError.StoreError> => {
  const pattern = `${literally(beginning)}*`
  const look = (cursor: string) => (client: Client) =>
    client.sendCommand<[string, ReadonlyArray<string>]>(["SCAN", cursor, "MATCH", pattern, "COUNT", `${keysPerStep}`])
  return Effect.gen(function* () {
    let cursor = "0"
    do {
      const [next, found] = yield* connection.run(operation, look(cursor))
      const names = found.filter((name) => name.startsWith(beginning))
      if (names.length > 0 && !(yield* each(names))) return
      cursor = next
    } while (cursor !== "0")
  })
}
