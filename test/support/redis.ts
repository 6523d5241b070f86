/**
 * A Redis for tests, on a free port of this machine, that keeps nothing.
 *
 * It is the `redis-server` on the PATH; or Debian's, unpacked into `node_modules/.cache` without being installed; or
 * js-redis-server, which speaks the protocol and runs scripts but is no judge of failures. `BREAKWATER_TEST_REDIS`
 * chooses one: `real`, `js` or `none`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export type RedisKind = "real" | "js" | "none"

interface Binary {
  readonly command: string
  readonly env: NodeJS.ProcessEnv
}

const cache = fileURLToPath(new URL("../../node_modules/.cache/breakwater-redis", import.meta.url))

const works = ({ command, env }: Binary): boolean =>
  spawnSync(command, ["--version"], { env, timeout: 10_000 }).status === 0

/** The folders under `root` that hold shared libraries. */
const libraryFolders = (root: string): ReadonlyArray<string> =>
  ["usr/lib", "lib"]
    .map((folder) => join(root, folder))
    .filter(existsSync)
    .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])

const unpacked = (root: string): Binary => ({
  command: join(root, "usr/bin/redis-server"),
  env: { ...process.env, LD_LIBRARY_PATH: libraryFolders(root).join(":") }
})

const run = (command: string, args: ReadonlyArray<string>, cwd: string) =>
  spawnSync(command, args, { cwd, timeout: 60_000, encoding: "utf8", env: { ...process.env, LC_ALL: "C" } })

/** The packages of the server, and those of its libraries that a machine may not have. */
const packageNames = (cwd: string): ReadonlyArray<string> => {
  const only = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map((kind) => `--no-${kind}`)
  const listed = run("apt-cache", ["depends", "--recurse", ...only, "redis-server"], cwd)
  const wanted = /^(?:redis-(?:server|tools)|lib(?:jemalloc|lzf|atomic|lua|hiredis|luajit)[\w.+-]*|lua-[\w.+-]+)$/
  return [
    ...new Set(
      (listed.stdout ?? "")
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => wanted.test(line))
    )
  ]
}

const fetchPackages = (): Binary | undefined => {
  const ready = unpacked(cache)
  if (existsSync(ready.command)) return works(ready) ? ready : undefined
  if (process.platform !== "linux" || run("apt-get", ["--version"], tmpdir()).status !== 0) return undefined
  mkdirSync(join(cache, ".."), { recursive: true })
  const folder = mkdtempSync(`${cache}-`)
  try {
    const download = () => {
      const names = packageNames(folder)
      return names.length > 0 && run("apt-get", ["download", ...names], folder).status === 0
    }
    if (!download() && !(run("apt-get", ["update"], folder).status === 0 && download())) return undefined
    const root = join(folder, "root")
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".deb"))) {
      if (run("dpkg", ["-x", name, root], folder).status !== 0) return undefined
    }
    if (!works(unpacked(root))) return undefined
    // Whoever is first wins; the others have unpacked the same.
    if (!existsSync(cache)) renameSync(root, cache)
    return unpacked(cache)
  } catch {
    return existsSync(ready.command) ? ready : undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const findBinary = (): Binary | undefined => {
  const installed: Binary = { command: "redis-server", env: process.env }
  return works(installed) ? installed : fetchPackages()
}

const wanted = process.env["BREAKWATER_TEST_REDIS"]
const binary = wanted === "js" || wanted === "none" ? undefined : findBinary()

/** What there is to test with. */
export const redisKind: RedisKind =
  binary !== undefined ? "real" : wanted === "real" || wanted === "none" ? "none" : "js"

/** For the names of tests that are skipped. */
export const noRedis = redisKind === "none"
export const noRealRedis = redisKind !== "real"

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("data", (data) => {
      socket.destroy()
      resolve(data.toString().startsWith("+PONG"))
    })
    socket.once("error", () => resolve(false))
    socket.write("PING\r\n")
  })

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const untilReady = async (port: number, alive: () => boolean): Promise<boolean> => {
  for (let tries = 0; tries < 200 && alive(); tries++) {
    if (await accepts(port)) return true
    await pause(25)
  }
  return false
}

const startProcess = async (found: Binary, port: number, folder: string): Promise<ChildProcess | undefined> => {
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
  const child = spawn(found.command, [...args, "--daemonize", "no"], { env: found.env, stdio: "ignore" })
  const alive = () => child.exitCode === null && child.signalCode === null
  if (await untilReady(port, alive)) return child
  child.kill("SIGKILL")
  return undefined
}

const stopProcess = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

/** A server for one test. */
export interface TestRedis {
  readonly port: number
  readonly url: string
  /** Ends it as `kill -9` would. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same port, empty. */
  readonly restart: Effect.Effect<void>
  /** Stops it in its tracks: it holds its connections and answers nothing. */
  readonly freeze: Effect.Effect<void>
  /** Lets it go on. */
  readonly thaw: Effect.Effect<void>
  /** Sends one command on a connection of its own, and answers with the reply as it came. */
  readonly command: (...words: ReadonlyArray<string>) => Effect.Effect<string>
}

/** The raw reply to one inline-free command: enough to read counters and texts. */
const raw = (port: number, words: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1")
    let text = ""
    const payload = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")
    socket.setTimeout(10_000, () => socket.destroy(new Error("no reply")))
    socket.once("error", reject)
    socket.on("data", (data) => {
      text += data.toString()
      const size = /^\$(-?\d+)\r\n/.exec(text)
      if (size !== null && text.length < size[0].length + Number(size[1])) return
      socket.destroy()
      resolve(text)
    })
    socket.write(`*${words.length}\r\n${payload}`)
  })

const startReal = (found: Binary): Effect.Effect<TestRedis, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = mkdtempSync(join(tmpdir(), "breakwater-redis-"))
    let port = 0
    let child: ChildProcess | undefined
    const stop = Effect.promise(async () => {
      if (child !== undefined) await stopProcess(child)
      child = undefined
    })
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        stop,
        Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
    )
    const start = Effect.promise(async () => {
      // The port may have been taken in the meantime, but not twice in a row.
      for (let tries = 0; tries < 3 && child === undefined; tries++) {
        if (port === 0 || tries > 0) port = await freePort()
        child = await startProcess(found, port, folder)
      }
      if (child === undefined) throw new Error("redis-server does not start")
    })
    yield* start
    const again = Effect.promise(async () => {
      for (let tries = 0; tries < 20 && child === undefined; tries++) child = await startProcess(found, port, folder)
      if (child === undefined) throw new Error("redis-server does not start again")
    })
    return {
      port,
      url: `redis://127.0.0.1:${port}`,
      kill: stop,
      restart: again,
      freeze: Effect.sync(() => void child?.kill("SIGSTOP")),
      thaw: Effect.sync(() => void child?.kill("SIGCONT")),
      command: (...words) => Effect.promise(() => raw(port, words))
    }
  })

const unable = Effect.die("js-redis-server runs in this process and cannot fail")

const startJs: Effect.Effect<TestRedis, never, Scope.Scope> = Effect.gen(function* () {
  const { createRedisMock } = yield* Effect.promise(() => import("js-redis-server"))
  const mock = yield* Effect.acquireRelease(
    Effect.promise(() => createRedisMock()),
    (self) => Effect.promise(() => self.close())
  )
  const port = mock.addresses()[0]!.port
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill: unable,
    restart: unable,
    freeze: unable,
    thaw: unable,
    command: (...words) => Effect.promise(() => raw(port, words))
  }
})

/** A way to a server that holds back what it answers. */
export interface SlowWay {
  readonly url: string
  delayMs: number
  /** Lets the connections there are now hear nothing any more, without closing them. New ones are as before. */
  readonly silence: () => void
}

/** A proxy before a server, which goes with the scope. */
export const slowWayTo = (port: number): Effect.Effect<SlowWay, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    let silenced = 0
    let connections = 0
    const way = {
      url: "",
      delayMs: 0,
      silence: () => {
        silenced = connections
      }
    }
    const server = createServer((client) => {
      const number = ++connections
      const upstream = connect(port, "127.0.0.1")
      for (const [from, to] of [
        [client, upstream],
        [upstream, client]
      ] as const) {
        sockets.add(from)
        from.on("error", () => to.destroy())
        from.on("close", () => {
          sockets.delete(from)
          to.destroy()
        })
      }
      client.on("data", (data) => upstream.write(data))
      upstream.on("data", (data) => {
        if (number <= silenced) return
        if (way.delayMs === 0) client.write(data)
        else setTimeout(() => client.destroyed || client.write(data), way.delayMs)
      })
    })
    yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
    yield* Effect.addFinalizer(() =>
      Effect.promise(() => {
        for (const socket of sockets) socket.destroy()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })
    )
    const address = server.address()
    return Object.assign(way, { url: `redis://127.0.0.1:${typeof address === "object" ? address?.port : ""}` })
  })

/** Starts a server that goes with the scope. Dies where there is none: see {@link noRedis}. */
export const startRedis: Effect.Effect<TestRedis, never, Scope.Scope> =
  binary !== undefined
    ? startReal(binary)
    : redisKind === "js"
      ? startJs
      : Effect.die("there is no Redis on this machine")
