/** Gateways as processes of their own, and clients that are never satisfied with less than an answer or a typed error. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { workspaceRoot } from "../../scripts/files.ts"

export interface GatewayProcess {
  readonly url: string
  /** Ends it as `kill -9` would. */
  readonly kill: Effect.Effect<void>
  /** Resident memory in bytes. */
  readonly pid: number
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

const listening = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = ""
    const hear = (data: Buffer) => {
      said += data.toString()
      const url = /listening on (\S+)/.exec(said)?.[1]
      if (url !== undefined) resolve(url)
    }
    child.stdout!.on("data", hear)
    child.stderr!.on("data", hear)
    child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}: ${said}`)))
  })

/** `breakwater serve` with a configuration, on a free port; it goes with the scope. */
export const startGateway = (config: object): Effect.Effect<GatewayProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = mkdtempSync(join(tmpdir(), "breakwater-gateway-"))
    const file = join(folder, "gateway.json")
    writeFileSync(file, JSON.stringify(config))
    const main = join(workspaceRoot, "packages/cli/src/main.ts")
    const args = ["--conditions=breakwater-source", main, "serve", "--config", file, "--port", "0"]
    const child = spawn(process.execPath, args, { cwd: workspaceRoot, stdio: ["ignore", "pipe", "pipe"] })
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        await ended(child)
        rmSync(folder, { recursive: true, force: true })
      })
    )
    const url = yield* Effect.promise(() => listening(child))
    return { url, pid: child.pid!, kill: Effect.promise(() => ended(child)) }
  })

/** What came of a request. */
export interface Came {
  readonly status: number
  /** OpenAI's code, or the type where there is none; `ok` for an answer. */
  readonly said: string
  readonly cost: number
  readonly tookMs: number
  /** Connections that broke before there was an answer. */
  readonly broke: number
  /** What the client saw that is neither an answer nor an error of the wire. */
  readonly wrong?: string
}

const judge = (status: number, text: string, stream: boolean): Pick<Came, "said" | "wrong"> => {
  const cut = text.slice(0, 300)
  try {
    if (status === 200 && stream) {
      if (!text.endsWith("data: [DONE]\n\n"))
        return { said: "cut", wrong: `a stream without an end: ${text.slice(-200)}` }
      const error = /^data: (\{"error".*)$/m.exec(text)?.[1]
      if (error === undefined) return { said: "ok" }
      return { said: String((JSON.parse(error) as { error: { code?: string; type: string } }).error.type) }
    }
    const body = JSON.parse(text) as {
      readonly choices?: ReadonlyArray<{ readonly message: { readonly content: string } }>
      readonly error?: { readonly message: unknown; readonly type: unknown; readonly code?: string | null }
    }
    if (status === 200) {
      return typeof body.choices?.[0]?.message.content === "string" ? { said: "ok" } : { said: "odd", wrong: cut }
    }
    const { error } = body
    if (typeof error?.message !== "string" || typeof error.type !== "string") return { said: "odd", wrong: cut }
    return { said: error.code ?? error.type }
  } catch {
    return { said: "odd", wrong: `${status} ${cut}` }
  }
}

export interface Question {
  readonly model: string
  readonly stream?: boolean
  readonly headers?: Readonly<Record<string, string>>
  readonly more?: object
}

/** Asks the first gateway, and where a connection breaks the next one, as clients behind a load balancer do. */
export const askAny = async (urls: ReadonlyArray<string>, question: Question): Promise<Came> => {
  const { headers, model, more, stream = false } = question
  const started = performance.now()
  let broke = 0
  for (;;) {
    const url = urls[broke % urls.length]!
    try {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        signal: AbortSignal.timeout(20_000),
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({
          model,
          stream,
          messages: [{ role: "user", content: "Tell me of the harbour." }],
          ...more
        })
      })
      const text = await response.text()
      const cost = Number(response.headers.get("x-breakwater-cost") ?? 0)
      const tookMs = performance.now() - started
      return { status: response.status, cost, tookMs, broke, ...judge(response.status, text, stream) }
    } catch (error) {
      const tookMs = performance.now() - started
      if (error instanceof Error && error.name === "TimeoutError") {
        return { status: 0, said: "hung", cost: 0, tookMs, broke, wrong: "no answer in 20 seconds" }
      }
      if (++broke > 3) return { status: 0, said: "broken", cost: 0, tookMs, broke, wrong: String(error) }
    }
  }
}

/** Asks again and again, `concurrency` at a time, until it is told to stop. */
export const load = (
  urls: ReadonlyArray<string>,
  questions: ReadonlyArray<Question>,
  concurrency: number
): { readonly came: Array<Came>; readonly stop: () => Promise<void> } => {
  const came: Array<Came> = []
  let going = true
  let count = 0
  const client = async () => {
    while (going) {
      const i = count++
      const order = urls.map((_, j) => urls[(i + j) % urls.length]!)
      came.push(await askAny(order, questions[i % questions.length]!))
    }
  }
  const clients = Array.from({ length: concurrency }, client)
  return {
    came,
    stop: async () => {
      going = false
      await Promise.all(clients)
    }
  }
}

/** How often each thing was said. */
export const tally = (came: ReadonlyArray<Came>): Readonly<Record<string, number>> => {
  const out: Record<string, number> = {}
  for (const { said } of came) out[said] = (out[said] ?? 0) + 1
  return out
}
