/** Money: what may be spent, what was spent on what, and what caches have saved. */
import { createMemo, createSignal, Index, type JSX, Show } from "solid-js"
import type { Budget, Cache, UsageRow } from "../api/types.ts"
import { Card, Chip, Empty, Fact, Loading, Meter, Segmented } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import {
  addNanos,
  bytes,
  compact,
  count,
  dayTime,
  dollarsOf,
  duration,
  nanos,
  nothing,
  percent,
  plural
} from "../lib/format.ts"
import { budgetLabel, budgetShares } from "../lib/budgets.ts"
import { now, snapshot } from "../state/gateway.ts"
import { ask } from "../state/resource.ts"

const OneBudget = (props: { readonly budget: Budget }): JSX.Element => {
  const shares = createMemo(() => budgetShares(props.budget))
  const tone = () =>
    shares().spent >= 1 ? "bad" : shares().soft !== undefined && shares().spent >= shares().soft! ? "warn" : "accent"
  return (
    <li class="budget">
      <div class="budget-head">
        <span class="name">{budgetLabel(props.budget)}</span>
        <Show when={tone() !== "accent"}>
          <Chip tone={tone()}>{tone() === "bad" ? "spent" : "above the soft limit"}</Chip>
        </Show>
        <span class="budget-sum">
          <b>{nanos(props.budget.spentNanos)}</b>
          <Show when={props.budget.limitNanos}> of {nanos(props.budget.limitNanos)}</Show>
        </span>
      </div>
      <Show when={props.budget.limitNanos}>
        <Meter
          value={shares().spent}
          more={shares().reserved}
          mark={shares().soft}
          tone={tone()}
          label={`Spent of the budget ${budgetLabel(props.budget)}`}
        />
      </Show>
      <p class="note">
        {props.budget.period}
        <Show when={props.budget.remainingNanos}> · {nanos(props.budget.remainingNanos)} left</Show>
        <Show when={(dollarsOf(props.budget.reservedNanos) ?? 0) > 0}>
          {" "}
          · {nanos(props.budget.reservedNanos)} reserved
        </Show>
        <Show when={props.budget.softNanos}> · soft limit {nanos(props.budget.softNanos)}</Show>
        <Show when={props.budget.resetsAt}>
          {(at) => (
            <>
              {" "}
              · begins anew in {duration(Math.max(0, Math.round((at() - now()) / 60_000)) * 60_000)}, {dayTime(at())}
            </>
          )}
        </Show>
      </p>
    </li>
  )
}

const Budgets = (): JSX.Element => {
  const loaded = ask<{ readonly budgets: ReadonlyArray<Budget> }>(() => "budgets", 5_000)
  const sorted = (budgets: ReadonlyArray<Budget>) =>
    [...budgets].sort((a, b) => budgetShares(b).spent - budgetShares(a).spent).slice(0, 100)
  return (
    <Card title="Budgets" note="The fullest first; what is lighter is reserved for calls under way" wide>
      <Wanting
        of={loaded()}
        missing={{
          title: "No budget is configured",
          how: (
            <>
              Name limits under <code>budgets</code> in the gateway's file.
            </>
          )
        }}
      >
        {(value) => (
          <Show
            when={value().budgets.length > 0}
            fallback={
              <Empty title="No account has anything in it">
                Accounts of the limits under <code>budgets</code> show up with the first call that is paid from them.
              </Empty>
            }
          >
            <ul class="budgets">
              <Index each={sorted(value().budgets)}>{(budget) => <OneBudget budget={budget()} />}</Index>
            </ul>
          </Show>
        )}
      </Wanting>
    </Card>
  )
}

const dimensions = [
  { id: "model", label: "Model" },
  { id: "project", label: "Project" },
  { id: "user", label: "User" },
  { id: "tenant", label: "Tenant" },
  { id: "key", label: "Key" },
  { id: "tag", label: "Tag" },
  { id: "day", label: "Day" },
  { id: "hour", label: "Hour" }
] as const
type Dimension = (typeof dimensions)[number]["id"]

const spans = [
  { id: "1", label: "24 h" },
  { id: "7", label: "7 days" },
  { id: "30", label: "30 days" }
] as const

interface UsageReport {
  readonly groups: ReadonlyArray<UsageRow>
}

const [by, setBy] = createSignal<Dimension>("model")
const [days, setDays] = createSignal<(typeof spans)[number]["id"]>("7")

const rowName = (row: UsageRow, dimension: Dimension): string => {
  if (row.startAt !== undefined) return dayTime(row.startAt)
  const named = row[dimension]
  return typeof named === "string" && named !== "" ? named : "(none)"
}

const Usage = (): JSX.Element => {
  // By whole minutes, so that the address stays the same for a while.
  const from = createMemo(() =>
    new Date(Math.floor(now() / 60_000) * 60_000 - Number(days()) * 86_400_000).toISOString()
  )
  const loaded = ask<UsageReport>(() => `usage?by=${by()}&from=${encodeURIComponent(from())}`, 60_000)
  const rowsOf = (report: UsageReport) => report.groups.slice(0, 200)
  const most = (rows: ReadonlyArray<UsageRow>) => Math.max(1e-12, ...rows.map((row) => dollarsOf(row.costNanos) ?? 0))
  return (
    <Card
      title="Usage"
      note="What the ledger says"
      wide
      flush
      actions={
        <>
          <Segmented label="By" options={dimensions} value={by()} onChange={setBy} />
          <Segmented label="Since" options={spans} value={days()} onChange={setDays} />
        </>
      }
    >
      <Wanting
        of={loaded()}
        missing={{
          title: "No ledger is configured",
          how: (
            <>
              Set <code>ledger</code> in the gateway's file, and every attempt is written down.
            </>
          )
        }}
      >
        {(value) => {
          const rows = createMemo(() => rowsOf(value()))
          return (
            <Show when={rows().length > 0} fallback={<Empty title="Nothing was used in this time" />}>
              <div class="scroll" tabIndex={0} role="group" aria-label="Usage">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">{dimensions.find(({ id }) => id === by())!.label}</th>
                      <th scope="col">Cost</th>
                      <th scope="col" class="number">
                        Attempts
                      </th>
                      <th scope="col" class="number">
                        Input
                      </th>
                      <th scope="col" class="number">
                        Output
                      </th>
                      <th scope="col" class="number less">
                        Without a price
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    <Index each={rows()}>
                      {(row) => (
                        <tr>
                          <th scope="row" class="name">
                            {rowName(row(), by())}
                          </th>
                          <td>
                            <div class="with-meter">
                              <Meter
                                value={(dollarsOf(row().costNanos) ?? 0) / most(rows())}
                                label={`Cost of ${rowName(row(), by())}`}
                              />
                              <span class="number">{nanos(row().costNanos)}</span>
                            </div>
                          </td>
                          <td class="number">{count(row().records)}</td>
                          <td class="number">{compact(row().inputTokens)}</td>
                          <td class="number">{compact(row().outputTokens)}</td>
                          <td class="number less">{(row().unpriced ?? 0) === 0 ? nothing : count(row().unpriced)}</td>
                        </tr>
                      )}
                    </Index>
                  </tbody>
                  <Show when={by() !== "tag"}>
                    <tfoot>
                      <tr>
                        <th scope="row">All</th>
                        <td class="number total">{nanos(addNanos(rows().map((row) => row.costNanos)).toString())}</td>
                        <td class="number">{count(rows().reduce((all, row) => all + row.records, 0))}</td>
                        <td class="number">{compact(rows().reduce((all, row) => all + row.inputTokens, 0))}</td>
                        <td class="number">{compact(rows().reduce((all, row) => all + row.outputTokens, 0))}</td>
                        <td class="number less" />
                      </tr>
                    </tfoot>
                  </Show>
                </table>
              </div>
            </Show>
          )
        }}
      </Wanting>
    </Card>
  )
}

const CacheCard = (props: { readonly title: string; readonly cache: Cache | null | undefined }): JSX.Element => (
  <Card title={props.title} note="Answers that nobody had to be asked for" wide>
    <Show
      when={props.cache}
      fallback={
        <Empty title="No cache is configured">
          Set <code>cache</code> in the gateway's file. It answers requests with a temperature of 0 or a seed.
        </Empty>
      }
    >
      {(cache) => (
        <>
          <div class="cache">
            <Meter value={cache().hitRate} tone="accent" label="Hit rate of the cache" />
            <span class="cache-rate">{percent(cache().hitRate)}</span>
          </div>
          <dl class="facts">
            <Show when={cache().savedNanoDollars}>{(saved) => <Fact name="saved">{nanos(saved())}</Fact>}</Show>
            <Show when={cache().savedInputTokens !== undefined}>
              <Fact name="saved tokens">
                {compact((cache().savedInputTokens ?? 0) + (cache().savedOutputTokens ?? 0))}
              </Fact>
            </Show>
            <Fact name="hits">{count(cache().hits)}</Fact>
            <Show when={cache().shared !== undefined}>
              <Fact name="shared calls">{count(cache().shared)}</Fact>
            </Show>
            <Fact name="misses">{count(cache().misses)}</Fact>
            <Fact name="entries">
              {typeof cache().entries !== "number"
                ? nothing
                : `${count(cache().entries)}${typeof cache().bytes !== "number" ? "" : `, ${bytes(cache().bytes)}`}`}
            </Fact>
            <Show when={(cache().storeFailures ?? 0) > 0}>
              <Fact name="store">{plural(cache().storeFailures!, "failure", "failures")}</Fact>
            </Show>
          </dl>
        </>
      )}
    </Show>
  </Card>
)

export const Cost = (): JSX.Element => (
  <Show when={snapshot()} fallback={<Loading lines={6} />}>
    {(at) => (
      <div class="grid">
        <Budgets />
        <Usage />
        <CacheCard title="Cache" cache={at().cache} />
        <Show when={at().semanticCache}>{(similar) => <CacheCard title="Semantic cache" cache={similar()} />}</Show>
      </div>
    )}
  </Show>
)
