/**
 * A gateway in front of an upstream with every fault at once, for a while: it answers or says why not, and its memory and
 * its sockets stay what they were. `BREAKWATER_SOAK_SECONDS` makes it longer than ten seconds.
 */
import { Upstream } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { load, startGateway, tally } from "../../support/gateway.ts"
import { configOf, eventually, promised } from "./support.ts"

const seconds = Number(process.env["BREAKWATER_SOAK_SECONDS"] ?? 10)

/** The faults that a provider has shown in the wild, on both wires. */
const faults = [
  "rate-limit-no-hint",
  "rate-limit-body-hint",
  "quota-exhausted",
  "error-500",
  "overloaded-529",
  "reset-before-headers",
  "silence",
  "slow-first-token?5000",
  "cut-stream",
  "end-without-done-mid",
  "stalled-stream",
  "malformed-events",
  "missing-done-open",
  "context-overflow",
  "error-in-stream",
  "invalid-json-200"
] as const

const residentMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1_024
const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

describe.skipIf(!existsSync("/proc/self/fd"))("sixteen faults at once", () => {
  it.live(
    "leave memory and sockets flat",
    () =>
      Effect.gen(function* () {
        const upstream = yield* Upstream.make()
        const config = configOf(upstream.url, upstream.url, {
          defaults: {
            retries: 1,
            backoff: { base: "10ms", cap: "50ms" },
            timeouts: { firstToken: "200ms", idle: "200ms", attempt: "1s", total: "3s" },
            breaker: false,
            quota: { adaptive: false },
            hedge: { minSamples: 5, minDelay: "20ms" },
            bulkhead: { limit: 20 }
          },
          cache: { maxBytes: 1_000_000 },
          limits: { keepAlive: "1s" }
        })
        const gateway = yield* startGateway(config)
        const questions = faults.flatMap((fault, i) => [
          { model: `first/${fault}`, more: { fallbacks: ["second/good"] }, stream: i % 2 === 0 },
          { model: `claude/${fault}`, stream: i % 2 === 1 },
          { model: `second/good`, more: { seed: i }, stream: i % 2 === 0 }
        ])
        const running = load([gateway.url], questions, 12)
        yield* Effect.sleep((seconds * 1_000) / 2)
        const [memory, files] = [residentMb(gateway.pid), openFiles(gateway.pid)]
        yield* Effect.sleep((seconds * 1_000) / 2)
        const [memoryAfter, filesAfter] = [residentMb(gateway.pid), openFiles(gateway.pid)]
        yield* promised(() => running.stop())
        assert.deepStrictEqual([...new Set(running.came.flatMap(({ wrong }) => wrong ?? []))], [])
        assert.isBelow(Math.max(...running.came.map(({ tookMs }) => tookMs)), 8_000)
        const said = tally(running.came)
        assert.isAbove(said["ok"] ?? 0, running.came.length / 3)
        assert.isAbove(Object.keys(said).length, 3, JSON.stringify(said))
        assert.isBelow(memoryAfter, memory * 1.3 + 20, `${memory} MB, then ${memoryAfter} MB`)
        assert.isBelow(filesAfter, files + 30, `${files} files, then ${filesAfter}`)
        // Of clients that are gone nothing is left, and of providers what the pool keeps.
        const state = promised(async () => {
          const { server } = (await (await fetch(`${gateway.url}/admin/snapshot`)).json()) as {
            readonly server: { readonly inFlight: number; readonly connections: number }
          }
          return server.inFlight === 1 && server.connections <= 14
        })
        assert.isTrue(yield* Effect.repeat(eventually(state), { until: (quiet) => quiet, times: 5 }))
        assert.isAtMost((yield* upstream.stats).inFlight, 0)
      }).pipe(Effect.scoped),
    seconds * 1_000 + 60_000
  )
})
