/** The file of API keys: created, rotated, revoked. It holds hashes; a key is shown once, when it is made. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { readFile, rename, writeFile } from "node:fs/promises"
import { ConfigurationError, decodeKeys, parseText } from "../config/Load.ts"
import type { StoredKey } from "../config/Schema.ts"
import * as ApiKeys from "./ApiKeys.ts"

/** What a new key may do, and until when. */
export interface NewKey extends Omit<StoredKey, "hash" | "expires" | "revoked" | "created"> {
  /** Milliseconds from now; left out for ever. */
  readonly expiresInMs?: number
  /** Milliseconds for which older keys of the same id go on. Default: a new key of an id that is taken is refused. */
  readonly overlapMs?: number
}

const failed = (message: string): ConfigurationError => new ConfigurationError({ message, issues: [message] })

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT"

/** The keys of a file; none if there is no such file yet. */
export const read = (file: string): Effect.Effect<ReadonlyArray<StoredKey>, ConfigurationError> =>
  Effect.tryPromise({
    try: () =>
      readFile(file, "utf8").catch((error: unknown) =>
        isMissing(error) ? '{"keys":[]}' : Promise.reject(error as Error)
      ),
    catch: (error) => failed(`${file}: ${String(error)}`)
  }).pipe(
    Effect.flatMap((text) =>
      Effect.try({ try: () => parseText(text), catch: (error) => failed(`${file}: ${(error as Error).message}`) })
    ),
    Effect.flatMap((json) => decodeKeys(json, file)),
    Effect.map(({ keys }) => keys)
  )

/** Replaces the file in one step, readable by its owner only. */
const write = (file: string, keys: ReadonlyArray<StoredKey>): Effect.Effect<void, ConfigurationError> =>
  Effect.tryPromise({
    try: async () => {
      await writeFile(`${file}.new`, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600 })
      await rename(`${file}.new`, file)
    },
    catch: (error) => failed(`${file}: ${String(error)}`)
  })

const isLive = (key: StoredKey, nowMs: number): boolean =>
  key.revoked !== true && (key.expires === undefined || Date.parse(key.expires) > nowMs)

const dateOf = (ms: number): string => new Date(ms).toISOString()

/** Makes a key and adds its hash to the file. Answers the key itself, which is nowhere else. */
export const create = (file: string, wanted: NewKey): Effect.Effect<string, ConfigurationError> =>
  Effect.gen(function* () {
    const { expiresInMs, overlapMs, ...grants } = wanted
    const nowMs = yield* Clock.currentTimeMillis
    const keys = yield* read(file)
    const taken = keys.some((key) => key.id === wanted.id && isLive(key, nowMs))
    if (taken && overlapMs === undefined) {
      return yield* Effect.fail(failed(`there is a key ${wanted.id} already; give an overlap to replace it`))
    }
    const secret = ApiKeys.generate()
    const until = nowMs + (overlapMs ?? 0)
    const older = keys.map((key) => {
      const goesOn = key.id !== wanted.id || !isLive(key, nowMs) || Date.parse(key.expires ?? "") < until
      return goesOn ? key : { ...key, expires: dateOf(until) }
    })
    const next: StoredKey = {
      ...grants,
      hash: ApiKeys.hashOf(secret),
      created: dateOf(nowMs),
      ...(expiresInMs === undefined ? {} : { expires: dateOf(nowMs + expiresInMs) })
    }
    yield* decodeKeys({ keys: [next] }, "key")
    yield* write(file, [...older, next])
    return secret
  })

/** Ends all keys of an id at once. Fails if there is none. */
export const revoke = (file: string, id: string): Effect.Effect<number, ConfigurationError> =>
  Effect.gen(function* () {
    const nowMs = yield* Clock.currentTimeMillis
    const keys = yield* read(file)
    const live = keys.filter((key) => key.id === id && isLive(key, nowMs)).length
    if (live === 0) return yield* Effect.fail(failed(`there is no valid key ${id} in ${file}`))
    yield* write(
      file,
      keys.map((key) => (key.id === id ? { ...key, revoked: true } : key))
    )
    return live
  })

/** How a key stands. */
export const statusOf = (key: StoredKey, nowMs: number): "valid" | "expired" | "revoked" =>
  key.revoked === true ? "revoked" : isLive(key, nowMs) ? "valid" : "expired"
