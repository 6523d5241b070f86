/** A section whose answer is on its way, is not to be had, or is there. */
import { type Accessor, type JSX, Match, Show, Switch } from "solid-js"
import type { Loaded } from "../state/resource.ts"
import { Card, Empty, Loading } from "./Parts.tsx"

interface WantingProps<A> {
  readonly of: Loaded<A>
  /** What is not configured, and how it would be. */
  readonly missing: { readonly title: string; readonly how: JSX.Element }
  /** The heading of what stands alone while there is nothing to show; left out inside of a card. */
  readonly heading?: string
  readonly children: (value: Accessor<A>) => JSX.Element
}

/** In a card of its own, unless it is in one. */
const Framed = (props: { readonly heading: string | undefined; readonly children: JSX.Element }): JSX.Element => (
  <Show when={props.heading} fallback={props.children}>
    {(heading) => (
      <Card title={heading()} wide>
        {props.children}
      </Card>
    )}
  </Show>
)

export const Wanting = <A,>(props: WantingProps<A>): JSX.Element => (
  <Switch>
    <Match when={props.of.state === "loading"}>
      <Framed heading={props.heading}>
        <Loading lines={4} />
      </Framed>
    </Match>
    <Match when={props.of.state === "missing"}>
      <Framed heading={props.heading}>
        <Empty title={props.missing.title}>{props.missing.how}</Empty>
      </Framed>
    </Match>
    <Match when={props.of.state === "failed"}>
      <Framed heading={props.heading}>
        <Empty title="It could not be read">{(props.of as { message: string }).message}</Empty>
      </Framed>
    </Match>
    <Match when={props.of.state === "ready"}>{props.children(() => (props.of as { readonly value: A }).value)}</Match>
  </Switch>
)
