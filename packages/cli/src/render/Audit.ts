/** Entries and findings of an audit log, for people. */
import type { Audit } from "@breakwater/audit"
import { Money } from "@breakwater/core"
import type { Style } from "./Style.ts"
import { table } from "./Table.ts"

/**
 * A text in one line in which everything can be seen: control characters, and those that turn the direction of writing, are
 * written out.
 */
const visible = (value: string): string =>
  value.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

const instant = (ms: number | undefined): string => {
  const date = new Date(ms ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? `${ms}` : date.toISOString()
}

const counted = (count: number, what: string): string =>
  `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"}`

const range = (from: number, to: number): string => (from === to ? `${from}` : `${from} to ${to}`)

const placeOf = (finding: Audit.Finding, places: "bytes" | "sequence"): string => {
  if (finding.line === undefined) return "head"
  if (finding.place === undefined) return `line ${finding.line}`
  return places === "bytes" ? `line ${finding.line}, byte ${finding.place}` : `row ${finding.place}`
}

/** What verifying has found. */
export const verificationText = (
  name: string,
  result: Audit.Verification,
  places: "bytes" | "sequence",
  style: Style
): string => {
  const rows: Array<ReadonlyArray<string>> = []
  if (result.first !== undefined && result.last !== undefined) {
    rows.push(["entries", `${range(result.first, result.last)}, ${instant(result.fromMs)} to ${instant(result.toMs)}`])
  }
  const { pruned } = result
  if (pruned !== undefined) {
    const actions = Object.entries(pruned.actions).map(([action, count]) => `${visible(action)} ${count}`)
    rows.push([
      "pruned",
      `${counted(pruned.entries, "entry").replace(/entrys$/, "entries")} through ${pruned.through}: ${actions.join(", ")}`
    ])
  }
  for (const { first, id, last } of result.keys) rows.push(["key", `${id}, in ${range(first, last)}`])
  if (result.clockSteps > 0) rows.push(["clock", `set back ${counted(result.clockSteps, "time")}`])
  if (result.anchored !== undefined) rows.push(["--head", result.anchored])
  if (result.anchor !== undefined && result.sound) rows.push(["anchor", result.anchor])
  const about = rows.length === 0 ? "" : `${table(rows, { indent: "  " })}\n`
  if (result.sound) return `${style.green("sound")} ${name}\n${about}`
  const findings = result.findings.map((finding) => [placeOf(finding, places), finding.kind, visible(finding.message)])
  const more = result.findingCount - findings.length
  const last = more > 0 ? `  and ${counted(more, "other")}\n` : ""
  return `${style.red("broken")} ${name}: ${counted(result.findingCount, "finding")}\n${table(findings, { indent: "  " })}\n${last}${about}`
}

/** An entry in a line. */
export const entryLine = (entry: Audit.AuditEntry, style: Style): string => {
  const { actor, costNanos, details, tokens } = entry
  const who = [actor?.tenant, actor?.user, actor?.key].filter((each) => each !== undefined).join("/")
  const parts = [
    who === "" ? undefined : who,
    entry.requestId,
    entry.targets?.join(" → "),
    entry.outcome,
    entry.error,
    tokens === undefined ? undefined : `${tokens.input} → ${tokens.output} tokens`,
    costNanos === undefined ? undefined : Money.format(costNanos),
    entry.flags === undefined || entry.flags.length === 0 ? undefined : `[${entry.flags.join(" ")}]`,
    details === undefined ? undefined : style.dim(visible(JSON.stringify(details)))
  ].filter((each) => each !== undefined)
  const said = parts.map((part, index) => (details !== undefined && index === parts.length - 1 ? part : visible(part)))
  return `${entry.seq}  ${instant(entry.at)}  ${style.bold(visible(entry.action))}  ${said.join("  ")}`.trimEnd()
}

/** An entry as JSON has it: amounts as texts. */
export const entryJson = ({
  costNanos,
  ...rest
}: Audit.AuditEntry): Omit<Audit.AuditEntry, "costNanos"> & { readonly costNanos?: string } => ({
  ...rest,
  ...(costNanos === undefined ? {} : { costNanos: String(costNanos) })
})
