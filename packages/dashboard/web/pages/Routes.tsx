/** Names that stand for several targets, and how calls are shared out among them. */
import { createMemo, Index, type JSX, Show } from "solid-js"
import type { RouteInfo } from "../api/types.ts"
import { Card, Chip, CircuitChip, Empty, Loading, Meter } from "../components/Parts.tsx"
import { count, percent, ratio } from "../lib/format.ts"
import { snapshot } from "../state/gateway.ts"

const isWeighted = (route: RouteInfo): boolean => route.order === "weighted"

const Route = (props: { readonly route: RouteInfo }): JSX.Element => {
  const whole = () => props.route.targets.reduce((all, { weight }) => all + (weight ?? 1), 0)
  const breakerOf = (target: string) => {
    const all = snapshot()?.breakers ?? []
    return (
      all.find(({ key, route }) => key === target && route === props.route.name) ??
      all.find(({ key, route }) => key === target && route === "default")
    )
  }
  return (
    <Card
      title={props.route.name}
      note={isWeighted(props.route) ? "The first target by chance, the rest as listed" : "In this order"}
      actions={<Chip tone={isWeighted(props.route) ? "accent" : "plain"}>{props.route.order ?? "priority"}</Chip>}
      wide
    >
      <ol class="targets">
        <Index each={props.route.targets}>
          {(each, i) => {
            const circuit = createMemo(() => breakerOf(each().target))
            const counted = () => snapshot()?.summary?.targets[each().target]
            const share = () => (each().weight ?? 1) / Math.max(1e-9, whole())
            return (
              <li>
                <span class="target-number">{i + 1}</span>
                <span class="name">{each().target}</span>
                <Show when={isWeighted(props.route)}>
                  <div class="with-meter">
                    <Meter value={share()} label={`Share of ${each().target} in ${props.route.name}`} />
                    <span class="number">{percent(share())}</span>
                  </div>
                </Show>
                <Show when={circuit()} fallback={<span class="note">not called yet</span>}>
                  {(breaker) => <CircuitChip state={breaker().state} />}
                </Show>
                <span class="note number">
                  <Show when={counted()}>
                    {(target) => (
                      <>
                        {count(target().attempts)} attempts,{" "}
                        {percent(ratio(target().success, target().success + target().failure))} well
                      </>
                    )}
                  </Show>
                </span>
              </li>
            )
          }}
        </Index>
      </ol>
    </Card>
  )
}

export const Routes = (): JSX.Element => {
  const routes = () => snapshot()?.routes ?? []
  const rollouts = createMemo(() => routes().filter(isWeighted))
  const others = createMemo(() => routes().filter((route) => !isWeighted(route)))
  return (
    <Show when={snapshot()} fallback={<Loading lines={5} />}>
      <h2 class="group">Rollouts</h2>
      <Show
        when={rollouts().length > 0}
        fallback={
          <Card title="None" wide>
            <Empty title="No route shares its calls out">
              Give a route under <code>routes</code> the <code>order</code> “weighted”, and its targets a{" "}
              <code>weight</code>: a new model gets a few of a hundred calls, and more when it does well.
            </Empty>
          </Card>
        }
      >
        <div class="grid two">
          <Index each={rollouts()}>{(route) => <Route route={route()} />}</Index>
        </div>
      </Show>
      <h2 class="group">Routes</h2>
      <Show
        when={others().length > 0}
        fallback={
          <Card title="None" wide>
            <Empty title="No other route is configured">
              A route is a name for several targets, under <code>routes</code> in the gateway's file.
            </Empty>
          </Card>
        }
      >
        <div class="grid two">
          <Index each={others()}>{(route) => <Route route={route()} />}</Index>
        </div>
      </Show>
    </Show>
  )
}
