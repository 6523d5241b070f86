/** The last entries of the audit log, and whether its chain holds. */
import { Index, type JSX, Show } from "solid-js"
import type { AuditReport } from "../api/types.ts"
import { Card, Chip, Empty } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import { clockTime, dayTime } from "../lib/format.ts"
import { details, pick, pickTime } from "../lib/plainly.ts"
import { ask } from "../state/resource.ts"

const told = new Set([
  "at",
  "atMs",
  "time",
  "type",
  "kind",
  "action",
  "event",
  "seq",
  "hash",
  "previous",
  "prev",
  "mac"
])

export const Audit = (): JSX.Element => {
  const loaded = ask<AuditReport>(() => "audit?limit=100", 10_000)
  const state = () => loaded()
  return (
    <Card
      title="Audit log"
      note="The last hundred entries, the newest first"
      wide
      flush
      actions={
        <Show when={state().state === "ready"}>
          <Chip tone={(state() as { value: AuditReport }).value.verified ? "good" : "bad"}>
            {(state() as { value: AuditReport }).value.verified ? "chain verified" : "the chain is broken"}
          </Chip>
        </Show>
      }
    >
      <Wanting
        of={loaded()}
        missing={{
          title: "No audit log is configured",
          how: (
            <>
              Set <code>audit</code> in the gateway's file: every request and every change by hand is then written to a
              log in which no entry can be altered unnoticed.
            </>
          )
        }}
      >
        {(report) => (
          <Show when={report().entries.length > 0} fallback={<Empty title="The log is empty" />}>
            <div class="scroll" tabIndex={0} role="group" aria-label="Audit log">
              <table>
                <thead>
                  <tr>
                    <th scope="col" class="number">
                      #
                    </th>
                    <th scope="col">Time</th>
                    <th scope="col">What</th>
                    <th scope="col">Details</th>
                  </tr>
                </thead>
                <tbody>
                  <Index each={report().entries.slice(0, 100)}>
                    {(entry) => (
                      <tr>
                        <td class="number note">{pick(entry(), "seq") ?? ""}</td>
                        <td class="no-wrap">
                          {dayTime(pickTime(entry(), "at", "atMs", "time"))}:
                          {clockTime(pickTime(entry(), "at", "atMs", "time")).slice(-2)}
                        </td>
                        <td>{pick(entry(), "type", "kind", "action", "event") ?? "entry"}</td>
                        <td class="details">{details(entry(), told)}</td>
                      </tr>
                    )}
                  </Index>
                </tbody>
              </table>
            </div>
          </Show>
        )}
      </Wanting>
    </Card>
  )
}
