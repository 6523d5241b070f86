/** A section whose answer is on its way, is not to be had, or is there. */
import { type Accessor, type JSX, Match, Switch } from "solid-js"
import type { Loaded } from "../state/resource.ts"
import { Empty, Loading } from "./Parts.tsx"

interface WantingProps<A> {
  readonly of: Loaded<A>
  /** What is not configured, and how it would be. */
  readonly missing: { readonly title: string; readonly how: JSX.Element }
  readonly children: (value: Accessor<A>) => JSX.Element
}

export const Wanting = <A,>(props: WantingProps<A>): JSX.Element => (
  <Switch>
    <Match when={props.of.state === "loading"}>
      <Loading lines={4} />
    </Match>
    <Match when={props.of.state === "missing"}>
      <Empty title={props.missing.title}>{props.missing.how}</Empty>
    </Match>
    <Match when={props.of.state === "failed"}>
      <Empty title="It could not be read">{(props.of as { message: string }).message}</Empty>
    </Match>
    <Match when={props.of.state === "ready"}>{props.children(() => (props.of as { readonly value: A }).value)}</Match>
  </Switch>
)
