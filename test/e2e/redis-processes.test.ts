/**
 * Two processes on one Redis: together they are never admitted more than the limit.
 */
import type { LimiterStore } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { noRedis, redisKind, startRedis } from "../support/redis.ts"

const script = fileURLToPath(new URL("../support/redis-hammer.ts", import.meta.url))

interface Hammered {
  readonly asked: number
  readonly granted: ReadonlyArray<number>
}

/** A child that is ready to begin, and what it will have got. */
const startChild = (url: string, rules: ReadonlyArray<LimiterStore.Rule>, ms: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const args = ["--conditions=breakwater-source", script, url, JSON.stringify(rules), `${ms}`]
      const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
      let output = ""
      let ready = () => {}
      const isReady = new Promise<void>((resolve) => {
        ready = resolve
      })
      child.stdout.on("data", (data) => {
        output += String(data)
        if (output.startsWith("ready\n")) ready()
      })
      const result = new Promise<Hammered>((resolve, reject) => {
        child.once("exit", (code) => {
          ready()
          if (code === 0) resolve(JSON.parse(output.split("\n")[1]!))
          else reject(new Error(`the child ended with ${code}: ${output}`))
        })
      })
      result.catch(() => {})
      await isReady
      return { child, result, begin: () => child.stdin.write("go\n") }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const hammer = (rules: ReadonlyArray<LimiterStore.Rule>, ms: number) =>
  Effect.gen(function* () {
    const redis = yield* startRedis
    const children = yield* Effect.all([startChild(redis.url, rules, ms), startChild(redis.url, rules, ms)], {
      concurrency: 2
    })
    for (const child of children) child.begin()
    const results = yield* Effect.promise(() => Promise.all(children.map((child) => child.result)))
    return { results, granted: results.flatMap((result) => result.granted).sort((a, b) => a - b) }
  })

const [limit, windowMs] = [50, 300]

/** The most grants in any stretch of time that is open at one end. */
const mostWithin = (granted: ReadonlyArray<number>, stretchMs: number): number => {
  let most = 0
  for (let from = 0, to = 0; to < granted.length; to++) {
    while (granted[to]! - granted[from]! >= stretchMs - 0.002) from++
    most = Math.max(most, to - from + 1)
  }
  return most
}

/** Grants above the line of a bucket, at the worst stretch of time. */
const aboveBucket = (granted: ReadonlyArray<number>): number => {
  let worst = -Infinity
  for (let from = 0; from < granted.length; from++) {
    for (let to = from; to < granted.length; to++) {
      worst = Math.max(worst, to - from + 1 - limit - (granted[to]! - granted[from]!) * (limit / windowMs))
    }
  }
  return worst
}

/** The most grants in a window that opens with its first grant. */
const mostInFixed = (granted: ReadonlyArray<number>): number => {
  let [opened, count, most] = [-Infinity, 0, 0]
  for (const at of granted) {
    if (at >= opened + windowMs - 0.002) [opened, count] = [at, 0]
    most = Math.max(most, ++count)
  }
  return most
}

const overLimit: Record<LimiterStore.AlgorithmName, (granted: ReadonlyArray<number>) => number> = {
  "token-bucket": aboveBucket,
  gcra: aboveBucket,
  "sliding-log": (granted) => mostWithin(granted, windowMs) - limit,
  "sliding-counter": (granted) => mostWithin(granted, windowMs) - limit,
  "fixed-window": (granted) => mostInFixed(granted) - limit
}

describe.skipIf(noRedis)(`two processes on one Redis (${redisKind})`, () => {
  for (const algorithm of Object.keys(overLimit) as ReadonlyArray<LimiterStore.AlgorithmName>) {
    it.live(
      `${algorithm}: a second of hammering stays within the limit`,
      () =>
        Effect.gen(function* () {
          const { granted, results } = yield* hammer([{ algorithm, limit, windowMs, burst: limit }], 1_000)
          expect(overLimit[algorithm](granted)).toBeLessThanOrEqual(0.01)
          // The limit was reached more than once, by both, and there were refusals.
          expect(granted.length).toBeGreaterThan(2 * limit)
          for (const result of results) {
            expect(result.granted.length).toBeGreaterThan(0)
            expect(result.asked).toBeGreaterThan(result.granted.length + 20)
          }
        }),
      20_000
    )
  }

  it.live(
    "several windows at once: the longest holds as well",
    () =>
      Effect.gen(function* () {
        const rules = [
          { algorithm: "sliding-log", limit: 20, windowMs: 100, burst: 20 },
          { algorithm: "fixed-window", limit: 60, windowMs: 60_000, burst: 60 }
        ] as const
        const { granted } = yield* hammer(rules, 1_000)
        expect(granted.length).toBe(60)
        expect(mostWithin(granted, 100)).toBeLessThanOrEqual(20)
      }),
    20_000
  )
})
