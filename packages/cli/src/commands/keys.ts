/** `breakwater keys`: API keys of a gateway, in a file of hashes. */
import { type GatewayConfig, KeysFile, type Load } from "@breakwater/gateway"
import { LLMConfig } from "@breakwater/core"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { Ended, report, SettingError } from "../Failure.ts"
import { table } from "../render/Table.ts"
import { stderr, stdout } from "../Terminal.ts"

const file = Flag.String("file").pipe(
  Flag.withMetavar("file"),
  Flag.withDescription("The file of keys (default: keys.json)"),
  Flag.withDefault("keys.json")
)

const id = Argument.String("id").pipe(Argument.withDescription("The name of the key"))

const told = <E>(effect: Effect.Effect<void, E>): Effect.Effect<void, Ended> =>
  Effect.catch(effect, (error) => {
    const { message, tag } = report(error)
    stderr().write(`${stderr().style.red("error")} ${tag}: ${message}\n`)
    return Effect.fail(new Ended({ code: 1 }))
  })

const text = (name: string, metavar: string, what: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(what), Flag.optional)

const listOf = (value: Option.Option<string>): ReadonlyArray<string> | undefined =>
  Option.isNone(value)
    ? undefined
    : value.value
        .split(",")
        .map((each) => each.trim())
        .filter((each) => each !== "")

/** Days too: keys live longer than calls. */
const millisOf = (flag: string, value: Option.Option<string>): Effect.Effect<number | undefined, SettingError> => {
  if (Option.isNone(value)) return Effect.succeed(undefined)
  const days = /^(\d{1,5})\s*d(ays?)?$/.exec(value.value)
  if (days !== null) return Effect.succeed(Number(days[1]) * 86_400_000)
  const parsed = LLMConfig.parseDuration(value.value)
  return parsed === undefined
    ? Effect.fail(
        new SettingError({
          message: `--${flag} is ${JSON.stringify(value.value)}; allowed: a time such as 90d, 12h or 30m`
        })
      )
    : Effect.succeed(Duration.toMillis(parsed))
}

const known: ReadonlyArray<string> = ["chat", "embeddings", "models", "metrics", "admin"]

/** What cannot be done, in the words of the command line. */
const problem = (scopes: ReadonlyArray<string> | undefined, path: string): string | undefined => {
  const odd = scopes?.find((scope) => !known.includes(scope))
  if (odd !== undefined) return `--scopes holds ${JSON.stringify(odd)}; allowed: ${known.join(", ")}`
  if (!existsSync(dirname(resolve(path)))) return `there is no folder ${dirname(path)} for the file of keys`
  return undefined
}

/** A name that is taken, with the flag that helps. */
const withFlag = (error: Load.ConfigurationError): SettingError =>
  new SettingError({ message: error.message.replace("give an overlap to replace it", "--overlap 1d replaces it") })

const create = Command.make(
  "create",
  {
    id,
    file,
    tenant: text("tenant", "name", "Whose key it is (default: default)"),
    user: text("user", "name", "The user it stands for"),
    tier: text("tier", "name", "The tier of its limits"),
    scopes: text(
      "scopes",
      "list",
      "With commas between: chat, embeddings, models, metrics, admin (default: the first three)"
    ),
    models: text(
      "models",
      "list",
      "Models, aliases and routes it may ask for, with commas between; a * at the end for any"
    ),
    expires: text("expires", "time", "How long it is valid: 90d, 12h"),
    overlap: text("overlap", "time", "Replace the key of that name, which goes on for this long")
  },
  (input) =>
    told(
      Effect.gen(function* () {
        const expiresInMs = yield* millisOf("expires", input.expires)
        const overlapMs = yield* millisOf("overlap", input.overlap)
        const [scopes, models] = [listOf(input.scopes), listOf(input.models)]
        const wrong = problem(scopes, input.file)
        if (wrong !== undefined) return yield* Effect.fail(new SettingError({ message: wrong }))
        const key = yield* KeysFile.create(input.file, {
          id: input.id,
          ...(Option.isSome(input.tenant) ? { tenant: input.tenant.value } : {}),
          ...(Option.isSome(input.user) ? { user: input.user.value } : {}),
          ...(Option.isSome(input.tier) ? { tier: input.tier.value } : {}),
          ...(scopes === undefined ? {} : { scopes: scopes as ReadonlyArray<GatewayConfig.Scope> }),
          ...(models === undefined ? {} : { models }),
          ...(expiresInMs === undefined ? {} : { expiresInMs }),
          ...(overlapMs === undefined ? {} : { overlapMs })
        }).pipe(Effect.mapError(withFlag))
        stdout().write(`${key}\n`)
        stderr().write(
          `It is shown only once: ${input.file} holds its hash. A gateway takes it with "auth": { "keysFile": … } in its file.\n`
        )
      })
    )
).pipe(Command.withDescription("Make a key, and print it once"))

const list = Command.make("list", { file }, (input) =>
  told(
    Effect.gen(function* () {
      if (!existsSync(input.file)) {
        const message = `there is no file ${input.file}; breakwater keys create NAME makes one`
        return yield* Effect.fail(new SettingError({ message }))
      }
      const keys = yield* KeysFile.read(input.file)
      const nowMs = yield* Clock.currentTimeMillis
      const out = stdout()
      if (keys.length === 0) return out.write(`There are no keys in ${input.file}.\n`)
      const rows = keys.map((key) => [
        key.id,
        KeysFile.statusOf(key, nowMs),
        [
          key.tenant ?? "default",
          key.tier,
          key.scopes?.join(" "),
          key.expires === undefined ? undefined : `until ${key.expires}`
        ]
          .filter((each) => each !== undefined)
          .join(", ")
      ])
      out.write(`${table(rows, { indent: "", width: out.width })}\n`)
    })
  )
).pipe(Command.withDescription("List the keys of a file, without the keys themselves"))

const revoke = Command.make("revoke", { id, file }, (input) =>
  told(
    Effect.map(KeysFile.revoke(input.file, input.id), (count) =>
      stdout().write(`revoked ${count} ${count === 1 ? "key" : "keys"} of ${input.id}\n`)
    )
  )
).pipe(Command.withDescription("End all keys of a name"))

export const keys = Command.make("keys").pipe(
  Command.withDescription("API keys of a gateway: made at random, shown once, kept as hashes."),
  Command.withShortDescription("Make, list and revoke API keys of the gateway"),
  Command.withSubcommands([create, list, revoke]),
  Command.withExamples([
    { command: "breakwater keys create alice --tier gold --expires 90d", description: "A key, printed once" },
    { command: "breakwater keys create ops --scopes admin", description: "One for the dashboard" },
    { command: "breakwater keys create alice --overlap 24h", description: "A new key; the old one goes on for a day" },
    { command: "breakwater keys revoke alice", description: "No more" }
  ])
)
