/**
 * Families of metrics: a name, its labels, and a bounded number of series, each built once.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"

/** Series of one family at most; past it, everything else is counted as `other`. */
export const maxSeries = 1_000

/** Characters of a label's value at most. */
const maxValue = 200

/** A metric as it is declared. */
export interface Definition {
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  /** What it is, in a sentence. */
  readonly description: string
  readonly labels: ReadonlyArray<string>
  /** `seconds` or `{token}`, where the name does not say it. */
  readonly unit?: string
  readonly boundaries?: ReadonlyArray<number>
}

/** One series. It has its attributes from the start: `Metric.withAttributes` would put them together at every update. */
const seriesOf = (
  { boundaries = [], description, kind, name }: Definition,
  attributes: Readonly<Record<string, string>>
): Metric.Metric<number, unknown> => {
  switch (kind) {
    case "counter":
      return Metric.counter(name, { description, attributes, incremental: true })
    case "gauge":
      return Metric.gauge(name, { description, attributes })
    case "histogram":
      return Metric.histogram(name, { description, attributes, boundaries })
  }
}

const bounded = (value: string): string => (value.length > maxValue ? value.slice(0, maxValue).toWellFormed() : value)

const keyOf = (a: string, b: string, c: string, d: string): string => `${a}\n${b}\n${c}\n${d}`

/** The series of one family. Values of labels are given in the order in which they are declared. */
export class Family {
  private readonly definition: Definition
  private readonly context: Context.Context<never>
  private readonly series = new Map<string, Metric.Metric<number, unknown>>()

  constructor(definition: Definition, context: Context.Context<never>) {
    this.definition = definition
    this.context = context
  }

  update(value: number, a = "", b = "", c = "", d = ""): void {
    this.of(bounded(a), bounded(b), bounded(c), bounded(d)).updateUnsafe(value, this.context)
  }

  /** Adds to a gauge: there may be others that keep it, too. */
  modify(by: number, a = "", b = "", c = "", d = ""): void {
    this.of(bounded(a), bounded(b), bounded(c), bounded(d)).modifyUnsafe(by, this.context)
  }

  /** Takes a series away: what it is of is gone. Where that is not known of each, it stays among the others. */
  remove(a = "", b = "", c = "", d = ""): void {
    const key = keyOf(bounded(a), bounded(b), bounded(c), bounded(d))
    const known = this.series.get(key)
    if (known !== undefined) Metric.removeUnsafe(known, this.context)
    this.series.delete(key)
  }

  private of(a: string, b: string, c: string, d: string): Metric.Metric<number, unknown> {
    const key = keyOf(a, b, c, d)
    const known = this.series.get(key)
    if (known !== undefined) return known
    if (this.series.size < maxSeries) return this.add(key, [a, b, c, d])
    return this.series.get("other") ?? this.add("other", ["other", "other", "other", "other"])
  }

  private add(key: string, values: ReadonlyArray<string>): Metric.Metric<number, unknown> {
    const { labels, unit } = this.definition
    const attributes: Record<string, string> = {}
    labels.forEach((label, index) => {
      // A label without a value is one that this series does not have.
      if (values[index] !== "") attributes[label] = values[index]!
    })
    if (unit !== undefined) attributes["unit"] = unit
    const metric = seriesOf(this.definition, attributes)
    this.series.set(key, metric)
    return metric
  }
}

/** The families of a catalogue. */
export const familiesOf = <Name extends string>(
  catalogue: { readonly [K in Name]: Definition },
  context: Context.Context<never>
): { readonly [K in Name]: Family } =>
  Object.fromEntries(
    Object.entries<Definition>(catalogue).map(([name, definition]) => [name, new Family(definition, context)])
  ) as { [K in Name]: Family }
