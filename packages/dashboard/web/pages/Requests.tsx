/** The last requests, and one of them in all of its attempts. */
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  Index,
  type JSX,
  Match,
  on,
  onCleanup,
  Show,
  Switch
} from "solid-js"
import type { Attempt, Outcome, RecentRequest } from "../api/types.ts"
import { Icon } from "../components/Icon.tsx"
import { Card, Chip, Empty, Fact, Loading, OutcomeChip, Segmented } from "../components/Parts.tsx"
import {
  clockTime,
  compact,
  count,
  dayTime,
  duration,
  errorName,
  nanos,
  nothing,
  percent,
  plural
} from "../lib/format.ts"
import { matches } from "../lib/matches.ts"
import { timelineOf } from "../lib/timeline.ts"
import { finished } from "../state/gateway.ts"
import { ask } from "../state/resource.ts"
import { go, hrefOf, place } from "../state/view.ts"

const outcomes = [
  { id: "all", label: "All" },
  { id: "rescued", label: "Rescued" },
  { id: "failure", label: "Failed" },
  { id: "interrupted", label: "Interrupted" }
] as const
type Wanted = (typeof outcomes)[number]["id"]

/** It succeeded, but not at the first attempt. */
const isRescued = ({ attempts, outcome }: RecentRequest): boolean =>
  outcome === "success" && attempts.some((attempt) => attempt.outcome === "failure")

const isWanted = (request: RecentRequest, wanted: Wanted): boolean =>
  wanted === "all" || (wanted === "rescued" ? isRescued(request) : request.outcome === wanted)

const [wanted, setWanted] = createSignal<Wanted>("all")
const [words, setWords] = createSignal("")

const path = "requests?limit=200"

/** Rows that are drawn at once. */
const drawn = 100

const whose = ({ context }: RecentRequest): string =>
  [context.tenant === "default" ? undefined : context.tenant, context.project, context.user, context.key]
    .filter((each) => each !== undefined && each !== "anonymous")
    .join(" · ") || nothing

const Dots = (props: { readonly attempts: ReadonlyArray<Attempt> }): JSX.Element => (
  <span class="dots">
    <span aria-hidden="true">
      <Index each={props.attempts.slice(0, 8)}>
        {(attempt) => <span class="attempt-dot" data-outcome={attempt().outcome} />}
      </Index>
    </span>
    <span class="visually-hidden">{plural(props.attempts.length, "attempt", "attempts")}</span>
    <span class="number" aria-hidden="true">
      {props.attempts.length === 0 ? "" : count(props.attempts.length)}
    </span>
  </span>
)

const tokensOf = ({ usage }: RecentRequest): number => (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0)

const List = (): JSX.Element => {
  const loaded = ask<{ readonly requests: ReadonlyArray<RecentRequest> }>(() => path, 10_000, finished)
  const all = () => {
    const now = loaded()
    return now.state === "ready" ? now.value.requests : []
  }
  const shown = createMemo(() => all().filter((each) => isWanted(each, wanted()) && matches(each, words())))
  let body: HTMLTableSectionElement | undefined
  const onKey = (event: KeyboardEvent): void => {
    const step =
      event.key === "ArrowDown" || event.key === "j" ? 1 : event.key === "ArrowUp" || event.key === "k" ? -1 : 0
    if (step === 0 || body === undefined) return
    const links = [...body.querySelectorAll<HTMLAnchorElement>("a.row-link")]
    const at = links.indexOf(document.activeElement as HTMLAnchorElement)
    const next = links[Math.min(links.length - 1, Math.max(0, at + step))]
    if (next === undefined) return
    event.preventDefault()
    next.focus()
  }
  return (
    <Card
      title="Last requests"
      note={`${plural(shown().length, "request", "requests")} of the last ${count(all().length)} in memory`}
      wide
      flush
      actions={
        <>
          <input
            id="filter"
            type="search"
            placeholder="Filter: target, error, user, id"
            aria-label="Filter requests"
            value={words()}
            onInput={(event) => setWords(event.currentTarget.value)}
          />
          <Segmented label="Outcome" options={outcomes} value={wanted()} onChange={setWanted} />
        </>
      }
    >
      <Switch>
        <Match when={loaded().state === "loading"}>
          <Loading lines={6} />
        </Match>
        <Match when={loaded().state === "missing"}>
          <Empty title="This gateway does not keep its last requests">It is older than this page.</Empty>
        </Match>
        <Match when={loaded().state === "failed"}>
          <Empty title="The requests could not be read">{(loaded() as { message: string }).message}</Empty>
        </Match>
        <Match when={all().length === 0}>
          <Empty title="No request yet">The last two hundred are listed here as they end.</Empty>
        </Match>
        <Match when={shown().length === 0}>
          <Empty title="No request fits the filter">
            <button
              type="button"
              class="small"
              onClick={() => {
                setWanted("all")
                setWords("")
              }}
            >
              Show all
            </button>
          </Empty>
        </Match>
        <Match when={true}>
          <div class="scroll">
            <table class="requests" onKeyDown={onKey}>
              <thead>
                <tr>
                  <th scope="col">Time</th>
                  <th scope="col">Outcome</th>
                  <th scope="col">Answered by</th>
                  <th scope="col">Attempts</th>
                  <th scope="col" class="number">
                    Took
                  </th>
                  <th scope="col" class="number less">
                    Tokens
                  </th>
                  <th scope="col" class="number less">
                    Cost
                  </th>
                  <th scope="col" class="less">
                    For
                  </th>
                </tr>
              </thead>
              <tbody ref={(made) => (body = made)}>
                <Index each={shown().slice(0, drawn)}>
                  {(row) => (
                    <tr classList={{ clickable: true }} onClick={() => go("requests", row().requestId)}>
                      <td>
                        <a
                          class="row-link"
                          href={hrefOf("requests", row().requestId)}
                          aria-label={`Request ${row().requestId} of ${clockTime(row().at)}`}
                          onClick={(event) => event.stopPropagation()}
                        >
                          {clockTime(row().at)}
                        </a>
                      </td>
                      <td>
                        <OutcomeChip outcome={row().outcome} />
                      </td>
                      <td class="name">
                        {row().target ?? (row().error === undefined ? nothing : errorName(row().error!._tag))}
                        <Show when={row().cached}>{(cached) => <span class="tag">{cached().source} cache</span>}</Show>
                        <Show when={row().operation !== "generate"}>
                          <span class="tag">{row().operation}</span>
                        </Show>
                      </td>
                      <td>
                        <Dots attempts={row().attempts} />
                      </td>
                      <td class="number">{duration(row().tookMs)}</td>
                      <td class="number less">{tokensOf(row()) === 0 ? nothing : compact(tokensOf(row()))}</td>
                      <td class="number less">{nanos(row().costNanos)}</td>
                      <td class="less">{whose(row())}</td>
                    </tr>
                  )}
                </Index>
              </tbody>
            </table>
          </div>
          <Show when={shown().length > drawn}>
            <p class="footnote">The latest {drawn} are shown.</p>
          </Show>
        </Match>
      </Switch>
    </Card>
  )
}

const causes = { first: "", retry: "↻", failover: "↳", hedge: "⇉", continued: "⤷" } as const

const describe = (attempt: Attempt): string =>
  [
    `Attempt ${attempt.attempt} at ${attempt.target}: ${attempt.outcome}`,
    attempt.error === undefined ? "" : errorName(attempt.error._tag),
    `took ${duration(attempt.tookMs)}`,
    attempt.firstTokenMs === undefined ? "" : `first token after ${duration(attempt.firstTokenMs)}`
  ]
    .filter((each) => each !== "")
    .join(", ")

const Waterfall = (props: { readonly request: RecentRequest }): JSX.Element => {
  const timeline = createMemo(() => timelineOf(props.request))
  return (
    <Card
      title="Attempts"
      note={`${plural(props.request.attempts.length, "attempt", "attempts")} in ${duration(timeline().totalMs)}`}
      wide
    >
      <Show
        when={timeline().rows.length > 0}
        fallback={
          <Empty title="No attempt was made">
            {props.request.cached === undefined
              ? "The request ended before anybody was asked."
              : "The cache had the answer."}
          </Empty>
        }
      >
        <div class="waterfall">
          <div class="axis" aria-hidden="true">
            <For each={timeline().ticks}>
              {(tick) => (
                <span class="axis-tick" style={{ left: `${tick.at}%` }}>
                  {tick.label}
                </span>
              )}
            </For>
          </div>
          <ol>
            <For each={timeline().rows}>
              {(row) => (
                <li data-outcome={row.attempt.outcome}>
                  <Show when={row.link !== ""}>
                    <p class="link-line">
                      <span aria-hidden="true">{causes[row.cause]}</span> {row.link}
                    </p>
                  </Show>
                  <div class="attempt">
                    <div class="attempt-head">
                      <span class="attempt-number">{row.attempt.attempt}</span>
                      <span class="name">{row.attempt.target}</span>
                    </div>
                    <div class="track" role="img" aria-label={describe(row.attempt)}>
                      <For each={timeline().ticks}>
                        {(tick) => <span class="gridline" style={{ left: `${tick.at}%` }} />}
                      </For>
                      <Show when={row.wait}>
                        {(wait) => <span class="wait" style={{ left: `${wait().left}%`, width: `${wait().width}%` }} />}
                      </Show>
                      <span
                        class="span"
                        classList={{ unsent: row.unsent }}
                        style={{ left: `${row.bar.left}%`, width: `${row.bar.width}%` }}
                      />
                      <Show when={row.firstToken !== undefined}>
                        <span class="first-token" style={{ left: `${row.firstToken}%` }} />
                      </Show>
                    </div>
                    <div class="attempt-facts">
                      <span class="number">{duration(row.attempt.tookMs)}</span>
                      <Show when={row.attempt.firstTokenMs !== undefined}>
                        <span>first token {duration(row.attempt.firstTokenMs)}</span>
                      </Show>
                      <Show when={row.attempt.usage}>
                        {(usage) => (
                          <span>
                            {compact(usage().inputTokens)} in, {compact(usage().outputTokens)} out
                            {usage().estimated === true ? " (estimated)" : ""}
                          </span>
                        )}
                      </Show>
                      <Show when={row.attempt.costNanos}>{(cost) => <span>{nanos(cost())}</span>}</Show>
                      <Show when={row.unsent}>
                        <span>never sent</span>
                      </Show>
                    </div>
                    <Show when={row.attempt.error}>
                      {(error) => (
                        <p class="attempt-error">
                          <Chip tone="bad">{errorName(error()._tag)}</Chip> <span>{error().message}</span>
                        </p>
                      )}
                    </Show>
                  </div>
                </li>
              )}
            </For>
          </ol>
          <ul class="key" aria-hidden="true">
            <li>
              <span class="key-span" data-outcome="success" /> success
            </li>
            <li>
              <span class="key-span" data-outcome="failure" /> failure
            </li>
            <li>
              <span class="key-span" data-outcome="interrupted" /> interrupted
            </li>
            <li>
              <span class="key-wait" /> wait
            </li>
            <li>
              <span class="key-token" /> first token
            </li>
          </ul>
        </div>
      </Show>
    </Card>
  )
}

const Events = (props: { readonly request: RecentRequest }): JSX.Element => {
  const marks = createMemo(() => timelineOf(props.request).marks)
  return (
    <Card
      title="What happened"
      note={
        (props.request.eventsLeftOut ?? 0) > 0 ? `${count(props.request.eventsLeftOut)} more are left out` : undefined
      }
      wide
    >
      <Show when={marks().length > 0} fallback={<Empty title="Nothing is recorded" />}>
        <ol class="happened" tabIndex={0} aria-label="What happened, the earliest first">
          <For each={marks()}>
            {(mark) => (
              <li>
                <span class="number">+{duration(mark.atMs)}</span>
                <span>{mark.text}</span>
              </li>
            )}
          </For>
        </ol>
      </Show>
    </Card>
  )
}

const Facts = (props: { readonly request: RecentRequest }): JSX.Element => (
  <Card
    title="Request"
    note={props.request.requestId}
    wide
    actions={<OutcomeChip outcome={props.request.outcome as Outcome} />}
  >
    <dl class="facts">
      <Fact name="began">
        {dayTime(props.request.at)}:{clockTime(props.request.at).slice(-2)}
      </Fact>
      <Fact name="took">{duration(props.request.tookMs)}</Fact>
      <Fact name="answered by">{props.request.target ?? nothing}</Fact>
      <Fact name="operation">{props.request.operation}</Fact>
      <Fact name="tokens">
        {props.request.usage === undefined || tokensOf(props.request) === 0
          ? nothing
          : `${count(props.request.usage.inputTokens)} in · ${count(props.request.usage.outputTokens)} out`}
      </Fact>
      <Fact name="cost">{nanos(props.request.costNanos)}</Fact>
      <Fact name="for">{whose(props.request)}</Fact>
      <Show when={props.request.cached}>
        {(cached) => (
          <Fact name="cache">
            {cached().source}
            {cached().similarity === undefined ? "" : `, ${percent(cached().similarity)} alike`}, saved{" "}
            {nanos(props.request.savedNanos)}
          </Fact>
        )}
      </Show>
      <Show when={(props.request.context.tags ?? []).length > 0}>
        <Fact name="tags">{props.request.context.tags!.join(", ")}</Fact>
      </Show>
      <Show when={props.request.maxAttempts}>{(most) => <Fact name="attempts at most">{count(most())}</Fact>}</Show>
    </dl>
    <Show when={props.request.error}>
      {(error) => (
        <p class="problem">
          <b>{errorName(error()._tag)}</b> {error().message}
        </p>
      )}
    </Show>
  </Card>
)

const One = (props: { readonly id: string }): JSX.Element => {
  const loaded = ask<RecentRequest>(() => `requests/${encodeURIComponent(props.id)}`, 60_000)
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && document.querySelector("dialog[open]") === null) go("requests")
  }
  addEventListener("keydown", onKey)
  onCleanup(() => removeEventListener("keydown", onKey))
  return (
    <>
      <p class="back">
        <a href={hrefOf("requests")}>
          <Icon name="back" /> All requests
        </a>
      </p>
      <Switch>
        <Match when={loaded().state === "loading"}>
          <Loading lines={6} />
        </Match>
        <Match when={loaded().state === "missing"}>
          <Card title="Request" wide>
            <Empty title="It is not among the last requests any more">
              The gateway keeps the last two hundred in memory.
            </Empty>
          </Card>
        </Match>
        <Match when={loaded().state === "failed"}>
          <Card title="Request" wide>
            <Empty title="The request could not be read">{(loaded() as { message: string }).message}</Empty>
          </Card>
        </Match>
        <Match when={loaded().state === "ready" && (loaded() as { value: RecentRequest }).value} keyed>
          {(request) => (
            <div class="grid">
              <Facts request={request} />
              <Waterfall request={request} />
              <Events request={request} />
            </div>
          )}
        </Match>
      </Switch>
    </>
  )
}

export const Requests = (): JSX.Element => {
  // Whoever comes back finds the focus where it was: at the top of the section.
  createEffect(
    on(
      () => place().item,
      () => scrollTo(0, 0),
      { defer: true }
    )
  )
  return (
    <Show when={place().item} keyed fallback={<List />}>
      {(id) => <One id={id} />}
    </Show>
  )
}
