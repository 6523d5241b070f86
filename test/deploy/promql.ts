/** What an expression of PromQL names: its metrics, with the labels that it asks of them. */
import { Metrics } from "@breakwater/core"

const words = new Set(
  "sum max min count avg rate increase changes histogram_quantile vector or and unless bool label_values".split(" ")
)

export interface Named {
  readonly metrics: ReadonlyArray<string>
  /** Labels in braces, of the metric before them; and those of `by`, of all metrics. */
  readonly labels: ReadonlyArray<readonly [metric: string | undefined, label: string]>
}

export const namesIn = (expression: string): Named => {
  const bare = expression.replace(/"(?:[^"\\]|\\.)*"/g, '""')
  const labels: Array<readonly [string | undefined, string]> = []
  for (const [, metric, matchers] of bare.matchAll(/([\w:]+)\{([^}]*)\}/g)) {
    for (const [, label] of matchers!.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) labels.push([metric, label!])
  }
  for (const [, list] of bare.matchAll(/\b(?:by|without)\s*\(([^)]*)\)/g)) {
    for (const label of list!.split(",")) labels.push([undefined, label.trim()])
  }
  const rest = bare
    .replace(/\{[^}]*\}/g, " ")
    .replace(/\[[^\]]*\]/g, " ")
    .replace(/\boffset\s+\w+/g, " ")
    .replace(/\b(?:by|without)\s*\([^)]*\)/g, " ")
    .replace(/,\s*\w+\)$/, ")")
  const names = rest.match(/[a-zA-Z_:][\w:]*/g) ?? []
  return { metrics: names.filter((name) => !words.has(name)), labels }
}

/** Labels that Prometheus itself gives. */
const given = ["job", "instance", "le"]

/** Each series that a gateway gives, with its labels, as Prometheus names them. */
export const known: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Metrics.definitions.flatMap((definition) => {
    const name = Metrics.prometheusName(definition.name).replaceAll(".", "_")
    const labels = new Set([...given, ...definition.labels.map((label) => label.replaceAll(".", "_"))])
    const suffixes = definition.kind === "histogram" ? ["_bucket", "_sum", "_count"] : [""]
    return suffixes.map((suffix) => [`${name}${suffix}`, labels] as const)
  })
)

/** What an expression names that is not there. */
export const unknownIn = (expression: string, own: ReadonlySet<string> = new Set()): ReadonlyArray<string> => {
  const { labels, metrics } = namesIn(expression)
  const all = new Set(metrics.flatMap((metric) => [...(known.get(metric) ?? [])]))
  return [
    ...metrics.filter((metric) => !known.has(metric) && !own.has(metric) && metric !== "up"),
    ...labels
      .filter(([metric, label]) => {
        if (metric === "up" || (metric !== undefined && own.has(metric))) return false
        return metric === undefined ? !all.has(label) : known.get(metric)?.has(label) !== true
      })
      .map(([metric, label]) => `${metric ?? "by"}{${label}}`)
  ]
}
