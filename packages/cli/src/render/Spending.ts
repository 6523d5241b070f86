/** What was spent, as a table with bars, as JSON and as CSV. */
import { type Ledger, Money } from "@breakwater/core"
import { oneLine, type Style, widthOf } from "./Style.ts"
import { table } from "./Table.ts"
import { wrap } from "./Wrap.ts"

/** What a time cost. */
export interface Before {
  readonly fromMs: number
  readonly toMs: number
  readonly costNanos: Money.NanoDollars
}

/** What there is to show. */
export interface Found {
  readonly by: string
  readonly fromMs: number
  readonly toMs: number
  readonly timeZone: string
  readonly groups: ReadonlyArray<Ledger.LedgerGroup>
  /** `undefined` where nothing was recorded in this time. */
  readonly total: Ledger.LedgerGroup | undefined
  /** A time as long before this one. */
  readonly before: Before | undefined
  readonly forecast: Ledger.Forecast
  readonly recommendations: ReadonlyArray<Ledger.Recommendation>
}

const dayOf = (ms: number, timeZone: string): string =>
  // The Swedish form of a date is that of ISO 8601.
  new Date(ms).toLocaleDateString("sv-SE", { timeZone })

const nameOf = (group: Ledger.LedgerGroup, { by, timeZone }: Found): string => {
  if (group.startMs === undefined) return Object.values(group.by)[0] ?? ""
  return dayOf(group.startMs, timeZone).slice(0, by === "month" ? 7 : 10)
}

/** Dollars for a reader: to the cent above ten, with what tells small amounts apart below. */
const dollars = (amount: Money.NanoDollars): string => {
  const places = amount >= 10_000_000_000n ? 2 : amount >= 1_000_000n ? 4 : 9
  const unit = 10n ** BigInt(9 - places)
  const text = Money.format(Money.divide(amount, unit) * unit)
  const [whole, fraction = ""] = text.split(".")
  return `${whole}.${fraction.padEnd(places === 9 ? 2 : places, "0")}`
}

const count = (value: number): string => value.toLocaleString("en-US")

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]

/** A bar of so many columns, to an eighth of one; what is above nothing shows. */
const bar = (share: number, columns: number): string => {
  const parts = Math.max(share > 0 ? 1 : 0, Math.round(Math.min(1, Math.max(0, share)) * columns * 8))
  return "█".repeat(Math.floor(parts / 8)) + eighths[parts % 8]!
}

/** The longest bar, and the shortest that is worth its room. */
const bars = { longest: 20, shortest: 6 }

/** The longest name, and the shortest that still says something. */
const names = { longest: 40, shortest: 12, last: 6 }

/** By what the bars are long: by cost, or by tokens where nothing has a cost. */
const weightOf = (total: Ledger.LedgerTotals) =>
  total.costNanos > 0n
    ? (group: Ledger.LedgerTotals) => Number(group.costNanos)
    : (group: Ledger.LedgerTotals) => group.inputTokens + group.outputTokens

const costText = ({ costNanos, records, unpriced }: Ledger.LedgerTotals): string =>
  unpriced === records ? "unknown" : dollars(costNanos)

/** Of a cost that nobody knows there is no share, unless it is tokens that are told apart. */
const shareText = (group: Ledger.LedgerTotals, share: number, total: Ledger.LedgerTotals): string =>
  total.costNanos > 0n && group.unpriced === group.records ? "–" : `${share.toFixed(1)} %`

interface Lines {
  readonly names: ReadonlyArray<string>
  /** Without the names. */
  readonly cells: ReadonlyArray<ReadonlyArray<string>>
}

const widthOfTable = (text: string): number => Math.max(...text.split("\n").map(widthOf))

/** The lines as a table that is at most so wide: names are cut first, then the tokens go. */
const fitted = ({ cells, names: all }: Lines, width: number): { rows: Array<Array<string>>; text: string } => {
  const tableOf = (longest: number, tokens: boolean) => {
    const rows = cells.map((line, i) => [
      oneLine(all[i]!, longest),
      ...(tokens ? line : line.filter((_, column) => column !== 1 && column !== 2))
    ])
    return { rows, text: table(rows, { indent: "  ", right: [1, 2, 3, 4, 5] }) }
  }
  for (const tokens of [true, false]) {
    const whole = tableOf(names.longest, tokens)
    const over = widthOfTable(whole.text) - width
    if (over <= 0) return whole
    const longest = Math.max(...whole.rows.map(([name]) => widthOf(name!))) - over
    if (longest >= names.shortest || !tokens)
      return tableOf(Math.max(tokens ? names.shortest : names.last, longest), tokens)
  }
  return tableOf(names.last, false)
}

const spendingTable = (found: Found, total: Ledger.LedgerGroup, style: Style, width: number): string => {
  const weight = weightOf(total)
  const whole = weight(total)
  const longest = Math.max(1, ...found.groups.map(weight))
  const cells = (group: Ledger.LedgerGroup) => [
    count(group.records),
    count(group.inputTokens),
    count(group.outputTokens),
    costText(group)
  ]
  const shares = found.groups.map((group) => (whole === 0 ? 0 : (100 * weight(group)) / whole))
  const fit = fitted(
    {
      names: [found.by, ...found.groups.map((group) => nameOf(group, found) || "(none)"), "total"],
      cells: [
        ["attempts", "tokens in", "tokens out", "cost", "share"],
        ...found.groups.map((group, i) => [...cells(group), shareText(group, shares[i]!, total)]),
        [...cells(total), ""]
      ]
    },
    width
  )
  const room = Math.min(bars.longest, width - widthOfTable(fit.text) - 2)
  const last = fit.rows.length - 1
  const painted = fit.rows.map((row, i) => {
    if (i === 0 || i === last) return row.map(style.bold)
    const none = nameOf(found.groups[i - 1]!, found) === ""
    return none ? [style.dim(row[0]!), ...row.slice(1)] : row
  })
  // What fills the terminal leaves no room for a chart; the shares say it, too.
  const drawn = painted.map((row, i) => {
    if (room < bars.shortest) return row
    return [...row, i === 0 || i === last ? "" : style.cyan(bar(weight(found.groups[i - 1]!) / longest, room))]
  })
  return table(drawn, { indent: "  ", right: fit.rows[0]!.map((_, column) => column).slice(1) })
}

/** Three figures: nobody knows more of what is to come. */
const roughly = (amount: Money.NanoDollars): string => {
  const digits = String(amount).length
  const unit = digits <= 3 ? 1n : 10n ** BigInt(digits - 3)
  return amount >= 1_000_000n ? dollars(amount) : dollars(Money.divide(amount, unit) * unit)
}

/** Against a time as long before. */
const trendText = ({ before, total }: Found, timeZone: string): ReadonlyArray<string> => {
  if (before === undefined || total === undefined) return []
  const span = `${dayOf(before.fromMs, timeZone)} to ${dayOf(before.toMs - 1, timeZone)}`
  const change = (100 * Number(total.costNanos - before.costNanos)) / Number(before.costNanos)
  const by = before.costNanos === 0n ? "" : ` (${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(1)} % since)`
  return [`${dollars(before.costNanos)} from ${span}${by}`]
}

const forecastText = ({ days, expected, high, low, method, spent }: Ledger.Forecast): string => {
  const range = high === undefined ? "" : `, four times out of five between ${roughly(low)} and ${roughly(high)}`
  const basis = method === "pace" ? "by its pace so far" : `by ${days} full ${days === 1 ? "day" : "days"}`
  return `${dollars(spent)} so far; ${roughly(expected)} at its end${range} (${basis})`
}

const section = (title: string, lines: ReadonlyArray<string>, style: Style, width: number): string =>
  `\n${style.bold(title)}\n${lines.flatMap((line) => wrap(line, width - 4).map((each, i) => `${i === 0 ? "  " : "    "}${each}`)).join("\n")}\n`

const recommendationText = ({ evidence, reservedLess, rule, saving, target, use }: Ledger.Recommendation): string => {
  const worth =
    saving > 0n
      ? `saves ${dollars(saving)}`
      : reservedLess === undefined
        ? ""
        : `reserves ${dollars(reservedLess)} less for each call`
  return oneLine(
    `${rule}${use === undefined ? "" : ` ${use}`} for ${target}${worth === "" ? "" : `: ${worth}`}. ${evidence}`
  )
}

/** For a terminal. */
export const textOf = (found: Found, style: Style, columns: number | undefined): string => {
  const { forecast, recommendations, timeZone, total } = found
  // In a pipe names stay whole, and lines end where a terminal's usually do.
  const width = columns ?? 80
  const trend = trendText(found, timeZone)
  const span = `${dayOf(found.fromMs, timeZone)} to ${dayOf(found.toMs - 1, timeZone)}`
  if (total === undefined) return `Nothing was recorded from ${span}.\n`
  const partly =
    total.unpriced === 0
      ? ""
      : `  ${style.yellow(`the cost of ${count(total.unpriced)} of ${count(total.records)} attempts is not known`)}\n`
  const month = dayOf(forecast.startMs, timeZone).slice(0, 7)
  return (
    `${style.bold(`Spent from ${span}`)} (${timeZone})\n${spendingTable(found, total, style, columns ?? 100)}\n${partly}` +
    (trend.length === 0 ? "" : section("As long before", trend, style, width)) +
    section(`The month ${month}`, [forecastText(forecast)], style, width) +
    (recommendations.length === 0
      ? ""
      : section("What need not be spent", recommendations.map(recommendationText), style, width))
  )
}

const totalsJson = (group: Ledger.LedgerTotals) => ({
  attempts: group.records,
  inputTokens: group.inputTokens,
  outputTokens: group.outputTokens,
  cachedInputTokens: group.cachedInputTokens,
  cacheWriteTokens: group.cacheWriteTokens,
  reasoningTokens: group.reasoningTokens,
  cost: Money.toDecimal(group.costNanos),
  unpriced: group.unpriced
})

const nothing: Ledger.LedgerTotals = {
  records: 0,
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  costNanos: 0n,
  unpriced: 0,
  tookMs: 0
}

const instant = (ms: number): string => new Date(ms).toISOString()

/** For a program: amounts are dollars in decimal texts, exact to the nano-dollar. */
export const jsonOf = (found: Found | undefined, by: string): object => {
  if (found === undefined) {
    return {
      by,
      from: null,
      to: null,
      timeZone: null,
      groups: [],
      total: totalsJson(nothing),
      before: null,
      forecast: null,
      recommendations: []
    }
  }
  const { forecast } = found
  return {
    by,
    from: instant(found.fromMs),
    to: instant(found.toMs),
    timeZone: found.timeZone,
    groups: found.groups.map((group) => ({ value: nameOf(group, found), ...totalsJson(group) })),
    total: totalsJson(found.total ?? nothing),
    before:
      found.before === undefined
        ? null
        : {
            from: instant(found.before.fromMs),
            to: instant(found.before.toMs),
            cost: Money.toDecimal(found.before.costNanos)
          },
    forecast: {
      from: instant(forecast.startMs),
      to: instant(forecast.endMs),
      spent: Money.toDecimal(forecast.spent),
      expected: Money.toDecimal(forecast.expected),
      low: Money.toDecimal(forecast.low),
      high: forecast.high === undefined ? null : Money.toDecimal(forecast.high),
      days: forecast.days,
      method: forecast.method
    },
    recommendations: found.recommendations.map(({ reservedLess, saving, ...rest }) => ({
      ...rest,
      saving: Money.toDecimal(saving),
      ...(reservedLess === undefined ? {} : { reservedLess: Money.toDecimal(reservedLess) })
    }))
  }
}

/** A field of CSV by RFC 4180. */
const field = (value: string | number): string => {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** For a spreadsheet: a header and a line for each group. */
export const csvOf = (found: Found | undefined, by: string): string => {
  const rows = (found?.groups ?? []).map((group) => [nameOf(group, found!), ...Object.values(totalsJson(group))])
  const lines = [[by, ...Object.keys(totalsJson(nothing))], ...rows]
  return lines.map((line) => `${line.map(field).join(",")}\n`).join("")
}
