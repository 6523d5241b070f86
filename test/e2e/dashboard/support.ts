/** A gateway in front of two misbehaving servers, with its dashboard, for tests that look at it from outside. */
import { Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { workspaceRoot } from "../../../scripts/files.ts"
import { chat, configOf } from "../gateway/support.ts"

/** The page is built where it is not; where it is this takes no time. */
export const buildPage = (): void => {
  const { status, stderr } = spawnSync(process.execPath, [join(workspaceRoot, "packages/dashboard/build.ts")], {
    cwd: workspaceRoot,
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(`the dashboard cannot be built: ${stderr}`)
}

export interface House {
  readonly url: string
  readonly port: number
  readonly gateway: Gateway.Gateway
  readonly first: Upstream.Upstream
  readonly second: Upstream.Upstream
  /** Sends a request and waits for its answer. */
  readonly ask: (model: string, more?: object, headers?: Readonly<Record<string, string>>) => Promise<Response>
  /** Any path, as JSON. */
  readonly json: <A>(path: string, key?: string) => Promise<A>
  /** Stops the gateway; the servers behind it go on. */
  readonly stopGateway: () => Promise<void>
  /** Starts it again, on the same port. */
  readonly startGateway: () => Promise<void>
  readonly stop: () => Promise<void>
}

type Config = Readonly<Record<string, unknown>>

const started = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => {
  const scope = Scope.makeUnsafe()
  return Effect.runPromise(Scope.provide(effect, scope)).then((value) => ({
    value,
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }))
}

/** Starts everything; whoever does stops it. */
export const openHouse = async (more: Config = {}): Promise<House> => {
  const upstreams = await started(Effect.all([Upstream.make(), Upstream.make()]))
  const [first, second] = upstreams.value
  const config = configOf(first.url, second.url, { limits: { shutdown: "1s" }, ...more })
  let current = await started(Gateway.make(config))
  const { port, url } = current.value
  return {
    url,
    port,
    first,
    second,
    get gateway() {
      return current.value
    },
    ask: async (model, body = {}, headers = {}) => {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(chat(model, body))
      })
      await response.clone().text()
      return response
    },
    json: <A>(path: string, key?: string) =>
      fetch(`${url}${path}`, key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }).then(
        (response) => response.json() as Promise<A>
      ),
    stopGateway: () => current.stop(),
    startGateway: async () => {
      current = await started(Gateway.make(config, { port }))
    },
    stop: async () => {
      await current.stop()
      await upstreams.stop()
    }
  }
}
