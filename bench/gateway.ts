/**
 * The gateway beside a bare proxy of `node:http` in front of the same server, each in a process of its own: whole answers
 * and streams of fifty pieces, one at a time and twenty at once.
 *
 * `PORTKEY_GATEWAY` may name the start file of an installed `@portkey-ai/gateway`, which is then measured with them: whole
 * answers only, since its streams fail on this Node.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Http from "node:http"
import * as Net from "node:net"
import { join } from "node:path"
import type { Benchmark, Subject, Work } from "./harness.ts"

const started = (command: ReadonlyArray<string>, port?: number): Effect.Effect<number, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        new Promise<{ child: ChildProcess; port: number }>((resolve, reject) => {
          const child = spawn(process.execPath, command, { stdio: ["pipe", "pipe", "inherit"] })
          child.once("exit", (code) => reject(new Error(`${command.join(" ")} ended with ${code}`)))
          child.stdout.once("data", (text: Buffer) => resolve({ child, port: port ?? Number(text.toString()) }))
        }),
      catch: (error) => error as Error
    }),
    ({ child }) => Effect.sync(() => child.kill())
  ).pipe(Effect.map((running) => running.port))

const child = (...args: ReadonlyArray<string>) =>
  started(["--conditions=breakwater-source", join(import.meta.dirname, "support/gateway-child.ts"), ...args])

const freePort = Effect.callback<number>((resume) => {
  const server = Net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const messages = [
  { role: "system", content: "You are brief." },
  { role: "user", content: "Tell me of the harbour. ".repeat(20) }
]

interface Place {
  readonly port: number
  readonly headers: Readonly<Record<string, string>>
  readonly model: string
}

const ask = (agent: Http.Agent, { headers, model, port }: Place, stream: boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify({ model, messages, ...(stream ? { stream: true } : {}) })
    const request = Http.request(
      {
        agent,
        port,
        host: "127.0.0.1",
        method: "POST",
        path: "/v1/chat/completions",
        headers: { ...headers, "content-type": "application/json", "content-length": Buffer.byteLength(body) }
      },
      (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`))
        let tail = ""
        answer.on("data", (data: Buffer) => (tail = data.toString("latin1", Math.max(0, data.length - 20))))
        answer.on("end", () =>
          !stream || tail.includes("[DONE]") ? resolve() : reject(new Error("the stream was cut"))
        )
      }
    )
    request.on("error", reject)
    request.end(body)
  })

/** Requests of one run: enough that most of them have the others beside them. */
const perRun = (concurrency: number): number => concurrency * 5

const load =
  (place: Place, stream: boolean, concurrency: number): Subject["run"] =>
  async (times) => {
    const agent = agentOf(place.port)
    let left = times * perRun(concurrency)
    const worker = async (): Promise<void> => {
      while (left-- > 0) await ask(agent, place, stream)
    }
    const start = process.hrtime.bigint()
    await Promise.all(Array.from({ length: concurrency }, worker))
    return Number(process.hrtime.bigint() - start)
  }

const agents = new Map<number, Http.Agent>()
const agentOf = (port: number): Http.Agent => {
  const agent = agents.get(port) ?? new Http.Agent({ keepAlive: true, maxSockets: 64 })
  agents.set(port, agent)
  return agent
}

const portkey = (upstream: string): Effect.Effect<Place | undefined, Error, Scope.Scope> => {
  const file = process.env["PORTKEY_GATEWAY"]
  if (file === undefined) return Effect.succeed(undefined)
  return Effect.gen(function* () {
    const free = yield* freePort
    const port = yield* started([file, `--port=${free}`], free)
    return {
      port,
      model: "m",
      headers: { authorization: "Bearer x", "x-portkey-provider": "openai", "x-portkey-custom-host": `${upstream}/v1` }
    }
  })
}

const benchmark: Benchmark = Effect.gen(function* () {
  const upstream = `http://127.0.0.1:${yield* child("upstream")}`
  const bare: Place = { port: yield* child("proxy", upstream), model: "m", headers: {} }
  const gateway: Place = { port: yield* child("gateway", upstream), model: "p/m", headers: {} }
  const other = yield* portkey(upstream)
  yield* Effect.addFinalizer(() => Effect.sync(() => agents.forEach((agent) => agent.destroy())))
  const works: Array<Work> = []
  for (const [what, stream] of [
    ["whole answers", false],
    ["streams of 50 pieces", true]
  ] as const) {
    for (const concurrency of [1, 20]) {
      const subject = (name: string, place: Place, peer: boolean): Subject => ({
        subject: name,
        peer,
        run: load(place, stream, concurrency),
        ...(name === "bare proxy" ? {} : { bare: "bare proxy" })
      })
      works.push({
        work: `gateway: ${what}, ${concurrency === 1 ? "one at a time" : `${concurrency} at once`}`,
        unit: "request",
        unitsPerRun: perRun(concurrency),
        subjects: [
          subject("bare proxy", bare, true),
          subject("gateway", gateway, false),
          ...(other === undefined || stream ? [] : [subject("@portkey-ai/gateway", other, true)])
        ]
      })
    }
  }
  return works
})

export default benchmark
