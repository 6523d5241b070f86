/** An audit log that the command is told of: a file, or a database. */
import type { Audit, KeyRing } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Argument from "effect/cli/Argument"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { existsSync, readFileSync } from "node:fs"
import { report, SettingError } from "./Failure.ts"
import { keepSecret } from "./Secrets.ts"

/** The keys are read from this variable unless another is named. */
const keysVariable = "AUDIT_KEYS"

const text = (name: string, metavar: string, what: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(what), Flag.optional)

/** What says which log, and with which keys. */
export const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("The file of the log"), Argument.optional),
  postgres: text("postgres", "url", "A log in PostgreSQL instead: its URL, or the name of a variable that holds it"),
  log: text("log", "name", "The name of the log in the database (default: default)"),
  keysEnv: text("keys-env", "name", `The variable that holds the keys, id:key,id:key (default: ${keysVariable})`),
  keyFile: text("key-file", "file", "A file that holds the keys, a line each: id:key")
}

export interface Given {
  readonly file: Option.Option<string>
  readonly postgres: Option.Option<string>
  readonly log: Option.Option<string>
  readonly keysEnv: Option.Option<string>
  readonly keyFile: Option.Option<string>
}

/** Keys, and where the log is. */
export interface Opened {
  readonly name: string
  readonly keys: ReadonlyArray<KeyRing.AuditKey>
  readonly reader: AuditStore.AuditReader
}

const wrong = (message: string) => new SettingError({ message })

const asSetting = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, SettingError, R> =>
  Effect.mapError(effect, (error) => wrong(report(error).message))

const keysText = (given: Given): Effect.Effect<string, SettingError> =>
  Effect.gen(function* () {
    const { keyFile } = given
    if (Option.isSome(keyFile)) {
      if (Option.isSome(given.keysEnv)) return yield* Effect.fail(wrong("--keys-env and --key-file exclude each other"))
      return yield* Effect.try({
        try: () => readFileSync(keyFile.value, "utf8"),
        catch: (cause) => wrong(`the keys in ${keyFile.value} cannot be read: ${report(cause).message}`)
      })
    }
    const name = Option.getOrElse(given.keysEnv, () => keysVariable)
    const found = process.env[name]?.trim() ?? ""
    return found === ""
      ? yield* Effect.fail(wrong(`there are no keys: ${name} is missing or empty; see --keys-env and --key-file`))
      : found
  })

const keysOf = (given: Given): Effect.Effect<ReadonlyArray<KeyRing.AuditKey>, SettingError> =>
  Effect.gen(function* () {
    const found = yield* keysText(given)
    const odd = found.split(/[,\n]/).find((each) => each.trim() !== "" && !/^\s*(#|[^:]+:.)/.test(each))
    if (odd !== undefined) {
      const place = Option.getOrElse(given.keyFile, () => Option.getOrElse(given.keysEnv, () => keysVariable))
      return yield* Effect.fail(wrong(`${place} holds a key without its name; allowed: id:key, as in 2026-11:KEY`))
    }
    for (const line of found.split(/[,\n]/)) keepSecret(line.slice(line.indexOf(":") + 1).trim())
    const { KeyRing } = yield* Effect.promise(() => import("@breakwater/audit"))
    return yield* asSetting(KeyRing.parse(Redacted.make(found)))
  })

/** Which of the two it is. */
const placeOf = (
  given: Given
): Effect.Effect<{ readonly file: string } | { readonly url: string; readonly log: string }, SettingError> => {
  const { file, postgres } = given
  if (Option.isSome(file) === Option.isSome(postgres)) {
    return Effect.fail(wrong("name the file of the log, or a database with --postgres; one of the two"))
  }
  if (Option.isSome(file)) {
    return existsSync(file.value)
      ? Effect.succeed({ file: file.value })
      : Effect.fail(wrong(`there is no audit log ${file.value}`))
  }
  const value = Option.getOrElse(postgres, () => "").trim()
  const url = /^postgres(?:ql)?:/.test(value) ? value : process.env[value]?.trim()
  if (url === undefined || url === "") {
    return Effect.fail(wrong("--postgres is neither a URL (postgres://…) nor the name of a variable that holds one"))
  }
  keepSecret(url)
  return Effect.succeed({ url, log: Option.getOrElse(given.log, () => "default") })
}

const sql = (url: string) =>
  Effect.gen(function* () {
    const { Postgres, SqlAuditStore } = yield* Effect.promise(() => import("@breakwater/stores/sql"))
    const client = yield* asSetting(Layer.build(Postgres.layer({ url: Redacted.make(url), maxConnections: 2 })))
    return { client, SqlAuditStore }
  })

/** Opens a log to read it: nothing is written, and nobody who writes it is in the way. */
export const openToRead = (given: Given): Effect.Effect<Opened, SettingError, Scope.Scope> =>
  Effect.gen(function* () {
    const place = yield* placeOf(given)
    const keys = yield* keysOf(given)
    if ("file" in place) {
      const { FileAuditStore } = yield* Effect.promise(() => import("@breakwater/audit"))
      return { name: place.file, keys, reader: FileAuditStore.reader(place.file) }
    }
    const { client, SqlAuditStore } = yield* sql(place.url)
    const reader = yield* asSetting(Effect.provide(SqlAuditStore.reader({ log: place.log }), client))
    return { name: `the log ${place.log}`, keys, reader }
  })

/** Opens a log to write it. */
export const openToWrite = (
  given: Given
): Effect.Effect<{ readonly name: string; readonly audit: Audit.AuditService }, SettingError, Scope.Scope> =>
  Effect.gen(function* () {
    const place = yield* placeOf(given)
    const keys = yield* keysOf(given)
    const { Audit, FileAuditStore } = yield* Effect.promise(() => import("@breakwater/audit"))
    const on = (store: AuditStore.AuditStoreService) =>
      asSetting(Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store))
    if ("file" in place) {
      // Opening would make one that is not there.
      yield* asSetting(FileAuditStore.reader(place.file).newest(1))
      return { name: place.file, audit: yield* on(yield* asSetting(FileAuditStore.make({ path: place.file }))) }
    }
    const { client, SqlAuditStore } = yield* sql(place.url)
    const store = yield* asSetting(Effect.provide(SqlAuditStore.make({ log: place.log }), client))
    return { name: `the log ${place.log}`, audit: yield* on(store) }
  })
