/** Processes that are measured. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Net from "node:net"
import { join } from "node:path"
import type { Usage } from "./report.ts"

/** A process under measurement. */
export interface Running {
  readonly port: number
  /** What it has used so far; with `memory` after a collection. */
  readonly usage: (what?: "usage" | "memory") => Promise<Usage>
}

const report = join(import.meta.dirname, "report.ts")

/** Starts a program of Node's, which says its port as the first thing, or is told it. Ends it with the scope. */
export const started = (command: ReadonlyArray<string>, port?: number): Effect.Effect<Running, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        new Promise<{ child: ChildProcess; port: number }>((resolve, reject) => {
          const args = ["--expose-gc", "--import", report, ...command]
          const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit", "ipc"] })
          child.once("exit", (code) => reject(new Error(`${command.join(" ")} ended with ${code}`)))
          child.stdout!.once("data", (text: Buffer) => resolve({ child, port: port ?? Number(text.toString()) }))
        }),
      catch: (error) => error as Error
    }),
    ({ child }) => Effect.sync(() => child.kill())
  ).pipe(
    Effect.map(({ child, port }) => ({
      port,
      usage: (what = "usage") =>
        new Promise((resolve) => {
          child.once("message", (usage) => resolve(usage as Usage))
          child.send(what)
        })
    }))
  )

/** A part of this benchmark as a process: `upstream`, `proxy`, `gateway`. */
export const ours = (...args: ReadonlyArray<string>) =>
  started(["--conditions=breakwater-source", join(import.meta.dirname, "gateway-child.ts"), ...args])

export const freePort = Effect.callback<number>((resume) => {
  const server = Net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})
