/**
 * The gateway beside a bare proxy of `node:http` in front of the same server, each in a process of its own: whole answers
 * and streams of fifty pieces, 20 and 100 at once, and one at a time for the latency it adds; then its memory.
 *
 * What the bare proxy does is what every proxy has to do, so it is the measure. Rates move with the machine and with whoever
 * else is on it; the processor time of a request is that of the process alone.
 *
 * `PORTKEY_GATEWAY` may name the start file of an installed `@portkey-ai/gateway`, which is then measured with them: whole
 * answers only, since its streams fail on this Node.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { setTimeout as sleep } from "node:timers/promises"
import { type Benchmark, median, type Row, type Settings, type Survey } from "./harness.ts"
import { load, type Place } from "./support/load.ts"
import { freePort, ours, type Running, started } from "./support/processes.ts"

interface Subject extends Place, Running {
  readonly subject: string
  readonly peer: boolean
  readonly streams: boolean
}

const isShort = ({ rounds }: Settings): boolean => rounds < 10

const row = (work: string, { peer, subject }: Subject, medianNs: number, figures: Row["figures"] = {}): Row => ({
  work,
  subject,
  medianNs: Math.round(medianNs),
  overBareNs: 0,
  opsPerSecond: medianNs === 0 ? 0 : Math.round(1e9 / medianNs),
  peer,
  figures
})

const overFirst = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  rows.map((each) => ({ ...each, overBareNs: each.medianNs - rows[0]!.medianNs }))

const tenths = (value: number): number => Math.round(value * 10) / 10

/** Rate and processor time with so many at once. */
const throughput = (subjects: ReadonlyArray<Subject>, stream: boolean, concurrency: number): Survey => {
  const work = `gateway: ${stream ? "streams of 50 pieces" : "whole answers"}, ${concurrency} at once`
  return {
    work,
    unit: "request",
    survey: async (settings) => {
      const short = isShort(settings)
      const requests = short ? concurrency : stream ? 400 : 2_000
      const rounds = short ? 2 : 15
      const takes = subjects.map(() => ({ ns: [] as Array<number>, cpuUs: [] as Array<number> }))
      for (const subject of subjects) await load(subject, stream, concurrency, requests)
      for (let index = 0; index < rounds * subjects.length; index++) {
        const at = (index + Math.floor(index / subjects.length)) % subjects.length
        const subject = subjects[at]!
        const before = await subject.usage()
        const start = process.hrtime.bigint()
        await load(subject, stream, concurrency, requests)
        takes[at]!.ns.push(Number(process.hrtime.bigint() - start) / requests)
        takes[at]!.cpuUs.push(((await subject.usage()).cpuUs - before.cpuUs) / requests)
      }
      const bare = { ns: median(takes[0]!.ns), cpuUs: median(takes[0]!.cpuUs) }
      return overFirst(
        subjects.map((subject, at) => {
          const cpuUs = median(takes[at]!.cpuUs)
          const ns = median(takes[at]!.ns)
          return row(work, subject, ns, {
            "of the rate": Math.round((bare.ns / ns) * 100) / 100,
            "CPU µs": tenths(cpuUs),
            "CPU, times the proxy's": Math.round((cpuUs / bare.cpuUs) * 100) / 100
          })
        })
      )
    }
  }
}

const percentile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!

/** What the way through adds when nothing else is to do. The median over rounds of each round's percentiles. */
const latency = (subjects: ReadonlyArray<Subject>): Survey => {
  const work = "gateway: whole answers, one at a time"
  return {
    work,
    unit: "request",
    survey: async (settings) => {
      const [rounds, requests] = isShort(settings) ? [2, 20] : [25, 400]
      const takes = subjects.map(() => ({ p50: [] as Array<number>, p99: [] as Array<number> }))
      for (const subject of subjects) await load(subject, false, 1, requests)
      for (let index = 0; index < rounds * subjects.length; index++) {
        const at = (index + Math.floor(index / subjects.length)) % subjects.length
        const tookNs: Array<number> = []
        await load(subjects[at]!, false, 1, requests, (ns) => tookNs.push(ns))
        takes[at]!.p50.push(percentile(tookNs, 0.5))
        takes[at]!.p99.push(percentile(tookNs, 0.99))
      }
      const bareP99 = median(takes[0]!.p99)
      return overFirst(
        subjects.map((subject, at) => {
          const p99 = median(takes[at]!.p99)
          return row(work, subject, median(takes[at]!.p50), {
            "p99 µs": tenths(p99 / 1e3),
            "p99 added µs": tenths((p99 - bareP99) / 1e3)
          })
        })
      )
    }
  }
}

/** Long enough for the connections to the upstream, which closes idle ones after five seconds. */
const settleMs = 7_000

const megabytes = (bytes: number): number => tenths(bytes / 1024 / 1024)

/** Memory before the first request and after many, and what is open when all clients have gone. */
const memory = (fresh: Effect.Effect<ReadonlyArray<Subject>, Error, Scope.Scope>): Survey => {
  const work = "gateway: memory"
  return {
    work,
    unit: "request",
    survey: (settings) =>
      Effect.gen(function* () {
        const [whole, streamed] = isShort(settings) ? [200, 20] : [90_000, 10_000]
        const rows: Array<Row> = []
        for (const subject of yield* fresh) {
          rows.push(
            yield* Effect.promise(() => memoryOf(work, subject, whole, subject.streams ? streamed : 0, settings))
          )
        }
        return rows
      }).pipe(Effect.scoped, Effect.runPromise)
  }
}

const memoryOf = async (
  work: string,
  subject: Subject,
  whole: number,
  streamed: number,
  settings: Settings
): Promise<Row> => {
  const idle = await subject.usage("memory")
  // What the first requests make for good, code and shapes and pools, is no leak.
  await load(subject, false, 20, Math.min(whole, 10_000))
  const warm = await subject.usage("memory")
  await load(subject, false, 20, Math.max(0, whole - 10_000))
  await load(subject, true, 20, streamed)
  if (!isShort(settings)) await sleep(settleMs)
  const after = await subject.usage("memory")
  return row(work, subject, 0, {
    requests: whole + streamed,
    "idle RSS MB": megabytes(idle.rssBytes),
    "idle heap MB": megabytes(idle.heapBytes),
    "heap MB after the first tenth": megabytes(warm.heapBytes),
    "RSS MB": megabytes(after.rssBytes),
    "heap MB": megabytes(after.heapBytes),
    "sockets left": after.sockets - idle.sockets
  })
}

const portkey = (upstream: string): Effect.Effect<ReadonlyArray<Subject>, Error, Scope.Scope> => {
  const file = process.env["PORTKEY_GATEWAY"]
  if (file === undefined) return Effect.succeed([])
  return Effect.gen(function* () {
    const free = yield* freePort
    const running = yield* started([file, `--port=${free}`], free)
    const headers = {
      authorization: "Bearer x",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `${upstream}/v1`
    }
    return [{ ...running, subject: "@portkey-ai/gateway", peer: true, streams: false, model: "m", headers }]
  })
}

const benchmark: Benchmark<Survey> = Effect.gen(function* () {
  const upstream = `http://127.0.0.1:${(yield* ours("upstream")).port}`
  const fresh = Effect.gen(function* () {
    const proxy = yield* ours("proxy", upstream)
    const gateway = yield* ours("gateway", upstream)
    const subjects: ReadonlyArray<Subject> = [
      { ...proxy, subject: "bare proxy", peer: true, streams: true, model: "m", headers: {} },
      { ...gateway, subject: "gateway", peer: false, streams: true, model: "p/m", headers: {} },
      ...(yield* portkey(upstream))
    ]
    return subjects
  })
  const all = yield* fresh
  const streaming = all.filter(({ streams }) => streams)
  return [
    throughput(all, false, 20),
    throughput(all, false, 100),
    throughput(streaming, true, 20),
    throughput(streaming, true, 100),
    latency(all),
    memory(fresh)
  ]
})

export default benchmark
