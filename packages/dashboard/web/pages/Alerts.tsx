/** What is wrong now, what was, and what would be noticed. */
import { For, Index, type JSX, Show } from "solid-js"
import type { Alert, AlertReport, Incident, RuleState } from "../api/types.ts"
import { Card, Chip, Empty, Fact, type Tone } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import { ago, clockTime, count, dayTime, duration, errorName, nanos, percent } from "../lib/format.ts"
import { details } from "../lib/plainly.ts"
import { now } from "../state/gateway.ts"
import { ask } from "../state/resource.ts"

const severities: Readonly<Record<string, Tone>> = { page: "bad", ticket: "warn", info: "accent" }
const states: Readonly<Record<string, Tone>> = { firing: "bad", pending: "warn", inactive: "good" }

const Firing = (props: { readonly alert: Alert }): JSX.Element => (
  <li>
    <Chip tone={severities[props.alert.severity] ?? "warn"}>{props.alert.severity}</Chip>
    <b>{props.alert.rule}</b>
    <span class="note">{ago(props.alert.firingAt ?? props.alert.since, now())}</span>
    <Show when={props.alert.silenced}>
      <span class="tag">silenced</span>
    </Show>
    <p>
      {props.alert.summary}
      <Show when={props.alert.runbook}>
        <span class="note"> {props.alert.runbook}</span>
      </Show>
    </p>
  </li>
)

const OneIncident = (props: { readonly incident: Incident }): JSX.Element => {
  const first = () => props.incident.alerts[0]
  const requests = () => props.incident.requests
  return (
    <details class="incident" open={props.incident.status === "open"}>
      <summary>
        <Chip tone={props.incident.status === "open" ? "bad" : "plain"}>
          {props.incident.status === "open" ? "goes on" : "over"}
        </Chip>
        <b>{first()?.summary ?? props.incident.id}</b>
        <span class="note">
          {dayTime(props.incident.openedAt)}, {duration(props.incident.durationMs)}
        </span>
      </summary>
      <dl class="facts">
        <Fact name="requests">{count(requests().success + requests().failure + requests().interrupted)}</Fact>
        <Fact name="failed">{count(requests().failure)}</Fact>
        <Fact name="cost meanwhile">{nanos(props.incident.costNanos)}</Fact>
        <Fact name="alerts">{props.incident.alerts.map(({ rule }) => rule).join(", ")}</Fact>
      </dl>
      <Show when={props.incident.causes.length > 0}>
        <p class="incident-head">Likeliest causes</p>
        <ul>
          <For each={props.incident.causes.slice(0, 3)}>
            {(cause) => (
              <li>
                {cause.sentence} <span class="note">{cause.evidence.slice(0, 3).join("; ")}</span>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Show when={props.incident.targets.length > 0}>
        <p class="incident-head">Targets</p>
        <ul>
          <For each={props.incident.targets.slice(0, 5)}>
            {(target) => (
              <li>
                <span class="name">{target.target}</span> {percent(target.failureRatio)} failed,{" "}
                {percent(target.failureRatioBefore)} before
                <span class="note">
                  {" "}
                  {Object.entries(target.errors)
                    .map(([tag, n]) => `${errorName(tag)} ${count(n)}`)
                    .join(", ")}
                </span>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Show when={props.incident.timeline.length > 0}>
        <p class="incident-head">What happened</p>
        <ol class="happened" tabIndex={0} aria-label="What happened, the earliest first">
          <For each={props.incident.timeline.slice(-100)}>
            {(entry) => (
              <li>
                <span class="number">{clockTime(entry.at)}</span>
                <span>{entry.what}</span>
              </li>
            )}
          </For>
        </ol>
      </Show>
    </details>
  )
}

const Rules = (props: { readonly rules: ReadonlyArray<RuleState> }): JSX.Element => (
  <div class="scroll" tabIndex={0} role="group" aria-label="Rules">
    <table>
      <thead>
        <tr>
          <th scope="col">Rule</th>
          <th scope="col">State</th>
          <th scope="col">Settings</th>
        </tr>
      </thead>
      <tbody>
        <Index each={props.rules.slice(0, 200)}>
          {(rule) => (
            <tr>
              <th scope="row" class="name">
                {rule().name}
              </th>
              <td>
                <Chip tone={states[rule().state] ?? "plain"}>
                  {rule().state === "inactive" ? "well" : rule().state}
                </Chip>
              </td>
              <td class="details">
                {details({ kind: rule().kind, ...rule().rule }, new Set(["name", "runbook"])).replace(/^kind /, "")}
              </td>
            </tr>
          )}
        </Index>
      </tbody>
    </table>
  </div>
)

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
                <Index each={report().firing.slice(0, 50)}>{(alert) => <Firing alert={alert()} />}</Index>
              </ul>
            </Show>
          </Card>
          <Card title="Incidents" note="The newest first" wide>
            <Show when={report().incidents.length > 0} fallback={<Empty title="No incident yet" />}>
              <Index each={report().incidents.slice(0, 30)}>
                {(incident) => <OneIncident incident={incident()} />}
              </Index>
            </Show>
          </Card>
          <Card title="Rules" wide flush>
            <Rules rules={report().rules} />
          </Card>
        </div>
      )}
    </Wanting>
  )
}
