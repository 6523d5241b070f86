/** What the demonstration adds up to: for a reader, and as JSON. */
import { attemptsJson } from "../Attempts.ts"
import type { Style } from "../render/Style.ts"
import { table } from "../render/Table.ts"
import { time } from "../render/Time.ts"
import type { BarePlayed, Played } from "./Run.ts"
import type { Stage } from "./Stage.ts"

export interface Result {
  readonly stage: Stage
  readonly played: ReadonlyArray<Played>
  /** Left out where the faults cannot be repeated. */
  readonly bare: ReadonlyArray<BarePlayed> | undefined
  readonly tookMs: number
}

const total = (values: ReadonlyArray<number>): number => values.reduce((sum, each) => sum + each, 0)

const answeredOf = (all: ReadonlyArray<{ readonly answered: boolean }>): number =>
  all.filter((each) => each.answered).length

/** How often each kind of error was met, and the time it took: the failed attempts, and the waits after them. */
const errorsOf = (
  played: ReadonlyArray<Played>
): ReadonlyMap<string, { readonly count: number; readonly ms: number }> => {
  const found = new Map<string, { readonly count: number; readonly ms: number }>()
  for (const { attempts } of played) {
    attempts.forEach((attempt, index) => {
      if (attempt.error === undefined) return
      const before = found.get(attempt.error._tag) ?? { count: 0, ms: 0 }
      const ms = before.ms + attempt.tookMs + (attempts[index + 1]?.waitedMs ?? 0)
      found.set(attempt.error._tag, { count: before.count + 1, ms })
    })
  }
  return found
}

const share = (part: number, whole: number): string => `${part} (${Math.round((100 * part) / Math.max(1, whole))}%)`

const comparison = ({ bare, played }: Result, style: Style): string => {
  if (bare === undefined) return ""
  const rows = played.map((mine, index) => {
    const other = bare[index]!
    const calls = `${mine.attempts.length} ${mine.attempts.length === 1 ? "attempt" : "attempts"}`
    return [
      style.dim(String(index + 1)),
      mine.fault ?? "",
      other.answered ? style.green(`✓ whole, ${time(other.tookMs)}`) : style.red(`✗ ${other.error?.tag ?? "failed"}`),
      mine.answered
        ? style.green(`✓ whole, ${calls}, ${time(mine.tookMs)}`)
        : style.red(`✗ ${mine.error?.tag ?? "failed"}`)
    ]
  })
  const head = ["#", "fault", "one bare call", "with Breakwater"].map(style.bold)
  return `${style.bold("The same prompts and faults")}\n\n${table([head, ...rows], { indent: "  ", right: [0] })}\n\n`
}

const totals = ({ bare, played, tookMs }: Result, style: Style): string => {
  const count = played.length
  const attempts = total(played.map((each) => each.attempts.length))
  const rows = [
    ["calls", String(count), String(count)],
    [
      "whole answers",
      share(bare === undefined ? 0 : answeredOf(bare), count),
      style.green(share(answeredOf(played), count))
    ],
    ["attempts", String(count), String(attempts)],
    ["time lost to faults", "", time(total(played.map((each) => each.lostMs)))],
    ["time in all", "", time(tookMs)]
  ]
  const head = ["", "bare", "Breakwater"].map(style.bold)
  const all = [head, ...rows].map((row) => (bare === undefined ? [row[0]!, row[2]!] : row))
  return table(all, { indent: "  ", right: [1, 2] })
}

const errors = ({ played }: Result, style: Style): string => {
  const rows = [...errorsOf(played)].map(([tag, { count, ms }]) => [tag, String(count), time(ms)])
  if (rows.length === 0) return `  ${style.green("No attempt failed.")}`
  return table([["error", "times", "time lost"].map(style.bold), ...rows], { indent: "  ", right: [1, 2] })
}

const next = (stage: Stage, style: Style): string =>
  stage.mode === "real"
    ? ""
    : `
${style.bold("Next")}
  ${style.cyan("npx breakwater upstream --port 8080")}       the same faults, for your own client
  ${style.cyan("npx breakwater plan --preset interactive")}  the worst a call can cost
  ${style.cyan("OPENAI_API_KEY=… npm run demo")}             the same prompts, for real
`

const verdict = ({ bare, played }: Result, style: Style): string => {
  const count = played.length
  const mine = `${answeredOf(played)} of ${count} prompts got a whole answer`
  return style.bold(bare === undefined ? `${mine}.` : `${mine}; without Breakwater, ${answeredOf(bare)} of ${count}.`)
}

/** The end of the demonstration. */
export const summary = (result: Result, style: Style): string =>
  [
    `${comparison(result, style)}${style.bold("Summary")}`,
    totals(result, style),
    errors(result, style),
    verdict(result, style)
  ].join("\n\n") + `\n${next(result.stage, style)}`

/** Everything, for a program. */
export const json = ({ bare, played, stage, tookMs }: Result): unknown => ({
  mode: stage.mode,
  headline: stage.headline,
  targets: stage.targets,
  prompts: played.length,
  answered: answeredOf(played),
  attempts: total(played.map((each) => each.attempts.length)),
  failedAttempts: total(played.map((each) => each.attempts.filter((attempt) => attempt.outcome === "failure").length)),
  timeLostMs: Math.round(total(played.map((each) => each.lostMs))),
  tookMs: Math.round(tookMs),
  errors: Object.fromEntries([...errorsOf(played)].map(([tag, { count }]) => [tag, count])),
  calls: played.map(({ answered, attempts, error, fault, lostMs, prompt, target, text, tookMs: ms }) => ({
    prompt,
    fault: fault ?? null,
    answered,
    text,
    target: target ?? null,
    attempts: attemptsJson(attempts),
    ms: Math.round(ms),
    lostMs: Math.round(lostMs),
    ...(error === undefined ? {} : { error })
  })),
  withoutBreakwater:
    bare === undefined
      ? null
      : {
          answered: answeredOf(bare),
          calls: bare.map((each) => ({ ...each, tookMs: Math.round(each.tookMs) }))
        }
})
