/** Runs the command as a process of its own, with nothing of this machine's settings. */
import { Upstream } from "@breakwater/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { workspaceRoot } from "../../../scripts/files.ts"

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly tookMs: number
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  /** Called with the process as soon as it runs, and whenever it has written something to stdout. */
  readonly onOutput?: (child: ChildProcess, stdout: string) => void
}

const cleanEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        !/^(?:LLM_|NODE_OPTIONS$|FORCE_COLOR$|NO_COLOR$|HF_TOKEN$)|_API_KEY$|_BASE_URL$/.test(entry[0])
    )
  )

/** The program itself, from its sources. */
export const breakwater = (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<Ran> =>
  launch(
    process.execPath,
    ["--conditions=breakwater-source", join(workspaceRoot, "packages/cli/src/main.ts"), ...args],
    options
  )

/** Any program, with the same environment. */
export const launch = (command: string, args: ReadonlyArray<string>, options: RunOptions = {}): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(command, args, {
      cwd: workspaceRoot,
      env: { ...cleanEnvironment(), ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: 60_000
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      options.onOutput?.(child, stdout)
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    child.on("error", reject)
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr, tookMs: performance.now() - started }))
    child.stdin.on("error", () => {})
    child.stdin.end(options.stdin ?? "")
  })

/** A misbehaving upstream for the tests of a file. */
export const startUpstream = async () => {
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(Upstream.layer(), scope))
  const server = Context.get(context, Upstream.UpstreamServer)
  return {
    url: server.url,
    v1: `${server.url}/v1`,
    reset: () => Effect.runPromise(server.reset),
    stats: () => Effect.runPromise(server.stats),
    requests: () => Effect.runPromise(server.requests),
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** The good answer to a question, as the upstream would give it. */
export const goodAnswer = (asked: string): string =>
  `You asked: “${asked}”. A naïve client takes the first answer it gets; a careful one expects the wire to fail and ` +
  "plans for it. It sets a deadline, retries what is worth retrying, asks another model when this one stays silent, and " +
  "never charges twice for the same words — that is the whole trick."

/** Waits until something holds, looking again and again for at most five seconds. */
export const eventually = async (holds: () => Promise<boolean>): Promise<void> => {
  for (let i = 0; i < 250; i++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error("it did not come to hold")
}
