/** A real Prometheus reads a gateway, and the dashboard's questions have answers. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { workspaceRoot } from "../../scripts/files.ts"
import { chat, onStage, post } from "../e2e/gateway/support.ts"
import { makePrometheus, noPrometheus } from "../support/prometheus.ts"

interface Panel {
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}

const { panels } = JSON.parse(readFileSync(join(workspaceRoot, "deploy", "grafana", "breakwater.json"), "utf8")) as {
  readonly panels: ReadonlyArray<Panel>
}

const filled = (expression: string): string =>
  expression
    .replaceAll("$__rate_interval", "1m")
    .replace(/\$\{\w+:regex\}/g, ".*")
    .replace(/\$(?:instance|provider|model)\b/g, ".*")

/** Panels that must show something after calls that failed over, retried, cost money and opened a circuit. */
const alive = [
  "Calls a second",
  "Success",
  "p95 of calls",
  "Open circuits",
  "Dollars an hour",
  "Calls by how they ended",
  "Time of calls",
  "Calls under way",
  "Attempts by target",
  "Failed attempts, as a share",
  "p95 of provider calls",
  "Errors of attempts",
  "State of circuits",
  "Changes of circuits",
  "Retries",
  "Failovers",
  "Tokens",
  "Tokens by model",
  "Dollars an hour by target",
  "Lookups"
]

it.live.skipIf(noPrometheus)(
  "every question is understood, and those about what happened are answered",
  () =>
    onStage(
      ({ gateway, url }) =>
        Effect.gen(function* () {
          const prometheus = yield* Effect.orDie(makePrometheus(`127.0.0.1:${gateway.port}`))
          const calls = Effect.gen(function* () {
            yield* post(`${url}/v1/chat/completions`, chat("main", { temperature: 0 }))
            yield* post(`${url}/v1/chat/completions`, chat("first/good"))
          })
          // It takes some seconds until it looks for its targets.
          const targets = Effect.promise(() => prometheus.targets())
          for (let i = 0; i < 150 && (yield* targets)[0]?.health !== "up"; i++) yield* Effect.sleep("200 millis")
          expect(yield* targets).toMatchObject([{ health: "up", lastError: "" }])
          // Series must grow between two scrapes for there to be a rate.
          for (let i = 0; i < 12; i++) {
            yield* calls
            yield* Effect.sleep("150 millis")
          }
          const empty: Array<string> = []
          for (const { targets = [], title } of panels) {
            let series = 0
            for (const { expr } of targets) {
              const found = yield* Effect.promise(() => prometheus.query(filled(expr)))
              series += found.filter(({ value }) => !Number.isNaN(value)).length
            }
            if (series === 0) empty.push(title)
          }
          expect(alive.filter((title) => empty.includes(title))).toEqual([])
          expect(panels.map(({ title }) => title)).toEqual(expect.arrayContaining(alive))
        }).pipe(Effect.scoped),
      {
        routes: { main: { targets: ["first/error-500", "second/good"], retries: 1, breaker: { minimumCalls: 4 } } },
        cache: { ttl: "1m" },
        prices: { overrides: { "first/good": { input: "2", output: "8" }, "second/good": { input: "2", output: "8" } } }
      }
    ),
  60_000
)
