/** Who answers, and which circuits let calls through. Circuits can be held by hand. */
import { createMemo, createSignal, For, Index, type JSX, Show } from "solid-js"
import { post } from "../api/client.ts"
import type { Breaker } from "../api/types.ts"
import { Card, Chip, CircuitChip, Empty, Loading, Meter } from "../components/Parts.tsx"
import { Dialog } from "../components/Dialog.tsx"
import { count, countdown, duration, percent } from "../lib/format.ts"
import { lastAt, now, onRefused, snapshot } from "../state/gateway.ts"

type Action = "force-open" | "force-closed" | "release" | "reset"

const actions: Readonly<Record<Action, { readonly label: string; readonly verb: string; readonly says: string }>> = {
  "force-open": {
    label: "Hold open",
    verb: "Hold open",
    says: "Every call to this target is turned away, until the circuit is released."
  },
  "force-closed": {
    label: "Hold closed",
    verb: "Hold closed",
    says: "Every call is let through however many fail, until the circuit is released. Failures are still counted."
  },
  release: { label: "Release", verb: "Release", says: "The circuit goes by what it has measured again." },
  reset: {
    label: "Reset",
    verb: "Reset",
    says: "What the circuit has counted is forgotten, and a hold is given back: it closes, and begins anew."
  }
}

const isHeld = ({ holds, state }: Breaker): boolean =>
  Object.values(holds ?? {}).some((n) => n > 0) ||
  state === "forced-open" ||
  state === "metrics-only" ||
  state === "disabled"

const actionsOf = (breaker: Breaker): ReadonlyArray<Action> =>
  isHeld(breaker) ? ["release", "reset"] : ["force-open", "force-closed", "reset"]

const rank: Readonly<Record<Breaker["state"], number>> = {
  open: 0,
  "forced-open": 1,
  "half-open": 2,
  disabled: 3,
  "metrics-only": 4,
  closed: 5
}

/** Milliseconds until a call is let through, counted down between two snapshots. */
const leftMs = (breaker: Breaker): number =>
  breaker.state === "open" ? Math.max(0, breaker.retryAfterMs - (now() - (lastAt() ?? now()))) : 0

const details = (breaker: Breaker): string => {
  const { openings = 0, probes, rejections = 0, state } = breaker
  if (state === "open") {
    const left = leftMs(breaker)
    const turned = rejections === 0 ? "" : `, ${count(rejections)} turned away`
    return `${left > 0 ? `tries again in ${countdown(left)}` : "tries again with the next call"}${turned}`
  }
  if (state === "half-open")
    return `${count(probes?.inFlight ?? 0)} probing, ${count(probes?.successes ?? 0)} well so far`
  if (state === "forced-open") return "held by hand: turns every call away"
  if (state === "metrics-only") return "held by hand: lets every call through"
  if (state === "disabled") return "does not count"
  return openings > 0 ? `opened ${count(openings)} times in a row` : ""
}

interface Asked {
  readonly breaker: Breaker
  readonly action: Action
}

const Circuits = (): JSX.Element => {
  const [asked, setAsked] = createSignal<Asked | undefined>(undefined)
  const [problem, setProblem] = createSignal<string | undefined>(undefined)
  const [busy, setBusy] = createSignal(false)
  const [said, setSaid] = createSignal("")
  const rows = createMemo(() =>
    [...(snapshot()?.breakers ?? [])].sort(
      (a, b) => rank[a.state] - rank[b.state] || b.calls - a.calls || a.key.localeCompare(b.key)
    )
  )
  const close = (): void => {
    setAsked(undefined)
    setProblem(undefined)
  }
  const carryOut = async (): Promise<void> => {
    const { action, breaker } = asked()!
    setBusy(true)
    setProblem(undefined)
    try {
      await post("breakers", { key: breaker.key, route: breaker.route, action })
      setSaid(`${actions[action].label}: ${breaker.key} is done.`)
      close()
    } catch (error) {
      onRefused(error)
      setProblem(error instanceof Error ? error.message : String(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Card title="Circuit breakers" note="One for each target; those that are not closed first" wide flush>
      <p class="visually-hidden" role="status">
        {said()}
      </p>
      <Show
        when={rows().length > 0}
        fallback={<Empty title="No circuit yet">A target has one from its first call on.</Empty>}
      >
        <div class="scroll" tabIndex={0} role="group" aria-label="Circuit breakers">
          <table class="circuits">
            <thead>
              <tr>
                <th scope="col">Target</th>
                <th scope="col">State</th>
                <th scope="col">Failure rate</th>
                <th scope="col" class="number">
                  Calls
                </th>
                <th scope="col">
                  <span class="visually-hidden">By hand</span>
                </th>
              </tr>
            </thead>
            <tbody>
              <Index each={rows()}>
                {(row) => (
                  <tr>
                    <th scope="row" class="name">
                      {row().key}
                      <Show when={row().route !== "default"}>
                        <span class="tag">{row().route}</span>
                      </Show>
                    </th>
                    <td>
                      <CircuitChip state={row().state} />
                      <span class="state-note">{details(row())}</span>
                    </td>
                    <td>
                      <div class="with-meter">
                        <Meter
                          value={row().failureRate}
                          mark={row().threshold}
                          tone={
                            row().failureRate >= (row().threshold ?? 0.5)
                              ? "bad"
                              : row().failureRate > 0
                                ? "warn"
                                : "good"
                          }
                          label={`Failure rate of ${row().key}; it opens at ${percent(row().threshold)}`}
                        />
                        <span class="number">{percent(row().failureRate)}</span>
                      </div>
                    </td>
                    <td class="number">{count(row().calls)}</td>
                    <td class="buttons">
                      <Index each={actionsOf(row())}>
                        {(action) => (
                          <button
                            type="button"
                            class="small"
                            aria-label={`${actions[action()].label} ${row().key}`}
                            onClick={() => setAsked({ breaker: row(), action: action() })}
                          >
                            {actions[action()].label}
                          </button>
                        )}
                      </Index>
                    </td>
                  </tr>
                )}
              </Index>
            </tbody>
          </table>
        </div>
      </Show>
      <Dialog
        open={asked() !== undefined}
        title={`${asked() === undefined ? "" : actions[asked()!.action].label} ${asked()?.breaker.key ?? ""}?`}
        onClose={close}
      >
        <p>{asked() === undefined ? "" : actions[asked()!.action].says}</p>
        <Show when={asked()?.breaker.route !== "default"}>
          <p class="note">The circuit of the route {asked()?.breaker.route}.</p>
        </Show>
        <Show when={problem()}>
          <p class="problem" role="alert">
            {problem()}
          </p>
        </Show>
        <footer>
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button
            type="button"
            class="primary"
            classList={{ danger: asked()?.action === "force-open" }}
            disabled={busy()}
            onClick={() => void carryOut()}
          >
            {asked() === undefined ? "" : actions[asked()!.action].verb}
          </button>
        </footer>
      </Dialog>
    </Card>
  )
}

const Reach = (props: {
  readonly title: string
  readonly what: Readonly<Record<string, { reachable: boolean | null; tookMs?: number }>>
}) => (
  <div class="reach">
    <For each={Object.entries(props.what)}>
      {([name, { reachable, tookMs }]) => (
        <div class="reach-item">
          <span class="name">{name}</span>
          <Chip tone={reachable === null ? "plain" : reachable ? "good" : "bad"}>
            {reachable === null ? "not asked" : reachable ? "reachable" : "unreachable"}
          </Chip>
          <span class="note number">{reachable === true && tookMs !== undefined ? duration(tookMs) : ""}</span>
        </div>
      )}
    </For>
  </div>
)

export const Providers = (): JSX.Element => (
  <Show when={snapshot()} fallback={<Loading lines={6} />}>
    {(at) => (
      <div class="grid">
        <Card title="Providers" note="Asked every few seconds, those with an address of their own" wide>
          <Reach title="Providers" what={at().providers} />
        </Card>
        <Circuits />
        <Show when={Object.keys(at().stores ?? {}).length > 0}>
          <Card title="Stores" note="What several gateways share" wide>
            <Reach title="Stores" what={at().stores!} />
          </Card>
        </Show>
      </div>
    )}
  </Show>
)
