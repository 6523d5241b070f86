/** `breakwater audit`: whether an audit log is as it was written, what it says, and an end to what is too old. */
import type { Audit } from "@breakwater/audit"
import { LLMConfig } from "@breakwater/core"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { userInfo } from "node:os"
import { flags, type Given, openToRead, openToWrite } from "../AuditLog.ts"
import { Ended, report, SettingError } from "../Failure.ts"
import { entryJson, entryLine, verificationText } from "../render/Audit.ts"
import { jsonLine } from "../render/Style.ts"
import { stderr, stdout } from "../Terminal.ts"

/** The exit code of a log that was tampered with: another than that of one that cannot be read. */
const brokenCode = 3

const json = Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false))

const text = (name: string, metavar: string, what: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(what), Flag.optional)

/** A day or an instant in UTC, or a time before now. */
const instantOf = (
  flag: string,
  given: Option.Option<string>,
  nowMs: number
): Effect.Effect<number | undefined, SettingError> => {
  if (Option.isNone(given)) return Effect.succeed(undefined)
  const value = given.value.trim()
  const days = /^(\d{1,5})\s*d$/.exec(value)
  if (days !== null) return Effect.succeed(nowMs - Number(days[1]) * 86_400_000)
  if (/^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/.test(value)) {
    const ms = Date.parse(value)
    // A 31st of February would be read as one of March.
    const isDay = value.length > 10 || (!Number.isNaN(ms) && new Date(ms).toISOString().startsWith(value))
    if (!Number.isNaN(ms) && isDay) return Effect.succeed(ms)
  }
  const ago = /^\d+(?:\.\d+)?$/.test(value) ? undefined : LLMConfig.parseDuration(value)
  return ago === undefined
    ? Effect.fail(
        new SettingError({
          message: `--${flag} is ${JSON.stringify(value)}; allowed: a day in UTC (2026-03-01), an instant (2026-03-01T12:00:00Z), or a time ago (90d, 12h)`
        })
      )
    : Effect.succeed(nowMs - Duration.toMillis(ago))
}

/** Runs a command that ends with a code, and says its errors where they are looked for. */
const told = <E>(input: { readonly json: boolean }, effect: Effect.Effect<number, E, Scope.Scope>) =>
  Effect.scoped(effect).pipe(
    Effect.catch((failure) => {
      const error = report(failure)
      if (input.json) stdout().write(jsonLine({ error }))
      else stderr().write(`${stderr().style.red("error")} ${error.tag}: ${error.message}\n`)
      return Effect.succeed(1)
    }),
    Effect.flatMap((code) => (code === 0 ? Effect.void : Effect.fail(new Ended({ code }))))
  )

const library = Effect.promise(() => import("@breakwater/audit"))

const verify = Command.make(
  "verify",
  {
    ...flags,
    head: text(
      "head",
      "hash@seq",
      "The end of the log as it was once: the anchor of an earlier verify, kept elsewhere"
    ),
    json
  },
  (input) =>
    told(
      input,
      Effect.gen(function* () {
        const { keys, name, reader } = yield* openToRead(input)
        const { Audit } = yield* library
        const options = Option.isSome(input.head) ? { anchor: input.head.value } : {}
        const result = yield* Audit.verify(reader, keys, options)
        const out = stdout()
        out.write(
          input.json ? jsonLine({ log: name, ...result }) : verificationText(name, result, reader.places, out.style)
        )
        if (!result.checked) {
          return yield* Effect.fail(
            new SettingError({ message: "no line could be checked: these are not its keys, or it is no audit log" })
          )
        }
        if (!result.sound) return brokenCode
        return result.anchored === "pruned"
          ? yield* Effect.fail(
              new SettingError({ message: "--head is of an entry that was pruned: it cannot be looked for any more" })
            )
          : 0
      })
    )
).pipe(
  Command.withDescription(
    "Look through a whole log, and say whether it is as it was written; if not, what is wrong and where. " +
      "Ends with 0 if it is, 3 if it was tampered with, 1 if it cannot be read or checked."
  ),
  Command.withShortDescription("Say whether a log is as it was written"),
  Command.withExamples([
    { command: "breakwater audit verify audit.log", description: "With the keys in AUDIT_KEYS" },
    { command: "breakwater audit verify audit.log --head HASH@SEQ", description: "And that it is no older copy" },
    { command: "breakwater audit verify --postgres DATABASE_URL --json", description: "A log in a database" }
  ])
)

const outcomes = ["success", "failure", "interrupted", "refused"] as const

interface ShowInput extends Given {
  readonly limit: number
  readonly action: Option.Option<string>
  readonly tenant: Option.Option<string>
  readonly user: Option.Option<string>
  readonly key: Option.Option<string>
  readonly request: Option.Option<string>
  readonly outcome: Option.Option<(typeof outcomes)[number]>
  readonly flag: Option.Option<string>
  readonly from: Option.Option<string>
  readonly to: Option.Option<string>
  readonly json: boolean
}

const queryOf = (input: ShowInput): Effect.Effect<Audit.EntryQuery & { readonly limit: number }, SettingError> =>
  Effect.gen(function* () {
    const { limit } = input
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > 10_000) {
      return yield* Effect.fail(
        new SettingError({ message: `--limit is ${limit}; allowed: a whole number from 1 to 10000` })
      )
    }
    const nowMs = yield* Clock.currentTimeMillis
    const fields = {
      action: Option.getOrUndefined(input.action),
      tenant: Option.getOrUndefined(input.tenant),
      user: Option.getOrUndefined(input.user),
      key: Option.getOrUndefined(input.key),
      requestId: Option.getOrUndefined(input.request),
      outcome: Option.getOrUndefined(input.outcome),
      flag: Option.getOrUndefined(input.flag),
      fromMs: yield* instantOf("from", input.from, nowMs),
      toMs: yield* instantOf("to", input.to, nowMs)
    }
    const given = Object.entries(fields).filter(([, value]) => value !== undefined)
    return { limit, ...(Object.fromEntries(given) as Audit.EntryQuery) }
  })

const show = Command.make(
  "show",
  {
    ...flags,
    limit: Flag.Int("limit").pipe(
      Flag.withDescription("How many entries at most, the newest (default: 100)"),
      Flag.withDefault(100)
    ),
    action: text("action", "name", "Only of this action: request, key-created, …"),
    tenant: text("tenant", "name", "Only of this tenant"),
    user: text("user", "name", "Only of this user"),
    key: text("key", "id", "Only of this API key"),
    request: text("request", "id", "Only of this request"),
    outcome: Flag.Literals("outcome", outcomes).pipe(Flag.withDescription("Only what ended so"), Flag.optional),
    flag: text("flag", "name", "Only with this flag: failover, content-filtered, …"),
    from: text("from", "time", "From this day on, in UTC (2026-03-01), or from so long ago (7d)"),
    to: text("to", "time", "To before this day, in UTC"),
    json
  },
  (input) =>
    told(
      input,
      Effect.gen(function* () {
        const query = yield* queryOf(input)
        const { keys, reader } = yield* openToRead(input)
        const { Audit } = yield* library
        const entries: Array<Audit.AuditEntry> = []
        let verified = true
        let before: number | undefined
        do {
          const limit = query.limit - entries.length
          const from = before === undefined ? {} : { before }
          const page: Audit.EntryPage = yield* Audit.read(reader, keys, { ...query, limit, ...from })
          entries.push(...page.entries)
          verified &&= page.verified
          before = page.before
        } while (before !== undefined && entries.length < query.limit)
        const out = stdout()
        const line = (entry: Audit.AuditEntry) =>
          input.json ? jsonLine(entryJson(entry)) : `${entryLine(entry, out.style)}\n`
        for (const entry of entries.toReversed()) out.write(line(entry))
        if (verified) return 0
        stderr().write(
          `${stderr().style.yellow("warning")} the log was tampered with; breakwater audit verify says where\n`
        )
        return brokenCode
      })
    )
).pipe(
  Command.withDescription(
    "Print entries, the newest last. What cannot be seen in a text is written out. Ends with 3 if something that was read was tampered with."
  ),
  Command.withShortDescription("Print entries"),
  Command.withExamples([
    { command: "breakwater audit show audit.log --limit 20", description: "The newest" },
    { command: "breakwater audit show audit.log --user ada --from 7d --json", description: "A line of JSON each" }
  ])
)

const prune = Command.make(
  "prune",
  {
    ...flags,
    before: Flag.String("before").pipe(
      Flag.withMetavar("time"),
      Flag.withDescription("What is older goes: a day in UTC (2026-03-01), an instant, or so long ago (365d)")
    ),
    json
  },
  (input) =>
    told(
      input,
      Effect.gen(function* () {
        const nowMs = yield* Clock.currentTimeMillis
        const beforeMs = (yield* instantOf("before", Option.some(input.before), nowMs)) ?? 0
        const { audit, name } = yield* openToWrite(input)
        const pruned = yield* audit.prune(beforeMs, { user: userInfo().username })
        const out = stdout()
        if (input.json) out.write(jsonLine({ log: name, ...pruned }))
        else if (pruned.entries === 0) out.write(`Nothing in ${name} is older.\n`)
        else out.write(`pruned ${pruned.entries} entries, through ${pruned.through}, from ${name}\n`)
        return 0
      })
    )
).pipe(
  Command.withDescription(
    "Put a sealed checkpoint in place of the oldest entries: how many of what there were, and the chain goes on from it. " +
      "Refuses a log in which one of them was tampered with, and a file that another process writes. The log records it."
  ),
  Command.withShortDescription("Put a checkpoint in place of old entries"),
  Command.withExamples([{ command: "breakwater audit prune audit.log --before 365d", description: "Keep a year" }])
)

export const audit = Command.make("audit").pipe(
  Command.withDescription("An audit log: verify it, read it, end what is too old."),
  Command.withShortDescription("Verify, read and prune an audit log"),
  Command.withSubcommands([verify, show, prune]),
  Command.withExamples([
    {
      command: "breakwater audit verify audit.log",
      description: "Is it as it was written? The keys are in AUDIT_KEYS"
    },
    { command: "breakwater audit show audit.log --limit 20", description: "The newest entries" },
    { command: "breakwater audit prune audit.log --before 365d", description: "Keep a year" }
  ])
)
