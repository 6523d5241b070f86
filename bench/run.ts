/**
 * Runs the benchmarks: every file of this folder whose default export is one.
 *
 * `npm run bench -- [--only NAME] [--short] [--json FILE]`. NAME is the name of a file, or a part of a work's name.
 * Nothing here fails on a number.
 */
import { readdirSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import * as Effect from "effect/Effect"
import { type Benchmark, full, measure, type Row, short, type Survey, type Work } from "./harness.ts"

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    short: { type: "boolean", default: false },
    json: { type: "string" }
  }
})

const settings = flags.short ? short : full

/** These are no benchmarks. */
const others = new Set(["run.ts", "harness.ts", "memory.ts"])

const files = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && !others.has(file))
  .toSorted()

const nameOf = (file: string): string => file.slice(0, -".ts".length)

const thousands = (value: number): string => {
  const digits = Math.abs(value) < 100 ? 1 : 0
  return value.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits })
}

/** A table of one work, its columns aligned. */
const table = (work: Work | Survey, rows: ReadonlyArray<Row>): string => {
  const unit = work.unit ?? "call"
  const timed = rows.some((row) => row.medianNs > 0)
  const figures = Object.keys(rows[0]?.figures ?? {})
  const cells = [
    ["", ...(timed ? [`ns/${unit}`, "over bare", `${unit}s/s`] : []), ...figures],
    ...rows.map((row) => [
      `${row.peer ? "  " : "* "}${row.subject}`,
      ...(timed
        ? [thousands(row.medianNs), row.overBareNs === 0 ? "" : thousands(row.overBareNs), thousands(row.opsPerSecond)]
        : []),
      ...figures.map((name) => (row.figures?.[name] ?? Number.NaN).toLocaleString("en-US"))
    ])
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)))
  const lines = cells.map((line) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]! + 2))).join("")
  )
  return [work.work, ...lines.map((line) => `  ${line}`)].join("\n")
}

const isBenchmark = (value: unknown): value is Benchmark<Work | Survey> => Effect.isEffect(value)

/** Measures the works of one file that are asked for. */
const runFile = async (file: string): Promise<ReadonlyArray<Row>> => {
  const module = (await import(new URL(file, import.meta.url).href)) as { readonly default?: unknown }
  const benchmark = module.default
  if (!isBenchmark(benchmark)) throw new Error(`bench/${file} has no benchmark as its default export`)
  const only = flags.only
  const program = Effect.flatMap(benchmark, (works) =>
    Effect.promise(async () => {
      const all: Array<Row> = []
      for (const work of works) {
        if (only !== undefined && only !== nameOf(file) && !work.work.includes(only)) continue
        const rows = await ("survey" in work ? work.survey(settings) : measure(work, settings))
        console.log(`\n${table(work, rows)}`)
        all.push(...rows)
      }
      return all
    })
  )
  return Effect.runPromise(Effect.scoped(program))
}

const main = async (): Promise<void> => {
  const named = files.filter((file) => nameOf(file) === flags.only)
  const rows: Array<Row> = []
  console.log(
    `Node ${process.versions.node}, ${availableParallelism()} cores${flags.short ? ", short: the numbers mean little" : ""}`
  )
  for (const file of named.length > 0 ? named : files) {
    try {
      for (const row of await runFile(file)) rows.push(row)
    } catch (error) {
      // One that is broken does not keep the others from being measured.
      console.error(`\nbench/${file} could not be run:`, error)
      process.exitCode = 1
    }
  }
  if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify(rows, undefined, 2) + "\n")
  if (rows.length > 0 || process.exitCode === 1 || named.length > 0) return
  console.error(`Nothing is named ${flags.only}. There are ${files.map(nameOf).join(", ")}.`)
  process.exitCode = 1
}

await main()
// Peers may leave timers behind, and they are none of ours to wait for.
process.exit()
