/** `breakwater report`: what a ledger says was spent, by whom, and what it will come to. */
import { Ledger, LLMConfig, type Pricing } from "@breakwater/core"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Ended, reportCause, SettingError } from "../Failure.ts"
import { withLedger } from "../LedgerFile.ts"
import { type Before, csvOf, type Found, jsonOf, textOf } from "../render/Spending.ts"
import { jsonLine } from "../render/Style.ts"
import { stderr, stdout } from "../Terminal.ts"

const dimensions = [
  "model",
  "provider",
  "user",
  "project",
  "tag",
  "tenant",
  "key",
  "outcome",
  "day",
  "week",
  "month"
] as const

interface Input {
  readonly ledger: Option.Option<string>
  readonly by: (typeof dimensions)[number]
  readonly from: Option.Option<string>
  readonly to: Option.Option<string>
  readonly timeZone: Option.Option<string>
  readonly json: boolean
  readonly csv: boolean
}

/** The zone that was asked for, or that of this machine. */
const zoneOf = (given: Option.Option<string>): Effect.Effect<DateTime.TimeZone.Named, SettingError> => {
  const name = Option.getOrElse(given, () => new Intl.DateTimeFormat().resolvedOptions().timeZone).trim()
  return Effect.fromOption(DateTime.zoneMakeNamed(name)).pipe(
    Effect.mapError(
      () =>
        new SettingError({
          message: `--time-zone is ${JSON.stringify(name)}: ${name} is no time zone; an IANA name such as Europe/Berlin is`
        })
    )
  )
}

const day = /^(\d{4})-(\d\d)-(\d\d)$/
const local = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?$/
const exact = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/

/** The instant at which the clocks of a zone show a time; the first one, where they show it twice. */
const inZone = (text: string, timeZone: DateTime.TimeZone): number | undefined => {
  const wall = Date.parse(`${text}Z`)
  // A 31st of February would be read as one of March.
  if (Number.isNaN(wall) || !new Date(wall).toISOString().startsWith(text)) return undefined
  const zoned = DateTime.makeZoned(wall, { timeZone, adjustForTimeZone: true, disambiguation: "compatible" })
  return Option.getOrUndefined(Option.map(zoned, DateTime.toEpochMillis))
}

/** A day or a time in the zone, an instant as ISO 8601 has it, or a time before now. */
const instantOf = (
  flag: string,
  given: Option.Option<string>,
  nowMs: number,
  zone: DateTime.TimeZone
): Effect.Effect<number | undefined, SettingError> => {
  if (Option.isNone(given)) return Effect.succeed(undefined)
  const value = given.value.trim()
  const read = (): number | undefined => {
    const days = /^(\d{1,5})\s*d$/.exec(value)
    if (days !== null) return nowMs - Number(days[1]) * 86_400_000
    if (day.test(value)) return inZone(`${value}T00:00`, zone)
    if (local.test(value)) return inZone(value, zone)
    if (exact.test(value)) return Date.parse(value)
    const ago = /^\d+(?:\.\d+)?$/.test(value) ? undefined : LLMConfig.parseDuration(value)
    return ago === undefined ? undefined : nowMs - Duration.toMillis(ago)
  }
  const found = read()
  return found === undefined || Number.isNaN(found)
    ? Effect.fail(
        new SettingError({
          message: `--${flag} is ${JSON.stringify(value)}; allowed: a day (2026-03-01), a time (2026-03-01T12:00, or with Z an instant), or a time ago (7d, 12h)`
        })
      )
    : Effect.succeed(found)
}

/** What the ledger knows of the time that is asked for; `undefined` if it holds nothing at all. */
const find = (
  input: Input,
  nowMs: number
): Effect.Effect<Found | undefined, Ledger.LedgerError | SettingError, Ledger.Ledger | Pricing.Pricing> =>
  Effect.gen(function* () {
    const ledger = yield* Ledger.Ledger
    const zone = yield* zoneOf(input.timeZone)
    const from = yield* instantOf("from", input.from, nowMs, zone)
    const toMs = (yield* instantOf("to", input.to, nowMs, zone)) ?? nowMs + 1
    if (from !== undefined && from >= toMs) {
      return yield* Effect.fail(new SettingError({ message: "--from is not before --to" }))
    }
    const [first] = yield* ledger.records({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }, 1)
    if (first === undefined) return undefined
    const fromMs = Math.max(from ?? 0, Math.min(first.atMs, toMs - 1))
    const filter = { fromMs, toMs }
    const timeZone = zone.id
    const { by } = input
    const groups = yield* by === "day" || by === "week" || by === "month"
      ? ledger.report({ ...filter, interval: by, timeZone })
      : ledger.report({ ...filter, by: [by] })
    const [total] = yield* ledger.report(filter)
    return {
      by,
      fromMs,
      toMs,
      timeZone,
      groups,
      total,
      before: from === undefined ? undefined : yield* beforeOf(ledger, fromMs, toMs, first.atMs),
      forecast: yield* ledger.forecast({ timeZone }),
      recommendations: total === undefined ? [] : yield* ledger.recommend(filter)
    }
  })

/** What a time as long just before cost; `undefined` where the ledger does not reach back so far. */
const beforeOf = (ledger: Ledger.LedgerService, fromMs: number, toMs: number, firstMs: number) => {
  const filter = { fromMs: fromMs - (toMs - fromMs), toMs: fromMs }
  return firstMs > filter.fromMs
    ? Effect.succeed(undefined)
    : Effect.map(ledger.report(filter), ([total]): Before => ({ ...filter, costNanos: total?.costNanos ?? 0n }))
}

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
    return found === undefined
      ? `The ledger ${file} is empty.\n`
      : textOf(found, out.style, out.isTerminal ? out.width : undefined)
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
    from: text("from", "time", "From this day on (2026-03-01), or from so long ago (7d). Default: the beginning"),
    to: text("to", "time", "To before this day. Default: now"),
    timeZone: text(
      "time-zone",
      "zone",
      "Of days, weeks, months and of --from and --to, as in Europe/Berlin. Default: this machine's"
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false)),
    csv: Flag.Boolean("csv").pipe(Flag.withDescription("Print the groups as CSV"), Flag.withDefault(false))
  },
  run
).pipe(
  Command.withDescription(
    "Show what a ledger says was spent, with what the month will come to, and what need not be spent. " +
      "Reads a file that another process may be writing, and writes nothing."
  ),
  Command.withShortDescription("Show what was spent, and on what"),
  Command.withExamples([
    { command: "breakwater report --ledger ledger.db", description: "By model, from the beginning" },
    { command: "breakwater report --ledger ledger.db --by user --from 7d", description: "The last week, by user" },
    { command: "breakwater report --ledger ledger.db --by day --csv", description: "Days, for a spreadsheet" }
  ])
)
