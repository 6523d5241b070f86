/**
 * Prometheus for tests: the `prometheus` and `promtool` on the PATH, or Debian's, unpacked into `node_modules/.cache`
 * without being installed. `BREAKWATER_TEST_PROMETHEUS=none` does without.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePort } from "./redis.ts"

interface Tools {
  readonly prometheus: string
  readonly promtool: string
}

const cache = fileURLToPath(new URL("../../node_modules/.cache/breakwater-prometheus", import.meta.url))

const works = ({ prometheus, promtool }: Tools): boolean =>
  [prometheus, promtool].every((command) => spawnSync(command, ["--version"], { timeout: 10_000 }).status === 0)

const unpacked = (root: string): Tools => ({
  prometheus: join(root, "usr/bin/prometheus"),
  promtool: join(root, "usr/bin/promtool")
})

const run = (command: string, args: ReadonlyArray<string>, cwd: string): boolean =>
  spawnSync(command, args, { cwd, timeout: 120_000, env: { ...process.env, LC_ALL: "C" } }).status === 0

const fetchPackage = (): Tools | undefined => {
  const ready = unpacked(cache)
  if (existsSync(ready.prometheus)) return works(ready) ? ready : undefined
  if (process.platform !== "linux" || !run("apt-get", ["--version"], tmpdir())) return undefined
  mkdirSync(join(cache, ".."), { recursive: true })
  const folder = mkdtempSync(`${cache}-`)
  try {
    const download = () => run("apt-get", ["download", "prometheus"], folder)
    if (!download() && !(run("apt-get", ["update"], folder) && download())) return undefined
    const root = join(folder, "root")
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".deb"))) {
      if (!run("dpkg", ["-x", name, root], folder)) return undefined
    }
    if (!works(unpacked(root))) return undefined
    // Whoever is first wins; the others have unpacked the same.
    if (!existsSync(cache)) renameSync(root, cache)
    return unpacked(cache)
  } catch {
    return existsSync(ready.prometheus) ? ready : undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const findTools = (): Tools | undefined => {
  const installed: Tools = { prometheus: "prometheus", promtool: "promtool" }
  return works(installed) ? installed : fetchPackage()
}

const tools = process.env["BREAKWATER_TEST_PROMETHEUS"] === "none" ? undefined : findTools()

/** For the names of tests that are skipped. */
export const noPrometheus = tools === undefined

/** What `promtool check metrics` says of a text: nothing, if there is nothing to say. */
export const promtool = (text: string): { readonly ok: boolean; readonly says: string } => {
  const { status, stderr, stdout } = spawnSync(tools!.promtool, ["check", "metrics"], {
    input: text,
    encoding: "utf8",
    timeout: 30_000
  })
  return { ok: status === 0, says: `${stdout}${stderr}`.trim() }
}

/** What `promtool` says of files in a folder: `check rules`, `check config`, `test rules`. */
export const promtoolIn = (
  folder: string,
  ...args: ReadonlyArray<string>
): { readonly ok: boolean; readonly says: string } => {
  const { status, stderr, stdout } = spawnSync(tools!.promtool, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: 60_000
  })
  return { ok: status === 0, says: `${stdout}${stderr}`.trim() }
}

/** One series of an answer. */
interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

/** A server for one test. */
export interface TestPrometheus {
  /** An instant query of PromQL. */
  readonly query: (promql: string) => Promise<ReadonlyArray<Sample>>
  /** Health, error of the last scrape, and what the target's metrics are said to be. */
  readonly targets: () => Promise<ReadonlyArray<{ readonly health: string; readonly lastError: string }>>
  readonly metadata: (metric: string) => Promise<{ readonly type: string; readonly help: string } | undefined>
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const dataOf = async (url: string): Promise<unknown> => {
  const response = await fetch(url)
  const body = (await response.json()) as { readonly status: string; readonly data?: unknown; readonly error?: string }
  if (body.status !== "success") throw new Error(body.error)
  return body.data
}

/** A server that scrapes a target every 200 ms, until the scope ends. */
export const makePrometheus = (target: string): Effect.Effect<TestPrometheus, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = mkdtempSync(join(tmpdir(), "breakwater-prometheus-"))
    const port = yield* Effect.promise(freePort)
    writeFileSync(
      join(folder, "prometheus.yml"),
      `global: { scrape_interval: 200ms, scrape_timeout: 200ms }\n` +
        `scrape_configs: [{ job_name: test, static_configs: [{ targets: ["${target}"] }] }]\n`
    )
    const child = spawn(
      tools!.prometheus,
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`
      ],
      { cwd: folder, stdio: "ignore" }
    )
    yield* Effect.addFinalizer(() =>
      Effect.promise(
        () =>
          new Promise<void>((resolve) => {
            const gone = () => {
              rmSync(folder, { recursive: true, force: true })
              resolve()
            }
            if (child.exitCode !== null || child.signalCode !== null) return gone()
            child.once("exit", gone)
            child.kill("SIGKILL")
          })
      )
    )
    const url = `http://127.0.0.1:${port}`
    yield* Effect.promise(async () => {
      for (let tries = 0; tries < 400; tries++) {
        const ready = await fetch(`${url}/-/ready`).then(
          (response) => response.ok,
          () => false
        )
        if (ready) return
        await pause(50)
      }
      throw new Error("Prometheus did not start")
    })
    return {
      query: async (promql) => {
        const data = (await dataOf(`${url}/api/v1/query?query=${encodeURIComponent(promql)}`)) as {
          readonly result: ReadonlyArray<{
            readonly metric: Sample["metric"]
            readonly value: readonly [number, string]
          }>
        }
        return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
      },
      targets: async () => {
        const data = (await dataOf(`${url}/api/v1/targets`)) as {
          readonly activeTargets: ReadonlyArray<{ readonly health: string; readonly lastError: string }>
        }
        return data.activeTargets
      },
      metadata: async (metric) => {
        const data = (await dataOf(`${url}/api/v1/metadata?metric=${metric}`)) as Readonly<
          Record<string, ReadonlyArray<{ readonly type: string; readonly help: string }>>
        >
        return data[metric]?.[0]
      }
    }
  })
