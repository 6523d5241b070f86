/** `breakwater report`: what a ledger says was spent, by whom, and what it will come to. */
import { Ledger, LLMConfig, type Pricing } from "@breakwater/core"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Ended, reportCause, SettingError } from "../Failure.ts"
import { withLedger } from "../LedgerFile.ts"
import { csvOf, type Found, jsonOf, textOf } from "../render/Spending.ts"
import { jsonLine } from "../render/Style.ts"
import { stderr, stdout } from "../Terminal.ts"

const dimensions = ["model", "provider", "user", "project", "tag", "tenant", "key", "outcome", "day"] as const

interface Input {
  readonly ledger: Option.Option<string>
  readonly by: (typeof dimensions)[number]
  readonly from: Option.Option<string>
  readonly to: Option.Option<string>
  readonly timeZone: string
  readonly json: boolean
  readonly csv: boolean
}

/** A day or an instant in UTC as ISO 8601 has it, or a time before now. */
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
          message: `--${flag} is ${JSON.stringify(value)}; allowed: a day (2026-03-01), an instant (2026-03-01T12:00:00Z), or a time ago (7d, 12h)`
        })
      )
    : Effect.succeed(nowMs - Duration.toMillis(ago))
}

/** What the ledger knows of the time that is asked for; `undefined` if it holds nothing at all. */
const find = (
  input: Input,
  nowMs: number
): Effect.Effect<Found | undefined, Ledger.LedgerError | SettingError, Ledger.Ledger | Pricing.Pricing> =>
  Effect.gen(function* () {
    const ledger = yield* Ledger.Ledger
    const from = yield* instantOf("from", input.from, nowMs)
    const toMs = (yield* instantOf("to", input.to, nowMs)) ?? nowMs + 1
    if (from !== undefined && from >= toMs) {
      return yield* Effect.fail(new SettingError({ message: "--from is not before --to" }))
    }
    const [first] = yield* ledger.records({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }, 1)
    if (first === undefined) return undefined
    const fromMs = Math.max(from ?? 0, Math.min(first.atMs, toMs - 1))
    const filter = { fromMs, toMs }
    const { timeZone } = input
    const groups = yield* input.by === "day"
      ? ledger.report({ ...filter, interval: "day", timeZone })
      : ledger.report({ ...filter, by: [input.by] })
    const [total] = yield* ledger.report(filter)
    return {
      by: input.by,
      fromMs,
      toMs,
      timeZone,
      groups,
      total,
      forecast: yield* ledger.forecast({ timeZone }),
      recommendations: total === undefined ? [] : yield* ledger.recommend(filter)
    }
  })

const show = (input: Input): Effect.Effect<string, Ledger.LedgerError | SettingError> =>
  Effect.gen(function* () {
    if (Option.isNone(input.ledger) || input.ledger.value.trim() === "") {
      return yield* Effect.fail(
        new SettingError({ message: "--ledger is missing; name the file that breakwater chat --ledger FILE wrote" })
      )
    }
    if (input.json && input.csv) {
      return yield* Effect.fail(new SettingError({ message: "--json and --csv exclude each other" }))
    }
    const file = input.ledger.value
    const nowMs = yield* Clock.currentTimeMillis
    const found = yield* withLedger(file, find(input, nowMs))
    if (input.json) return jsonLine(jsonOf(found, input.by))
    if (input.csv) return csvOf(found, input.by)
    const out = stdout()
    return found === undefined ? `The ledger ${file} is empty.\n` : textOf(found, out.style, out.width)
  })

const run = (input: Input): Effect.Effect<void, Ended> =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(show(input))
    if (Exit.isSuccess(exit)) return stdout().write(exit.value)
    const error = reportCause(exit.cause)
    if (error === undefined) return yield* Effect.interrupt
    if (input.json) stdout().write(jsonLine({ error }))
    else stderr().write(`${stderr().style.red("error")} ${error.tag}: ${error.message}\n`)
    return yield* Effect.fail(new Ended({ code: 1 }))
  })

const text = (name: string, metavar: string, what: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(what), Flag.optional)

export const report = Command.make(
  "report",
  {
    ledger: text("ledger", "file", "The ledger, as breakwater chat --ledger or SqlLedgerStore on SQLite writes it"),
    by: Flag.Literals("by", dimensions).pipe(
      Flag.withDescription("By what to tell the spending apart (default: model)"),
      Flag.withDefault("model" as const)
    ),
    from: text(
      "from",
      "time",
      "From this day on, in UTC (2026-03-01), or from so long ago (7d). Default: the beginning"
    ),
    to: text("to", "time", "To before this day, in UTC. Default: now"),
    timeZone: Flag.String("time-zone").pipe(
      Flag.withMetavar("zone"),
      Flag.withDescription("Of days and of the month, as in Europe/Berlin (default: UTC)"),
      Flag.withDefault("UTC")
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false)),
    csv: Flag.Boolean("csv").pipe(Flag.withDescription("Print the groups as CSV"), Flag.withDefault(false))
  },
  run
).pipe(
  Command.withDescription(
    "Show what a ledger says was spent, with what the month will come to, and what need not be spent. " +
      "Reads a file that another process may be writing."
  ),
  Command.withShortDescription("Show what was spent, and on what"),
  Command.withExamples([
    { command: "breakwater report --ledger ledger.db", description: "By model, from the beginning" },
    { command: "breakwater report --ledger ledger.db --by user --from 7d", description: "The last week, by user" },
    { command: "breakwater report --ledger ledger.db --by day --csv", description: "Days, for a spreadsheet" }
  ])
)
