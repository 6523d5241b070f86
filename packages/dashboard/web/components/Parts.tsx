/** The small parts that every section is made of. */
import { For, type JSX, Show } from "solid-js"
import type { CircuitState, Outcome } from "../api/types.ts"

/** How something is, as a colour: good, to be watched, bad, or none of these. */
export type Tone = "good" | "warn" | "bad" | "plain" | "accent"

/** A state in a word, with its colour and a dot: never by the colour alone. */
export const Chip = (props: { readonly tone: Tone; readonly children: JSX.Element }): JSX.Element => (
  <span class="chip" data-tone={props.tone}>
    <span class="dot" aria-hidden="true" />
    {props.children}
  </span>
)

const outcomes: Readonly<Record<Outcome, readonly [Tone, string]>> = {
  success: ["good", "success"],
  failure: ["bad", "failed"],
  interrupted: ["plain", "interrupted"]
}

export const OutcomeChip = (props: { readonly outcome: Outcome }): JSX.Element => (
  <Chip tone={outcomes[props.outcome]?.[0] ?? "plain"}>{outcomes[props.outcome]?.[1] ?? props.outcome}</Chip>
)

const circuits: Readonly<Record<CircuitState, readonly [Tone, string]>> = {
  closed: ["good", "closed"],
  "half-open": ["warn", "half-open"],
  open: ["bad", "open"],
  "forced-open": ["bad", "held open"],
  "metrics-only": ["accent", "held closed"],
  disabled: ["plain", "disabled"]
}

export const CircuitChip = (props: { readonly state: CircuitState }): JSX.Element => (
  <Chip tone={circuits[props.state]?.[0] ?? "plain"}>{circuits[props.state]?.[1] ?? props.state}</Chip>
)

interface CardProps {
  readonly title: string
  readonly note?: JSX.Element
  readonly actions?: JSX.Element
  readonly wide?: boolean
  readonly flush?: boolean
  readonly children: JSX.Element
}

let cards = 0

/** A part of a section under a heading of its own. */
export const Card = (props: CardProps): JSX.Element => {
  const id = `card-${cards++}`
  return (
    <section class="card" classList={{ wide: props.wide === true, flush: props.flush === true }} aria-labelledby={id}>
      <header class="card-head">
        <div>
          <h2 id={id}>{props.title}</h2>
          <Show when={props.note}>
            <p class="note">{props.note}</p>
          </Show>
        </div>
        <Show when={props.actions}>
          <div class="actions">{props.actions}</div>
        </Show>
      </header>
      {props.children}
    </section>
  )
}

/** What stands where there is nothing, and why. */
export const Empty = (props: { readonly title: string; readonly children?: JSX.Element }): JSX.Element => (
  <div class="empty">
    <p class="empty-title">{props.title}</p>
    <Show when={props.children}>
      <p>{props.children}</p>
    </Show>
  </div>
)

/** Grey bars in the place of what is on its way. */
export const Loading = (props: { readonly lines?: number }): JSX.Element => (
  <div class="loading" role="status">
    <span class="visually-hidden">Loading</span>
    <For each={Array.from({ length: props.lines ?? 3 })}>{() => <span class="bone" aria-hidden="true" />}</For>
  </div>
)

interface MeterProps {
  /** From 0 to 1; more than 1 is shown as full. */
  readonly value: number
  /** What is on its way, beside what is there. */
  readonly more?: number
  /** A mark on the way: a soft limit, a threshold. */
  readonly mark?: number | undefined
  readonly tone?: Tone
  readonly label: string
}

const asPercent = (share: number): string => `${Math.min(100, Math.max(0, share * 100)).toFixed(2)}%`

export const Meter = (props: MeterProps): JSX.Element => (
  <div
    class="meter"
    data-tone={props.tone ?? "accent"}
    role="meter"
    aria-label={props.label}
    aria-valuemin="0"
    aria-valuemax="100"
    aria-valuenow={Math.round(Math.min(1, Math.max(0, props.value)) * 100)}
  >
    <span class="fill" style={{ width: asPercent(props.value) }} />
    <Show when={(props.more ?? 0) > 0}>
      <span class="fill more" style={{ width: asPercent(Math.min(props.more!, 1 - Math.min(1, props.value))) }} />
    </Show>
    <Show when={props.mark !== undefined && props.mark <= 1}>
      <span class="tick" style={{ left: asPercent(props.mark!) }} />
    </Show>
  </div>
)

interface SegmentedProps<A extends string> {
  readonly label: string
  readonly options: ReadonlyArray<{ readonly id: A; readonly label: string }>
  readonly value: A
  readonly onChange: (value: A) => void
}

/** One of a few: buttons side by side. */
export const Segmented = <A extends string>(props: SegmentedProps<A>): JSX.Element => (
  <div class="segmented" role="group" aria-label={props.label}>
    <For each={props.options}>
      {(option) => (
        <button type="button" aria-pressed={props.value === option.id} onClick={() => props.onChange(option.id)}>
          {option.label}
        </button>
      )}
    </For>
  </div>
)

/** A name and what it stands for. */
export const Fact = (props: { readonly name: string; readonly children: JSX.Element }): JSX.Element => (
  <div class="fact">
    <dt>{props.name}</dt>
    <dd>{props.children}</dd>
  </div>
)
