/** What is wrong now, what was, and what would be noticed. */
import { Index, type JSX, Show } from "solid-js"
import type { AlertReport } from "../api/types.ts"
import { Card, Chip, Empty } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import { ago, dayTime } from "../lib/format.ts"
import { details, pick, pickTime } from "../lib/plainly.ts"
import { now } from "../state/gateway.ts"
import { ask } from "../state/resource.ts"

type Entry = Readonly<Record<string, unknown>>

const named = (entry: Entry): string => pick(entry, "rule", "name", "title", "id", "key") ?? "alert"
const told = new Set([
  "rule",
  "name",
  "title",
  "id",
  "severity",
  "state",
  "at",
  "since",
  "sinceAt",
  "startedAt",
  "openedAt",
  "endedAt",
  "closedAt",
  "resolvedAt"
])
const began = (entry: Entry) => pickTime(entry, "sinceAt", "since", "startedAt", "openedAt", "at")
const ended = (entry: Entry) => pickTime(entry, "endedAt", "closedAt", "resolvedAt")

const severityTone = (entry: Entry) => {
  const severity = pick(entry, "severity") ?? ""
  return /crit|page|high|bad/.test(severity) ? "bad" : /warn|ticket|medium/.test(severity) ? "warn" : "accent"
}

export const Alerts = (): JSX.Element => {
  const loaded = ask<AlertReport>(() => "alerts", 5_000)
  return (
    <Wanting
      heading="Alerts"
      of={loaded()}
      missing={{
        title: "No alerts are configured",
        how: (
          <>
            Set <code>alerts</code> in the gateway's file: rules on success, latency, circuits and money, and whom to
            tell.
          </>
        )
      }}
    >
      {(report) => (
        <div class="grid">
          <Card title="Firing" wide>
            <Show when={report().firing.length > 0} fallback={<Empty title="Nothing is wrong" />}>
              <ul class="alerts">
                <Index each={report().firing.slice(0, 50)}>
                  {(entry) => (
                    <li>
                      <Chip tone={severityTone(entry())}>{pick(entry(), "severity") ?? "firing"}</Chip>
                      <b>{named(entry())}</b>
                      <span class="note">{began(entry()) === undefined ? "" : ago(began(entry())!, now())}</span>
                      <span class="details">{details(entry(), told)}</span>
                    </li>
                  )}
                </Index>
              </ul>
            </Show>
          </Card>
          <Card title="Incidents" note="The newest first" wide flush>
            <Show when={report().incidents.length > 0} fallback={<Empty title="No incident yet" />}>
              <div class="scroll" tabIndex={0} role="group" aria-label="Incidents">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Began</th>
                      <th scope="col">Ended</th>
                      <th scope="col">What</th>
                      <th scope="col">Details</th>
                    </tr>
                  </thead>
                  <tbody>
                    <Index each={report().incidents.slice(0, 50)}>
                      {(entry) => (
                        <tr>
                          <td class="no-wrap">{dayTime(began(entry()))}</td>
                          <td class="no-wrap">
                            <Show when={ended(entry()) !== undefined} fallback={<Chip tone="bad">goes on</Chip>}>
                              {dayTime(ended(entry()))}
                            </Show>
                          </td>
                          <td>{named(entry())}</td>
                          <td class="details">{details(entry(), told)}</td>
                        </tr>
                      )}
                    </Index>
                  </tbody>
                </table>
              </div>
            </Show>
          </Card>
          <Card title="Rules" wide flush>
            <Show when={report().rules.length > 0} fallback={<Empty title="No rule" />}>
              <div class="scroll" tabIndex={0} role="group" aria-label="Rules">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Rule</th>
                      <th scope="col">Details</th>
                    </tr>
                  </thead>
                  <tbody>
                    <Index each={report().rules.slice(0, 100)}>
                      {(entry) => (
                        <tr>
                          <th scope="row" class="name">
                            {named(entry())}
                          </th>
                          <td class="details">{details(entry(), told)}</td>
                        </tr>
                      )}
                    </Index>
                  </tbody>
                </table>
              </div>
            </Show>
          </Card>
        </div>
      )}
    </Wanting>
  )
}
