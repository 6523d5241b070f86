/** The configuration in force, without its secrets. */
import { For, type JSX, Show } from "solid-js"
import { Card } from "../components/Parts.tsx"
import { Wanting } from "../components/Wanting.tsx"
import { ask } from "../state/resource.ts"

type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [key: string]: Json }

const isLeaf = (value: Json): value is string | number | boolean | null => typeof value !== "object" || value === null

const Leaf = (props: { readonly value: string | number | boolean | null }): JSX.Element => (
  <span class="leaf" data-kind={props.value === "***" ? "secret" : typeof props.value}>
    {props.value === "***" ? "secret" : String(props.value)}
  </span>
)

const entriesOf = (value: Json): ReadonlyArray<readonly [string, Json]> =>
  Array.isArray(value) ? value.map((each: Json, i) => [String(i + 1), each] as const) : Object.entries(value as object)

const isShort = (value: Json): value is ReadonlyArray<string | number | boolean | null> =>
  Array.isArray(value) && value.length > 0 && value.every((each: Json) => isLeaf(each))

const Tree = (props: { readonly value: Json }): JSX.Element => (
  <dl class="tree">
    <For each={entriesOf(props.value)}>
      {([name, value]) => (
        <div class="branch">
          <dt>{name}</dt>
          <dd>
            <Show
              when={isLeaf(value)}
              fallback={
                <Show when={isShort(value)} fallback={<Tree value={value} />}>
                  <span class="leaves">
                    <For each={value as ReadonlyArray<string>}>{(each) => <Leaf value={each} />}</For>
                  </span>
                </Show>
              }
            >
              <Leaf value={value as string} />
            </Show>
          </dd>
        </div>
      )}
    </For>
  </dl>
)

export const Configuration = (): JSX.Element => {
  const loaded = ask<{ readonly [key: string]: Json }>(() => "config", 30_000)
  return (
    <Wanting
      heading="Configuration"
      of={loaded()}
      missing={{ title: "This gateway does not tell its configuration", how: "It is older than this page." }}
    >
      {(value) => (
        <div class="grid two masonry">
          <For each={Object.entries(value())}>
            {([name, part]) => (
              <Card title={name}>
                <Show when={!isLeaf(part)} fallback={<Leaf value={part as string} />}>
                  <Show when={isShort(part)} fallback={<Tree value={part} />}>
                    <span class="leaves">
                      <For each={part as ReadonlyArray<string>}>{(each) => <Leaf value={each} />}</For>
                    </span>
                  </Show>
                </Show>
              </Card>
            )}
          </For>
        </div>
      )}
    </Wanting>
  )
}
