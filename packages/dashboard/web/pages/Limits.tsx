/** What holds calls back: limits of keys, quotas of targets, places. */
import { Index, type JSX, Show } from "solid-js"
import type { Bulkhead, LimitWindow, Quota, Remaining } from "../api/types.ts"
import { Card, Chip, Empty, Meter } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import { compact, count, countdown, duration, nothing } from "../lib/format.ts"
import { ask } from "../state/resource.ts"

interface Report {
  readonly limits?: ReadonlyArray<LimitWindow>
  readonly quotas?: ReadonlyArray<Quota>
  readonly bulkheads?: ReadonlyArray<Bulkhead>
}

/** Rows of a table at most. */
const most = 200

/** How full something is that counts down. */
const used = (remaining: number, limit: number): number => (limit > 0 ? 1 - remaining / limit : 0)

const tone = (share: number) => (share >= 1 ? "bad" : share >= 0.8 ? "warn" : "accent")

const Left = (props: { readonly of: Remaining | undefined; readonly label: string }): JSX.Element => (
  <Show when={props.of} fallback={<span class="note">{nothing}</span>}>
    {(of) => (
      <div class="with-meter">
        <Meter
          value={used(of().remaining, of().limit)}
          tone={tone(used(of().remaining, of().limit))}
          label={`${props.label}, used`}
        />
        <span class="number">
          {compact(Math.max(0, Math.floor(of().remaining)))} of {compact(of().limit)}
          <Show when={of().windowMs > 0}>
            <span class="note"> / {duration(of().windowMs)}</span>
          </Show>
        </span>
      </div>
    )}
  </Show>
)

const Keys = (props: { readonly limits: ReadonlyArray<LimitWindow> }): JSX.Element => (
  <Card title="Limits of keys" note="What each key has left of its tier" wide flush>
    <Show
      when={props.limits.length > 0}
      fallback={
        <Empty title="No key is limited">
          Set <code>tiers</code> in the gateway's file. Keys show up with their first request.
        </Empty>
      }
    >
      <div class="scroll" tabIndex={0} role="group" aria-label="Limits of keys">
        <table>
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Tier</th>
              <th scope="col">Of</th>
              <th scope="col">Left</th>
              <th scope="col" class="number">
                Whole again in
              </th>
            </tr>
          </thead>
          <tbody>
            <Index each={props.limits.slice(0, most)}>
              {(row) => (
                <tr>
                  <th scope="row" class="name">
                    {row().key}
                  </th>
                  <td>{row().tier ?? nothing}</td>
                  <td>{row().unit ?? "requests"}</td>
                  <td>
                    <Left
                      of={{ limit: row().limit, remaining: row().remaining, windowMs: row().windowMs ?? 0 }}
                      label={`Limit of ${row().key}`}
                    />
                  </td>
                  <td class="number">{row().resetsInMs === undefined ? nothing : countdown(row().resetsInMs!)}</td>
                </tr>
              )}
            </Index>
          </tbody>
        </table>
      </div>
    </Show>
  </Card>
)

const Quotas = (props: { readonly quotas: ReadonlyArray<Quota> }): JSX.Element => (
  <Card title="Quotas of targets" note="Requests and tokens a minute, as configured or as the provider said" wide flush>
    <Show
      when={props.quotas.length > 0}
      fallback={
        <Empty title="No quota is known">
          Quotas are learned from the headers of providers, or set under <code>defaults.quota</code>.
        </Empty>
      }
    >
      <div class="scroll" tabIndex={0} role="group" aria-label="Quotas of targets">
        <table>
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">Requests left</th>
              <th scope="col">Tokens left</th>
              <th scope="col">Pace</th>
              <th scope="col" class="number">
                Waiting
              </th>
            </tr>
          </thead>
          <tbody>
            <Index each={props.quotas.slice(0, most)}>
              {(row) => (
                <tr>
                  <th scope="row" class="name">
                    {row().key}
                    <Show when={row().route !== undefined && row().route !== "default"}>
                      <span class="tag">{row().route}</span>
                    </Show>
                  </th>
                  <td>
                    <Left of={row().requests} label={`Requests of ${row().key}`} />
                  </td>
                  <td>
                    <Left of={row().tokens ?? row().inputTokens} label={`Tokens of ${row().key}`} />
                  </td>
                  <td>
                    <Show
                      when={(row().pausedMs ?? 0) > 0}
                      fallback={
                        row().callsPerSecond === undefined ? nothing : `${row().callsPerSecond!.toFixed(1)} / s`
                      }
                    >
                      <Chip tone="warn">paused for {countdown(row().pausedMs!)}</Chip>
                    </Show>
                  </td>
                  <td class="number">{count(row().waiting ?? 0)}</td>
                </tr>
              )}
            </Index>
          </tbody>
        </table>
      </div>
    </Show>
  </Card>
)

const Places = (props: { readonly bulkheads: ReadonlyArray<Bulkhead> }): JSX.Element => (
  <Card title="Bulkheads" note="Calls under way at the same time" wide flush>
    <Show
      when={props.bulkheads.length > 0}
      fallback={
        <Empty title="No bulkhead is in use">
          Set <code>defaults.bulkhead</code> in the gateway's file.
        </Empty>
      }
    >
      <div class="scroll" tabIndex={0} role="group" aria-label="Bulkheads">
        <table>
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">Under way</th>
              <th scope="col" class="number">
                Waiting
              </th>
            </tr>
          </thead>
          <tbody>
            <Index each={props.bulkheads.slice(0, most)}>
              {(row) => (
                <tr>
                  <th scope="row" class="name">
                    {row().key}
                    <Show when={row().route !== undefined && row().route !== "default"}>
                      <span class="tag">{row().route}</span>
                    </Show>
                  </th>
                  <td>
                    <div class="with-meter">
                      <Meter
                        value={row().active / Math.max(1, row().limit)}
                        tone={tone(row().active / Math.max(1, row().limit))}
                        label={`Places at ${row().key}`}
                      />
                      <span class="number">
                        {count(row().active)} of {count(row().limit)}
                      </span>
                    </div>
                  </td>
                  <td class="number">{count(row().queued)}</td>
                </tr>
              )}
            </Index>
          </tbody>
        </table>
      </div>
    </Show>
  </Card>
)

export const Limits = (): JSX.Element => {
  const loaded = ask<Report>(() => "limits", 2_000)
  return (
    <Wanting
      heading="Limits"
      of={loaded()}
      missing={{ title: "This gateway does not tell its limits", how: "It is older than this page." }}
    >
      {(report) => (
        <div class="grid">
          <Quotas quotas={report().quotas ?? []} />
          <Keys limits={report().limits ?? []} />
          <Places bulkheads={report().bulkheads ?? []} />
        </div>
      )}
    </Wanting>
  )
}
