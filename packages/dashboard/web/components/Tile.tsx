/** A big number with its small line. */
import { createMemo, type JSX, Show } from "solid-js"
import { sparkPoints } from "../lib/series.ts"
import type { Tone } from "./Parts.tsx"

interface TileProps {
  readonly label: string
  readonly value: string
  readonly note: JSX.Element
  readonly values: ReadonlyArray<number | null>
  readonly tone?: Tone
}

export const Tile = (props: TileProps): JSX.Element => {
  const points = createMemo(() => sparkPoints(props.values))
  const line = () =>
    points()
      .map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(2)} ${y.toFixed(2)}`)
      .join("")
  const area = () => {
    const all = points()
    return all.length < 2 ? "" : `${line()}L${all.at(-1)![0].toFixed(2)} 100L${all[0]![0].toFixed(2)} 100Z`
  }
  return (
    <div class="tile" data-tone={props.tone ?? "accent"}>
      <p class="tile-label">{props.label}</p>
      <p class="tile-value">{props.value}</p>
      <p class="tile-note">{props.note}</p>
      <svg class="spark" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        <Show when={points().length > 1}>
          <path class="spark-area" d={area()} />
          <path class="spark-line" d={line()} vector-effect="non-scaling-stroke" />
        </Show>
      </svg>
    </div>
  )
}
