/** How it goes: the numbers of a range of time, the charts behind them, and what happened last. */
import { createMemo, For, Index, type JSX, Show } from "solid-js"
import type { Summary, Target } from "../api/types.ts"
import { Chart } from "../components/Chart.tsx"
import { Card, Chip, Empty, Loading, Meter } from "../components/Parts.tsx"
import { Tile } from "../components/Tile.tsx"
import { newsOf } from "../lib/news.ts"
import {
  clockTime,
  compact,
  count,
  dollarsOf,
  duration,
  errorName,
  money,
  nanos,
  nothing,
  percent,
  plural,
  ratio
} from "../lib/format.ts"
import { latencyOf, latest, stepsOf, sum } from "../lib/series.ts"
import { feed, snapshot } from "../state/gateway.ts"
import { hrefOf, range } from "../state/view.ts"

/** Where the gateway is, with a slash at its end. */
const gatewayUrl = new URL("..", document.baseURI).href

const short = (value: number | null | undefined): string => compact(value)

const Figures = (props: { readonly summary: Summary }): JSX.Element => {
  const steps = createMemo(() => stepsOf(props.summary.series.points, range(), props.summary.nowAt))
  const latency = createMemo(() =>
    latencyOf(props.summary.series.points, props.summary.series.stepMs, range(), props.summary.nowAt)
  )
  const totals = createMemo(() => {
    const all = steps()
    const [requests, success, failure, interrupted] = [
      sum(all.requests),
      sum(all.success),
      sum(all.failure),
      sum(all.interrupted)
    ]
    return {
      requests,
      success,
      failure,
      interrupted,
      share: ratio(success, success + failure),
      retries: sum(all.retries),
      cached: sum(all.cached),
      input: sum(all.inputTokens),
      output: sum(all.outputTokens),
      cost: sum(all.cost),
      saved: sum(all.saved)
    }
  })
  const shares = createMemo(() => steps().success.map((value, i) => ratio(value, value + steps().failure[i]!) ?? null))
  const life = () => props.summary.latency
  const tone = () => {
    const share = totals().share
    return share === undefined || share >= 0.99 ? "good" : share >= 0.95 ? "warn" : "bad"
  }
  const of = () => `in ${range().label}`
  return (
    <>
      <div class="tiles">
        <Tile
          label="Requests"
          value={compact(totals().requests)}
          note={`${of()} · ${count(props.summary.totals.requests)} since ${clockTime(props.summary.sinceAt)}`}
          values={steps().requests}
        />
        <Tile
          label="Success"
          value={percent(totals().share)}
          note={`${plural(totals().failure, "failure", "failures")} · ${plural(totals().retries, "retry", "retries")}`}
          values={shares()}
          tone={tone()}
        />
        <Tile
          label="Latency p95"
          value={life().count === 0 ? nothing : duration(life().p95Ms)}
          note={
            life().count === 0
              ? "since the start"
              : `p50 ${duration(life().p50Ms)} · p99 ${duration(life().p99Ms)}, since the start`
          }
          values={latency().p95}
        />
        <Tile
          label="Tokens"
          value={compact(totals().input + totals().output)}
          note={`${compact(totals().input)} in · ${compact(totals().output)} out`}
          values={steps().inputTokens.map((value, i) => value + steps().outputTokens[i]!)}
        />
        <Tile
          label="Cost"
          value={money(totals().cost)}
          note={totals().saved > 0 ? `${money(totals().saved)} saved by caches` : "nothing saved by caches"}
          values={steps().cost}
        />
      </div>
      <div class="grid two">
        <Chart
          title="Requests"
          kind="bars"
          data={{
            at: steps().at,
            stepMs: steps().stepMs,
            layers: [
              { label: "failed", colour: "chart-bad", values: steps().failure },
              { label: "interrupted", colour: "chart-plain", values: steps().interrupted },
              { label: "success", colour: "chart-1", values: steps().success }
            ]
          }}
          format={short}
          overall={[compact(totals().failure), compact(totals().interrupted), compact(totals().success)]}
          says={`${plural(totals().requests, "request", "requests")} ${of()}, ${totals().failure} of them failed.`}
          empty={`No request has ended in the last ${range().label}.`}
          least={4}
        />
        <Chart
          title="Latency"
          kind="lines"
          data={{
            at: latency().at,
            stepMs: props.summary.series.stepMs,
            layers: [
              { label: "p99", colour: "line-3", values: latency().p99 },
              { label: "p95", colour: "line-2", values: latency().p95 },
              { label: "p50", colour: "line-1", values: latency().p50 }
            ]
          }}
          format={duration}
          overall={[latency().p99, latency().p95, latency().p50].map((values) => duration(latest(values)))}
          says={`Since the start half of the requests took at most ${duration(life().p50Ms)}, 95 % at most ${duration(life().p95Ms)}.`}
          empty={`No request has ended in the last ${range().label}.`}
          least={10}
        />
        <Chart
          title="Tokens"
          kind="bars"
          data={{
            at: steps().at,
            stepMs: steps().stepMs,
            layers: [
              { label: "output", colour: "chart-2", values: steps().outputTokens },
              { label: "input", colour: "chart-1", values: steps().inputTokens }
            ]
          }}
          format={short}
          overall={[compact(totals().output), compact(totals().input)]}
          says={`${compact(totals().input)} tokens in and ${compact(totals().output)} out ${of()}.`}
          empty={`No tokens in the last ${range().label}.`}
          least={10}
        />
        <Chart
          title="Money"
          kind="bars"
          data={{
            at: steps().at,
            stepMs: steps().stepMs,
            layers: [
              { label: "saved by caches", colour: "chart-soft", values: steps().saved },
              { label: "spent", colour: "chart-1", values: steps().cost }
            ]
          }}
          format={money}
          overall={[money(totals().saved), money(totals().cost)]}
          says={`${money(totals().cost)} spent and ${money(totals().saved)} saved ${of()}.`}
          empty={`Nothing was paid in the last ${range().label}, or no prices are configured.`}
          least={0.000001}
        />
      </div>
    </>
  )
}

const Targets = (props: { readonly targets: Summary["targets"] }): JSX.Element => {
  const rows = createMemo(() =>
    Object.entries(props.targets)
      .sort(([, a], [, b]) => b.attempts - a.attempts)
      .slice(0, 12)
  )
  const share = (target: Target) => ratio(target.success, target.success + target.failure)
  return (
    <Card title="Targets" note="Attempts since the start, the busiest first" wide flush>
      <Show when={rows().length > 0} fallback={<Empty title="No attempt has been made yet" />}>
        <div class="scroll" tabIndex={0} role="group" aria-label="Targets">
          <table>
            <thead>
              <tr>
                <th scope="col">Target</th>
                <th scope="col" class="number">
                  Attempts
                </th>
                <th scope="col">Success</th>
                <th scope="col" class="number">
                  p50
                </th>
                <th scope="col" class="number">
                  p95
                </th>
                <th scope="col" class="number">
                  First token
                </th>
                <th scope="col" class="number">
                  Tokens
                </th>
                <th scope="col" class="number">
                  Cost
                </th>
              </tr>
            </thead>
            <tbody>
              <Index each={rows()}>
                {(row) => {
                  const target = () => row()[1]
                  return (
                    <tr>
                      <th scope="row" class="name">
                        {row()[0]}
                      </th>
                      <td class="number">{count(target().attempts)}</td>
                      <td>
                        <div class="with-meter">
                          <Meter
                            value={share(target()) ?? 0}
                            tone={
                              (share(target()) ?? 1) >= 0.99 ? "good" : (share(target()) ?? 1) >= 0.9 ? "warn" : "bad"
                            }
                            label={`Success of ${row()[0]}`}
                          />
                          <span class="number">{percent(share(target()))}</span>
                        </div>
                      </td>
                      <td class="number">
                        {target().latency.count === 0 ? nothing : duration(target().latency.p50Ms)}
                      </td>
                      <td class="number">
                        {target().latency.count === 0 ? nothing : duration(target().latency.p95Ms)}
                      </td>
                      <td class="number">
                        {target().firstToken.count === 0 ? nothing : duration(target().firstToken.p50Ms)}
                      </td>
                      <td class="number">{compact(target().tokens.input + target().tokens.output)}</td>
                      <td class="number">{nanos(target().costNanos)}</td>
                    </tr>
                  )
                }}
              </Index>
            </tbody>
          </table>
        </div>
      </Show>
    </Card>
  )
}

/** What the caller never saw, and what they did. */
const Rescues = (props: { readonly summary: Summary }): JSX.Element => {
  const errors = createMemo(() =>
    Object.entries(props.summary.targets)
      .flatMap(([, { errors: each }]) => Object.entries(each))
      .reduce((all, [tag, n]) => all.set(tag, (all.get(tag) ?? 0) + n), new Map<string, number>())
  )
  const rows = createMemo(() => [...errors()].sort(([, a], [, b]) => b - a).slice(0, 8))
  const most = () => rows()[0]?.[1] ?? 1
  const totals = () => props.summary.totals
  return (
    <Card title="Failed attempts" note="By kind, since the start; most of them nobody saw">
      <dl class="facts three">
        <div class="fact">
          <dt>retries</dt>
          <dd>{count(totals().retries)}</dd>
        </div>
        <div class="fact">
          <dt>failovers</dt>
          <dd>{count(totals().failovers)}</dd>
        </div>
        <div class="fact">
          <dt>hedges</dt>
          <dd>{count(totals().hedges)}</dd>
        </div>
      </dl>
      <Show when={rows().length > 0} fallback={<Empty title="No attempt has failed" />}>
        <ul class="bars">
          <Index each={rows()}>
            {(row) => (
              <li>
                <span class="bars-label">{errorName(row()[0])}</span>
                <Meter value={row()[1] / most()} tone="bad" label={errorName(row()[0])} />
                <span class="number">{count(row()[1])}</span>
              </li>
            )}
          </Index>
        </ul>
      </Show>
    </Card>
  )
}

const News = (): JSX.Element => (
  <Card title="As it happens" note="What the policies did">
    <Show
      when={feed().length > 0}
      fallback={<Empty title="Quiet so far">Retries, failovers and circuits show up here as they happen.</Empty>}
    >
      <ol class="feed" tabIndex={0} aria-label="What the policies did, the latest first">
        <For each={feed()}>
          {({ event }) => {
            const news = newsOf(event)
            const id = typeof event["requestId"] === "string" ? event["requestId"] : undefined
            return (
              <li data-tone={news.tone}>
                <time>{clockTime(event.at)}</time>
                <span class="dot" aria-hidden="true" />
                <span>
                  <b>{news.title}</b> {news.text}
                  <Show when={id}>
                    {" "}
                    <a href={hrefOf("requests", id)} aria-label={`Request ${id}`}>
                      request
                    </a>
                  </Show>
                </span>
              </li>
            )
          }}
        </For>
      </ol>
    </Show>
  </Card>
)

const OpenCircuits = (): JSX.Element => {
  const open = createMemo(() =>
    (snapshot()?.breakers ?? []).filter(
      ({ state }) => state === "open" || state === "forced-open" || state === "half-open"
    )
  )
  const unreachable = createMemo(() =>
    Object.entries(snapshot()?.providers ?? {}).filter(([, { reachable }]) => reachable === false)
  )
  return (
    <Show when={open().length + unreachable().length > 0}>
      <aside class="notice" data-tone="bad" aria-label="What is down">
        <Show when={unreachable().length > 0}>
          <span>
            <b>Unreachable:</b>{" "}
            {unreachable()
              .map(([name]) => name)
              .join(", ")}
          </span>
        </Show>
        <Show when={open().length > 0}>
          <span class="notice-chips">
            <b>{plural(open().length, "circuit is", "circuits are")} not closed:</b>
            <For each={open().slice(0, 4)}>
              {({ key, state }) => (
                <Chip tone={state === "half-open" ? "warn" : "bad"}>
                  {key} {state === "half-open" ? "half-open" : state === "open" ? "open" : "held open"}
                </Chip>
              )}
            </For>
          </span>
        </Show>
        <a href={hrefOf("providers")}>Providers</a>
      </aside>
    </Show>
  )
}

export const Overview = (): JSX.Element => (
  <Show when={snapshot()} fallback={<Loading lines={8} />}>
    {(at) => (
      <>
        <OpenCircuits />
        <Show
          when={at().summary}
          fallback={
            <Card title="Numbers">
              <Empty title="This gateway keeps no summary">
                It is older than this page. Its circuits and limits are in the other sections.
              </Empty>
            </Card>
          }
        >
          {(summary) => (
            <>
              <Show when={summary().totals.requests === 0}>
                <aside class="notice" data-tone="accent" aria-label="How to begin">
                  <span>
                    <b>No request yet.</b> Point a client of OpenAI's at <code>{gatewayUrl}v1</code>, or one of
                    Anthropic's at <code>{gatewayUrl.replace(/\/$/, "")}</code>.
                  </span>
                </aside>
              </Show>
              <Figures summary={summary()} />
              <div class="grid">
                <Targets targets={summary().targets} />
              </div>
              <div class="grid two">
                <Rescues summary={summary()} />
                <News />
              </div>
            </>
          )}
        </Show>
        <p class="footnote">
          {count(at().server.inFlight)} under way · {plural(at().server.connections, "connection", "connections")} ·{" "}
          {count(at().server.served)} served · {count(at().server.shed)} turned away
          <Show when={at().server.uptimeMs}>{(up) => <> · up for {duration(up())}</>}</Show>
          <Show when={at().version}>{(version) => <> · version {version()}</>}</Show>
          <Show when={dollarsOf(at().summary?.totals.costNanos)}>
            {(spent) => (
              <>
                {" "}
                · {money(spent())} spent since {clockTime(at().summary!.sinceAt)}
              </>
            )}
          </Show>
        </p>
      </>
    )}
  </Show>
)
