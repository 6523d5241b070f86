/** The last entries of the audit log, and whether its chain holds. */
import { Index, type JSX, Show } from "solid-js"
import type { AuditEntry, AuditReport } from "../api/types.ts"
import { Card, Chip, Empty, type Tone } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import { clockTime, count, dayTime, errorName, nanos, nothing } from "../lib/format.ts"
import { details } from "../lib/plainly.ts"
import { ask } from "../state/resource.ts"
import { hrefOf } from "../state/view.ts"

const tones: Readonly<Record<string, Tone>> = {
  success: "good",
  failure: "bad",
  refused: "warn",
  interrupted: "plain"
}

const shown = 100

const actorOf = ({ actor }: AuditEntry): string =>
  [actor?.tenant === "default" ? undefined : actor?.tenant, actor?.user, actor?.key]
    .filter((each) => each !== undefined)
    .join(" · ") || nothing

const aboutOf = ({ costNanos, details: more, error, flags, targets, tokens }: AuditEntry): string =>
  [
    ...(targets ?? []),
    error === undefined ? "" : errorName(error),
    tokens === undefined ? "" : `${count(tokens.input)} in, ${count(tokens.output)} out`,
    costNanos === undefined ? "" : nanos(costNanos),
    ...(flags ?? []),
    typeof more === "object" && more !== null ? details(more as Readonly<Record<string, unknown>>, new Set()) : ""
  ]
    .filter((each) => each !== "")
    .join(" · ")

const Entry = (props: { readonly entry: AuditEntry }): JSX.Element => (
  <tr>
    <td class="number note">{count(props.entry.seq)}</td>
    <td class="no-wrap">
      {dayTime(props.entry.at)}:{clockTime(props.entry.at).slice(-2)}
    </td>
    <td>
      {props.entry.action.replaceAll("-", " ")}
      <Show when={props.entry.outcome}>
        {(outcome) => (
          <span class="state-note">
            <Chip tone={tones[outcome()] ?? "plain"}>{outcome()}</Chip>
          </span>
        )}
      </Show>
    </td>
    <td class="less">{actorOf(props.entry)}</td>
    <td class="details">
      {aboutOf(props.entry)}
      <Show when={props.entry.requestId}>
        {(id) => (
          <>
            {" "}
            <a href={hrefOf("requests", id())} aria-label={`Request ${id()}`}>
              request
            </a>
          </>
        )}
      </Show>
    </td>
  </tr>
)

export const Audit = (): JSX.Element => {
  const loaded = ask<AuditReport>(() => `audit?limit=${shown}`, 10_000)
  const report = () => {
    const now = loaded()
    return now.state === "ready" ? now.value : undefined
  }
  return (
    <Card
      title="Audit log"
      note={`The last ${shown} entries, the newest first. All of the log is looked through by breakwater audit verify.`}
      wide
      flush
      actions={
        <Show when={report()}>
          {(now) => <Chip tone={now().verified ? "good" : "bad"}>{now().verified ? "verified" : "tampered with"}</Chip>}
        </Show>
      }
    >
      <Wanting
        of={loaded()}
        missing={{
          title: "No audit log is configured",
          how: (
            <>
              Set <code>audit</code> in the gateway's file: requests and changes are then written to a log in which no
              entry can be altered, left out or moved unnoticed.
            </>
          )
        }}
      >
        {(value) => (
          <Show when={value().entries.length > 0} fallback={<Empty title="The log is empty" />}>
            <div class="scroll" tabIndex={0} role="group" aria-label="Audit log">
              <table>
                <thead>
                  <tr>
                    <th scope="col" class="number">
                      Nr.
                    </th>
                    <th scope="col">Time</th>
                    <th scope="col">What</th>
                    <th scope="col" class="less">
                      Who
                    </th>
                    <th scope="col">About</th>
                  </tr>
                </thead>
                <tbody>
                  <Index each={value().entries.slice(0, shown)}>{(entry) => <Entry entry={entry()} />}</Index>
                </tbody>
              </table>
            </div>
          </Show>
        )}
      </Wanting>
    </Card>
  )
}
