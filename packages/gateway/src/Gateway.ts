/**
 * A gateway: a configuration, the engines built from it, and the server in front of them.
 */
import { Metrics, Summary } from "@breakwater/core"
import type * as EffectConfig from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { readFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import * as Alerting from "./config/build/Alerting.ts"
import * as Changes from "./config/Changes.ts"
import * as Load from "./config/Load.ts"
import * as Reload from "./config/Reload.ts"
import type { GatewayConfig } from "./config/Schema.ts"
import * as Server from "./Server.ts"
import * as Watch from "./Watch.ts"

export type { AccessRecord } from "./Server.ts"

export interface Options extends Omit<Server.Options, "tls"> {}

/** A running gateway. */
export interface Gateway extends Server.Server {
  /** Puts another configuration in force without dropping a request. On failure the old one stays. */
  readonly reload: (config: unknown) => Effect.Effect<void, Load.ConfigurationError>
}

/** What a gateway can fail to start with. */
export type StartError = Load.ConfigurationError | Server.ServeError | EffectConfig.ConfigError

const tlsOf = (
  config: GatewayConfig,
  directory: string
): Effect.Effect<{ readonly tls?: { cert: string; key: string } }, Load.ConfigurationError> => {
  const { tls } = config
  if (tls === undefined) return Effect.succeed({})
  return Effect.tryPromise({
    try: async () => ({
      tls: {
        cert: await readFile(resolve(directory, tls.cert), "utf8"),
        key: await readFile(resolve(directory, tls.key), "utf8")
      }
    }),
    catch: (error) =>
      new Load.ConfigurationError({ message: `tls: ${String(error)}`, issues: [`tls: ${String(error)}`] })
  })
}

/** A line of JSON on stderr for every request, while the configuration in force asks for it. */
const logged = (options: Server.Options, engines: Reload.Engines): Server.Options => {
  const given = options.onAccess
  const written = (record: Server.AccessRecord): void => {
    process.stderr.write(`${JSON.stringify({ level: "info", event: "request", ...record })}\n`)
    given?.(record)
  }
  return {
    ...options,
    // Asked for at each request, so that nobody pays for records that nobody reads.
    get onAccess() {
      return engines.current().config.log?.requests === true ? written : given
    }
  } as Server.Options
}

const start = (config: GatewayConfig, options: Options, directory: string) =>
  Effect.gen(function* () {
    const tls = yield* tlsOf(config, directory)
    const engines = yield* Reload.make(config)
    const server = yield* Server.make(engines, logged({ ...options, ...tls }, engines))
    const replace = Changes.replaceWith(engines)
    const reload = (next: unknown) =>
      Effect.suspend(() => replace({ text: JSON.stringify(next) ?? "", config: Load.decode(next) }))
    return { engines, replace, gateway: { ...server, reload } }
  })

/** What listens to the events of all engines, from the start on. */
const observed = <A, E>(
  { metrics }: GatewayConfig,
  effect: Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.flatMap(
    Layer.build(
      Alerting.layer.pipe(
        Layer.provideMerge(Watch.layer),
        Layer.provideMerge(Summary.layer),
        Layer.provideMerge(Metrics.layerWith({ classic: metrics?.classic ?? false }))
      )
    ),
    (context) => Effect.provide(effect, context)
  )

/**
 * Starts a gateway from a configuration, and stops it with the scope: the requests under way finish first.
 *
 * Fails with a `ConfigurationError` whose issues name the fields, or with a `ServeError`.
 */
export const make = (config: unknown, options: Options = {}): Effect.Effect<Gateway, StartError, Scope.Scope> =>
  Effect.flatMap(Load.decode(config), (decoded) =>
    observed(
      decoded,
      Effect.map(start(decoded, options, "."), ({ gateway }) => gateway)
    )
  )

/** What happened to the file. */
export type ReloadEvent =
  | { readonly type: "reloaded"; readonly file: string }
  | { readonly type: "refused"; readonly file: string; readonly issues: ReadonlyArray<string> }

export interface FileOptions extends Options {
  /** Told of every reload. */
  readonly onReload?: (event: ReloadEvent) => void
}

/**
 * Starts a gateway from a file, and follows it: a change, or `SIGHUP`, puts the new content in force; a wrong one is
 * refused and the old one stays.
 */
export const fromFile = (file: string, options: FileOptions = {}): Effect.Effect<Gateway, StartError, Scope.Scope> =>
  Effect.flatMap(Load.loadFile(file), (config) =>
    observed(
      config,
      Effect.gen(function* () {
        const directory = dirname(resolve(file))
        const { engines, gateway, replace } = yield* start(config, options, directory)
        const reload = Load.readText(file).pipe(
          Effect.flatMap((text) => replace({ text, config: Load.loadText(file, text) })),
          Effect.match({
            onSuccess: (): ReloadEvent => ({ type: "reloaded", file }),
            onFailure: ({ issues }): ReloadEvent => ({ type: "refused", file, issues })
          }),
          Effect.flatMap((event) => Effect.sync(() => options.onReload?.(event)))
        )
        const followed = () => {
          const keysFile = engines.current().config.auth?.keysFile
          return keysFile === undefined ? [file] : [file, resolve(directory, keysFile)]
        }
        yield* Reload.onChange(followed, reload)
        return gateway
      })
    )
  )

/** Starts a gateway from the `LLM_*` variables. */
export const fromEnvironment = (options: Options = {}): Effect.Effect<Gateway, StartError, Scope.Scope> =>
  Effect.flatMap(Load.loadEnvironment, (config) =>
    observed(
      config,
      Effect.map(start(config, options, "."), ({ gateway }) => gateway)
    )
  )
