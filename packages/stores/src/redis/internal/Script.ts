/**
 * Scripts that the server runs as one step. A server that does not know one yet is sent its text.
 */
import { createHash } from "node:crypto"
import type { Client } from "./Connection.ts"

export interface Script {
  readonly text: string
  readonly sha: string
}

export const script = (text: string): Script => ({ text, sha: createHash("sha1").update(text).digest("hex") })

const unknownScript = (cause: unknown): boolean => cause instanceof Error && cause.message.startsWith("NOSCRIPT")

/** Runs a script: one round trip, but for the first time after the server started or forgot its scripts. */
export const evaluate = <A>(
  client: Client,
  { sha, text }: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<string>
): Promise<A> => {
  const rest = [String(keys.length), ...keys, ...args]
  return client.sendCommand<A>(["EVALSHA", sha, ...rest]).catch((cause: unknown) => {
    if (!unknownScript(cause)) throw cause
    return client.sendCommand<A>(["EVAL", text, ...rest])
  })
}
