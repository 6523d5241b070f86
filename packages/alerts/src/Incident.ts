/**
 * What happened while alerts fired, gathered in one place: who was affected, which errors came and which were there
 * before, what the policies did, what it cost, and what it is probably about.
 *
 * An incident is opened by the first alert that fires. Alerts that fire while it is open join it, and it is closed when
 * the last of them is resolved.
 */
import { Money } from "@breakwater/core"
import type { Cause } from "./internal/causes.ts"
import type { Alert } from "./internal/evaluator.ts"
import { oneLine } from "./internal/text.ts"
import type { Policies } from "./internal/tally.ts"

export type { Cause, CauseName } from "./internal/causes.ts"
export type { Policies } from "./internal/tally.ts"

/** One line of the timeline. */
export interface Entry {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly what: string
}

/** A target, in the half hour before and since. Shares are of attempts. */
export interface AffectedTarget {
  readonly target: string
  readonly attempts: number
  readonly failures: number
  readonly failureRatioBefore: number
  readonly failureRatio: number
  readonly meanMsBefore: number
  readonly meanMs: number
  readonly errors: Readonly<Record<string, number>>
}

/** An incident, in plain data. Times are milliseconds since 1970. */
export interface Incident {
  readonly id: string
  readonly status: "open" | "closed"
  readonly openedAt: number
  readonly closedAt?: number
  /** From the opening to the end, or to now. */
  readonly durationMs: number
  readonly alerts: ReadonlyArray<Alert>
  /** The likeliest first. */
  readonly causes: ReadonlyArray<Cause>
  readonly requests: { readonly success: number; readonly failure: number; readonly interrupted: number }
  /** Targets with failures, the worst first; the rest follows. */
  readonly targets: ReadonlyArray<AffectedTarget>
  /** Errors that calls ended with. */
  readonly errors: {
    readonly before: Readonly<Record<string, number>>
    readonly during: Readonly<Record<string, number>>
  }
  readonly policies: Policies
  /** What the calls meanwhile have cost, in nano-dollars as a text. */
  readonly costNanos: string
  readonly timeline: ReadonlyArray<Entry>
  /** Lines that were left out of the timeline for its bound. */
  readonly timelineDropped: number
}

const iso = (at: number): string => new Date(at).toISOString()

const seconds = (ms: number): string => {
  const all = Math.round(ms / 1_000)
  const parts = [Math.floor(all / 3_600), Math.floor((all % 3_600) / 60), all % 60]
  const said = parts.map((part, index) => (part === 0 ? "" : `${part} ${["h", "min", "s"][index]}`))
  return said.filter((part) => part !== "").join(" ") || "0 s"
}

/** Text that stands for itself in Markdown, on one line. */
const plain = (text: string): string => oneLine(text).replace(/([\\`*_[\]<>|#])/g, "\\$1")

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

const share = (ratio: number): string => `${(ratio * 100).toFixed(1)} %`

const errorRows = ({ before, during }: Incident["errors"]): ReadonlyArray<ReadonlyArray<string>> =>
  [...new Set([...Object.keys(before), ...Object.keys(during)])]
    .sort((a, b) => (during[b] ?? 0) - (during[a] ?? 0))
    .map((tag) => [plain(tag), String(before[tag] ?? 0), String(during[tag] ?? 0)])

const section = (title: string, body: string): string => (body === "" ? "" : `## ${title}\n\n${body}\n`)

/** The incident as a page to read, or to put into a ticket. */
export const toMarkdown = (incident: Incident): string => {
  const [cause] = incident.causes
  const { errors, requests, targets } = incident
  const done = Object.entries(incident.policies).filter(([, count]) => count > 0)
  const rows = errorRows(errors)
  return [
    `# Incident ${plain(incident.id)}: ${plain(cause?.sentence ?? "")}\n`,
    `Opened ${iso(incident.openedAt)}, ${
      incident.closedAt === undefined ? "still open" : `closed ${iso(incident.closedAt)}`
    } (${seconds(incident.durationMs)}). ${requests.failure} of ${requests.success + requests.failure} calls failed; ` +
      `the calls meanwhile have cost ${Money.format(BigInt(incident.costNanos))}.\n`,
    section(
      "Alerts",
      incident.alerts
        .map((alert) => `- **${plain(alert.id)}** (${alert.severity}, ${alert.state}): ${plain(alert.summary)}`)
        .join("\n")
    ),
    section(
      "Suspected causes",
      incident.causes
        .map(
          ({ evidence, name, score, sentence }) =>
            `- **${name}** (${share(score)}): ${plain(sentence)}${evidence.map((each) => `\n  - ${plain(each)}`).join("")}`
        )
        .join("\n")
    ),
    section(
      "Targets",
      targets.length === 0
        ? ""
        : table(
            ["target", "attempts", "failed", "failed before", "mean ms", "mean ms before"],
            targets.map((each) => [
              plain(each.target),
              String(each.attempts),
              share(each.failureRatio),
              share(each.failureRatioBefore),
              String(Math.round(each.meanMs)),
              String(Math.round(each.meanMsBefore))
            ])
          )
    ),
    section("Errors", rows.length === 0 ? "" : table(["error", "before", "during"], rows)),
    section("What the policies did", done.map(([name, count]) => `- ${name}: ${count}`).join("\n")),
    section(
      "Timeline",
      [
        ...incident.timeline.map(({ at, what }) => `- ${iso(at)} ${plain(what)}`),
        ...(incident.timelineDropped > 0 ? [`- … ${incident.timelineDropped} more`] : [])
      ].join("\n")
    )
  ]
    .filter((part) => part !== "")
    .join("\n")
}
