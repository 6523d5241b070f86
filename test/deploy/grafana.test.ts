/** The dashboard names what there is, asks in PromQL that Prometheus can read, and is laid out as Grafana wants it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workspaceRoot } from "../../scripts/files.ts"
import { noPrometheus, promtoolIn } from "../support/prometheus.ts"
import { known, namesIn, unknownIn } from "./promql.ts"

interface Target {
  readonly refId: string
  readonly expr: string
  readonly legendFormat: string
  readonly datasource: { readonly uid: string }
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<Target>
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
}

interface Dashboard {
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: ReadonlyArray<Panel>
  readonly templating: { readonly list: ReadonlyArray<{ readonly name: string; readonly definition?: string }> }
  readonly annotations: { readonly list: ReadonlyArray<{ readonly expr?: string }> }
  readonly __requires: ReadonlyArray<{ readonly type: string; readonly id: string }>
}

const dashboard = JSON.parse(
  readFileSync(join(workspaceRoot, "deploy", "grafana", "breakwater.json"), "utf8")
) as Dashboard

const targets = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ panel, ...target })))

/** As Grafana writes it when all of everything is chosen. */
const filled = (expression: string): string =>
  expression
    .replaceAll("$__rate_interval", "1m")
    .replace(/\$\{\w+:regex\}/g, ".*")
    .replace(/\$(?:instance|provider|model)\b/g, ".*")

const queries = [
  ...targets.map(({ expr, panel }) => [panel.title, filled(expr)] as const),
  ...dashboard.annotations.list.flatMap(({ expr }) =>
    expr === undefined ? [] : [["annotation", filled(expr)] as const]
  )
]

describe("the queries", () => {
  it.each(queries)("of %s name what the metrics are", (_, expression) => {
    expect(namesIn(expression).metrics.length).toBeGreaterThan(0)
    expect(unknownIn(expression)).toEqual([])
    expect(expression).not.toContain("$")
  })

  it("of variables do, too", () => {
    const definitions = dashboard.templating.list.flatMap(({ definition }) =>
      definition === undefined ? [] : [definition]
    )
    expect(definitions.length).toBe(3)
    for (const definition of definitions) {
      const [, metric, label] = /^label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)$/.exec(definition)!
      expect(known.get(metric!)?.has(label!)).toBe(true)
    }
  })

  it.skipIf(noPrometheus)("can be read by Prometheus", () => {
    const folder = mkdtempSync(join(tmpdir(), "breakwater-dashboard-"))
    try {
      const rules = queries.map(([, expression], index) => ({ record: `query:${index}`, expr: expression }))
      // JSON is YAML.
      writeFileSync(join(folder, "queries.yml"), JSON.stringify({ groups: [{ name: "queries", rules }] }))
      expect(promtoolIn(folder, "check", "rules", "queries.yml")).toMatchObject({ ok: true })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it("of panels with a legend name labels that are in the answer", () => {
    for (const { expr, legendFormat } of targets) {
      const grouped = new Set(namesIn(expr).labels.flatMap(([metric, label]) => (metric === undefined ? [label] : [])))
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect([...grouped]).toContain(label)
    }
  })
})

describe("the dashboard", () => {
  it("has a section for everything there is to see", () => {
    expect(dashboard.panels.filter(({ type }) => type === "row").map(({ title }) => title)).toEqual([
      "Overview",
      "Providers",
      "Circuit breakers",
      "Retries, failovers, hedges",
      "Tokens and cost",
      "Cache",
      "Budgets",
      "Limits",
      "Stores and records"
    ])
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["datasource", "instance", "provider", "model"])
  })

  it("names its panels and their types, and asks the data source that is chosen", () => {
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const declared = new Set(dashboard.__requires.filter(({ type }) => type === "panel").map(({ id }) => id))
    for (const { targets = [], title, type } of panels) {
      expect(title).not.toBe("")
      if (type === "row") continue
      expect([...declared]).toContain(type)
      expect(targets.length).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
      for (const { datasource } of targets) expect(datasource.uid).toBe("${datasource}")
    }
  })

  it("fits into its grid, and no panel lies on another", () => {
    const cells = new Set<string>()
    for (const { gridPos, title } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.has(`${x},${y}`), `${title} at ${x},${y}`).toBe(false)
          cells.add(`${x},${y}`)
        }
      }
    }
  })
})
