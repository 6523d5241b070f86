/** The rules for Prometheus name what there is, and fire when they should. */
import { Rules } from "@breakwater/alerts"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workspaceRoot } from "../../scripts/files.ts"
import { noPrometheus, promtoolIn } from "../support/prometheus.ts"
import { namesIn, unknownIn } from "./promql.ts"

const folder = join(workspaceRoot, "deploy", "prometheus")
const text = readFileSync(join(folder, "alerts.yml"), "utf8")

/** The expressions of the file: each is a folded block. */
const expressions = [...text.matchAll(/^ +expr: >-\n((?: {10}.*\n)+)/gm)].map(([, block]) =>
  block!.replace(/\s+/g, " ").trim()
)
const recorded = new Set([...text.matchAll(/- record: (\S+)/g)].map(([, name]) => name!))
const alerts = [...text.matchAll(/- alert: (\S+)/g)].map(([, name]) => name!)

describe("the reading of expressions", () => {
  it.each([
    ['sum by (target) (rate(breakwater_attempts_total{outcome="a{b}"}[5m])) > 0.5', ["breakwater_attempts_total"]],
    ["histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m])))", ["x_bucket"]],
    ["(a unless a offset 1h) > 0 or increase(b[1h])", ["a", "a", "b"]]
  ])("finds the metrics of %s", (expression, metrics) => {
    expect(namesIn(expression).metrics).toEqual(metrics)
  })

  it("finds out a metric and a label that are not there", () => {
    expect(unknownIn('breakwater_nothing{a="b"}')).toEqual(["breakwater_nothing", "breakwater_nothing{a}"])
    expect(unknownIn('sum by (key) (breakwater_attempts_total{tenant="x"})')).toEqual([
      "breakwater_attempts_total{tenant}",
      "by{key}"
    ])
    expect(unknownIn('sum by (target) (breakwater_attempts_total{outcome="failure"})')).toEqual([])
  })
})

describe("the rules", () => {
  it("are all read by this test", () => {
    expect(expressions.length).toBe(recorded.size + alerts.length)
    expect(alerts.length).toBeGreaterThan(12)
    expect(new Set(alerts).size).toBe(alerts.length)
  })

  it.each(expressions)("name what the metrics are: %s", (expression) => {
    expect(unknownIn(expression, recorded)).toEqual([])
  })

  it("leave out the same errors, and burn at the same rates, as those of the process", () => {
    const lists = [...text.matchAll(/error!~"([^"]+)"/g)].map(([, list]) => list!.split("|").sort())
    expect(lists.length).toBeGreaterThan(0)
    const calls = [...Rules.callersErrors].sort()
    // A full bulkhead is a failed call, but says nothing of a target.
    const attempts = [...calls, "BulkheadFullError"].sort()
    for (const list of lists) expect([calls, attempts]).toContainEqual(list)
    for (const { burnRate, long, short } of Rules.defaultBurnWindows) {
      const bound = burnRate === 1 ? "0.01" : `(${burnRate} * 0.01)`
      expect(text).toContain(
        `request_errors:ratio_rate${long} > ${bound} and breakwater:request_errors:ratio_rate${short} > ${bound}`
      )
    }
  })
})

describe.skipIf(noPrometheus)("promtool", () => {
  it("accepts the rules and the configuration", () => {
    expect(promtoolIn(folder, "check", "rules", "alerts.yml")).toMatchObject({ ok: true })
    expect(promtoolIn(folder, "check", "config", "prometheus.yml")).toMatchObject({ ok: true })
  })

  it("finds that every alert fires when it should, and only then", { timeout: 120_000 }, () => {
    const { ok, says } = promtoolIn(folder, "test", "rules", "alerts.test.yml")
    expect(says).toContain("SUCCESS")
    expect(ok).toBe(true)
    const tests = readFileSync(join(folder, "alerts.test.yml"), "utf8")
    const fired = new Set([...tests.matchAll(/alertname: (\S+)\n\s+exp_alerts/g)].map(([, name]) => name))
    // The ratio of a few minutes is the fast burn's smaller sister, and has its silence tested.
    expect(alerts.filter((name) => !fired.has(name))).toEqual(["BreakwaterErrorRatio"])
  })
})
