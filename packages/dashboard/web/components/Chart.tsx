/** A chart over time: bars on top of each other, or lines. It can be read with the keyboard, and as a table. */
import { createEffect, createMemo, createSignal, For, Index, type JSX, on, onCleanup, onMount, Show } from "solid-js"
import UPlot from "uplot"
import "uplot/dist/uPlot.min.css"
import { clockTime, hourMinute } from "../lib/format.ts"
import { shownTheme } from "../state/view.ts"
import { Card } from "./Parts.tsx"
import { Icon } from "./Icon.tsx"

interface Layer {
  readonly label: string
  /** The name of a colour of the style sheet. */
  readonly colour: string
  readonly values: ReadonlyArray<number | null>
}

interface ChartData {
  /** Milliseconds since 1970. */
  readonly at: ReadonlyArray<number>
  readonly stepMs: number
  readonly layers: ReadonlyArray<Layer>
}

interface ChartProps {
  readonly title: string
  readonly kind: "bars" | "lines"
  readonly data: ChartData
  readonly format: (value: number | null | undefined) => string
  /** What the numbers of the whole range are, for the legend while nothing is pointed at. */
  readonly overall: ReadonlyArray<string>
  /** A sentence that says what the chart shows. */
  readonly says: string
  readonly empty: string
  /** The smallest top of the axis. */
  readonly least?: number
}

const height = 196

/** A colour of the style sheet as the canvas knows it: light or dark is settled by an element that wears it. */
const colourOf = (name: string): string => {
  const wearer = document.body.appendChild(document.createElement("i"))
  wearer.hidden = true
  wearer.style.color = `var(--${name})`
  const { color } = getComputedStyle(wearer)
  wearer.remove()
  return color
}

const font = (): string =>
  `11px ${getComputedStyle(document.documentElement).getPropertyValue("--font") || "sans-serif"}`

/** Each layer stands on those after it: the first of the list is drawn first, and highest. */
const stacked = (layers: ReadonlyArray<Layer>): ReadonlyArray<ReadonlyArray<number | null>> => {
  const sums: Array<ReadonlyArray<number>> = []
  let below: ReadonlyArray<number> = layers[0]?.values.map(() => 0) ?? []
  for (const { values } of [...layers].reverse()) {
    below = values.map((value, i) => (value ?? 0) + (below[i] ?? 0))
    sums.unshift(below)
  }
  return sums
}

const alignedOf = (kind: ChartProps["kind"], { at, layers }: ChartData): UPlot.AlignedData =>
  [at.map((ms) => ms / 1_000), ...(kind === "bars" ? stacked(layers) : layers.map(({ values }) => values))].map(
    (each) => [...each]
  ) as unknown as UPlot.AlignedData

const hasValues = ({ layers }: ChartData): boolean =>
  layers.some(({ values }) => values.some((value) => (value ?? 0) > 0))

/** Room for the longest label of an axis, in pixels. */
const widthOf = (_: UPlot, labels: ReadonlyArray<string> | null): number =>
  Math.max(52, 16 + 6.4 * Math.max(0, ...(labels ?? []).map((label) => label.length)))

/** Rows of the table at most: the latest ones. */
const tableRows = 30

export const Chart = (props: ChartProps): JSX.Element => {
  let found: HTMLDivElement | undefined
  let plot: UPlot | undefined
  const [pointed, setPointed] = createSignal<number | undefined>(undefined)
  const [asTable, setAsTable] = createSignal(false)
  const filled = createMemo(() => hasValues(props.data))

  const options = (width: number): UPlot.Options => {
    const grid = { stroke: colourOf("line-soft"), width: 1 }
    const axis = { stroke: colourOf("muted"), font: font(), grid, ticks: { show: false } }
    const bars = UPlot.paths.bars!({ size: [0.72, 40], radius: 0.12, align: 1 })
    const layers = props.data.layers.map(({ colour, label }): UPlot.Series => {
      const stroke = colourOf(colour)
      return props.kind === "bars"
        ? { label, fill: stroke, width: 0, paths: bars, points: { show: false } }
        : { label, stroke, width: 1.75, spanGaps: true, points: { show: false } }
    })
    return {
      width,
      height,
      padding: [10, 16, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: props.kind === "lines", size: 7 },
        drag: { x: false, y: false },
        sync: { key: "time" }
      },
      scales: {
        x: {
          time: true,
          range: (_, min, max) => [min, max + (props.kind === "bars" ? props.data.stepMs / 1_000 : 0)]
        },
        y: { range: (_, __, max) => [0, Math.max((max ?? 0) * 1.08, props.least ?? 1)] }
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 26,
          space: 72,
          values: (_, splits) => splits.map((at) => hourMinute(at * 1_000))
        },
        {
          ...axis,
          size: widthOf,
          gap: 6,
          space: 40,
          values: (_, splits) => splits.map((value) => (filled() ? props.format(value) : ""))
        }
      ],
      series: [{}, ...layers],
      hooks: { setCursor: [({ cursor }) => setPointed(cursor.idx ?? undefined)] }
    }
  }

  const draw = (): void => {
    const host = found
    plot?.destroy()
    plot = undefined
    if (host === undefined) return
    if (host.clientWidth > 0) plot = new UPlot(options(host.clientWidth), alignedOf(props.kind, props.data), host)
  }

  onMount(() => {
    const host = found!
    const observer = new ResizeObserver(() => {
      if (plot === undefined) draw()
      else if (host.clientWidth > 0 && host.clientWidth !== plot.width)
        plot.setSize({ width: host.clientWidth, height })
    })
    observer.observe(host)
    // Colours are read when the chart is made, a moment after the style sheet has changed.
    createEffect(on(shownTheme, () => queueMicrotask(draw)))
    createEffect(() => plot?.setData(alignedOf(props.kind, props.data)))
    onCleanup(() => {
      observer.disconnect()
      plot?.destroy()
      plot = undefined
    })
  })

  /** Moves the pointer by steps. */
  const point = (index: number): void => {
    if (plot === undefined) return
    const i = Math.min(props.data.at.length - 1, Math.max(0, index))
    plot.setCursor({ left: plot.valToPos(props.data.at[i]! / 1_000, "x") + 1, top: 0 })
  }

  const onKey = (event: KeyboardEvent): void => {
    const last = props.data.at.length - 1
    const at = pointed() ?? last + 1
    const moves: Record<string, number> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }
    const next = moves[event.key]
    if (next !== undefined) {
      event.preventDefault()
      point(next)
    } else if (event.key === "Escape") plot?.setCursor({ left: -10, top: -10 })
  }

  const shown = (layer: number): string => {
    const i = pointed()
    return i === undefined ? (props.overall[layer] ?? "") : props.format(props.data.layers[layer]!.values[i])
  }

  const rows = createMemo(() => {
    if (!asTable()) return []
    const { at, layers } = props.data
    return at
      .map((ms, i) => ({ ms, values: layers.map(({ values }) => values[i]) }))
      .slice(-tableRows)
      .reverse()
  })

  return (
    <Card
      title={props.title}
      actions={
        <button
          type="button"
          class="quiet icon-only"
          aria-pressed={asTable()}
          aria-label={`${props.title} as a table`}
          title="As a table"
          onClick={() => setAsTable(!asTable())}
        >
          <Icon name="table" />
        </button>
      }
    >
      <ul class="legend">
        <Index each={props.data.layers}>
          {(layer, i) => (
            <li>
              <span class="swatch" data-colour={layer().colour} aria-hidden="true" />
              <span class="legend-label">{layer().label}</span>
              <b>{shown(i)}</b>
            </li>
          )}
        </Index>
        <li class="legend-time">{pointed() === undefined ? "" : clockTime(props.data.at[pointed()!])}</li>
      </ul>
      <div
        class="plot"
        classList={{ hidden: asTable() }}
        ref={(made) => (found = made)}
        role="img"
        tabIndex={asTable() ? -1 : 0}
        aria-label={`${props.title}. ${props.says} Left and right arrow keys move through time.`}
        onKeyDown={onKey}
        onBlur={() => plot?.setCursor({ left: -10, top: -10 })}
      >
        <Show when={!filled()}>
          <p class="plot-empty">{props.empty}</p>
        </Show>
      </div>
      <span class="visually-hidden" aria-live="polite">
        <Show when={pointed() !== undefined && document.activeElement === found}>
          {clockTime(props.data.at[pointed()!])}
          <Index each={props.data.layers}>{(layer, i) => `, ${layer().label} ${shown(i)}`}</Index>
        </Show>
      </span>
      <Show when={asTable()}>
        <div class="plot-table" tabIndex={0} role="group" aria-label={`${props.title} as a table`}>
          <table>
            <caption class="visually-hidden">{props.title}, the latest first</caption>
            <thead>
              <tr>
                <th scope="col">Time</th>
                <For each={props.data.layers.map(({ label }) => label)}>
                  {(label) => (
                    <th scope="col" class="number">
                      {label}
                    </th>
                  )}
                </For>
              </tr>
            </thead>
            <tbody>
              <Index each={rows()}>
                {(row) => (
                  <tr>
                    <th scope="row">{clockTime(row().ms)}</th>
                    <Index each={row().values}>{(value) => <td class="number">{props.format(value())}</td>}</Index>
                  </tr>
                )}
              </Index>
            </tbody>
          </table>
        </div>
      </Show>
    </Card>
  )
}
