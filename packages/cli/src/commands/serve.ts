/** `breakwater serve`: a gateway, from a file, from the environment, or in front of servers that misbehave. */
import { Gateway, GatewayConfig, Load } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { onInterrupt } from "../ExitCode.ts"
import { Ended, report, SettingError } from "../Failure.ts"
import { stderr, stdout } from "../Terminal.ts"

interface Input {
  readonly config: Option.Option<string>
  readonly demo: boolean
  readonly check: boolean
  readonly schema: boolean
  readonly port: number
  readonly host: string
  readonly log: boolean
}

const line = (fields: object): void => stderr().write(`${JSON.stringify(fields)}\n`)

const optionsOf = ({ host, log, port }: Input): Gateway.FileOptions => ({
  host,
  port,
  ...(log ? { onAccess: (record) => line({ level: "info", event: "request", ...record }) } : {}),
  onReload: (event) =>
    line({ level: event.type === "reloaded" ? "info" : "error", event: `configuration ${event.type}`, ...event })
})

/** A folder for what is not kept. */
const scratch: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-serve-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Two servers that misbehave by the model's name, as two providers, with something for every page of the dashboard. */
const demoConfig = (main: string, backup: string, folder: string): object => {
  const models = Upstream.faults.map(({ model }) => model)
  const price = { input: "0.40", output: "1.60", maxOutputTokens: 200 }
  const priced = [...models.map((model) => `main/${model}`), "backup/good"]
  return {
    providers: {
      main: { type: "openai-compatible", baseUrl: `${main}/v1`, models },
      backup: { type: "openai-compatible", baseUrl: `${backup}/v1`, models: ["good"] }
    },
    routes: { demo: { targets: ["main/cut-stream", "backup/good"] } },
    defaults: { timeouts: { firstToken: "3s", idle: "3s" } },
    cache: {},
    prices: { overrides: Object.fromEntries(priced.map((target) => [target, price])) },
    budgets: [{ name: "demo", scope: "global", period: "day", limit: "5", soft: "1" }],
    budgetPolicy: { unpriced: "allow" },
    ledger: { file: ":memory:" },
    audit: { file: join(folder, "audit.log"), keys: `demo:${randomBytes(32).toString("base64")}` },
    alerts: {}
  }
}

const tryIt = (url: string): string => `
Two servers that misbehave by the model's name stand behind it; no key is
needed. This stream is cut in the middle, and another provider goes on with it:

  curl -N ${url}/v1/chat/completions -H 'content-type: application/json' -d '{
    "model": "main/cut-stream", "fallbacks": ["backup/good"], "stream": true,
    "messages": [{ "role": "user", "content": "Hello" }] }'

  models     ${url}/v1/models
  metrics    ${url}/metrics
  the API    ${url}/openapi.json
  clients    of OpenAI's: base URL ${url}/v1
             of Anthropic's: base URL ${url}

Ctrl-C ends it.
`

/** For those whose key is there, and who get the demo nevertheless. */
const asideOf = (): string => {
  const key = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"].find((name) => (process.env[name] ?? "") !== "")
  if (key === undefined) return ""
  const provider = key.split("_")[0]!.toLowerCase()
  return `For the real thing: LLM_PROVIDER=${provider} breakwater serve\n`
}

const startDemo = (options: Gateway.Options) =>
  Effect.gen(function* () {
    const main = yield* Upstream.make({ wordDelay: 15 })
    const backup = yield* Upstream.make({ wordDelay: 15 })
    const gateway = yield* Gateway.make(demoConfig(main.url, backup.url, yield* scratch), options)
    return { gateway, after: tryIt(gateway.url) + asideOf() }
  })

const environmentNames = ["LLM_PROVIDER", "LLM_MODEL", "LLM_BASE_URL", "LLM_API_KEY"]
const hasEnvironment = (): boolean => environmentNames.some((name) => (process.env[name] ?? "").trim() !== "")

const start = (
  input: Input
): Effect.Effect<
  { readonly gateway: Gateway.Gateway; readonly after: string },
  Gateway.StartError | Upstream.UpstreamError,
  Scope.Scope
> => {
  const options = optionsOf(input)
  const plainly = Effect.map((gateway: Gateway.Gateway) => ({ gateway, after: "" }))
  if (!input.demo && Option.isSome(input.config)) return plainly(Gateway.fromFile(input.config.value, options))
  return !input.demo && hasEnvironment() ? plainly(Gateway.fromEnvironment(options)) : startDemo(options)
}

/**
 * Builds all that a file asks for, beside a gateway that may be running with it: on another port, and without the files
 * that have one writer.
 */
const check = (file: string): Effect.Effect<void, Gateway.StartError, Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* Load.loadFile(file)
    const { audit, ledger, tls } = config
    const paths = Object.entries(tls ?? {}).map(([name, path]) => [name, resolve(dirname(file), path)])
    yield* Gateway.make(
      {
        ...config,
        ...(ledger !== undefined && "file" in ledger ? { ledger: { file: ":memory:" } } : {}),
        ...(audit !== undefined && "file" in audit
          ? { audit: { ...audit, file: join(yield* scratch, "audit.log") } }
          : {}),
        ...(tls === undefined ? {} : { tls: Object.fromEntries(paths) })
      },
      { host: "127.0.0.1", port: 0 }
    )
  })

const checking = (input: Input): Effect.Effect<void, Gateway.StartError | SettingError, Scope.Scope> =>
  Effect.gen(function* () {
    if (!input.demo && Option.isSome(input.config)) yield* check(input.config.value)
    else if (!input.demo && hasEnvironment()) yield* Gateway.fromEnvironment({ host: "127.0.0.1", port: 0 })
    else
      return yield* Effect.fail(new SettingError({ message: "there is nothing to check; name a file with --config" }))
    const from = Option.match(input.config, { onNone: () => "the LLM_* variables", onSome: (file) => file })
    stdout().write(`the configuration is good (${from})\n`)
  })

/** What the command itself can tell to be wrong. */
const mistakeIn = ({ config, demo, port }: Input): string | undefined => {
  if (port < 0 || port > 65_535) return `--port is ${port}; allowed: a whole number from 0 to 65535`
  if (demo && Option.isSome(config)) return "--demo has a configuration of its own; leave it or --config out"
  if (Option.isSome(config) && !existsSync(config.value)) {
    return `there is no file ${config.value}; breakwater serve --demo needs none, and --schema prints what goes into one`
  }
  return undefined
}

const running = (input: Input) =>
  Effect.gen(function* () {
    if (input.schema) return stdout().write(`${JSON.stringify(GatewayConfig.jsonSchema(), null, 2)}\n`)
    const mistake = mistakeIn(input)
    if (mistake !== undefined) return yield* Effect.fail(new SettingError({ message: mistake }))
    if (input.check) return yield* checking(input)
    onInterrupt(0)
    const { after, gateway } = yield* start(input)
    stdout().write(`listening on ${gateway.url}\ndashboard at ${gateway.url}/dashboard/\n${after}`)
    return yield* Effect.never
  })

/** Every issue of a configuration on a line of its own. */
const issuesOf = (error: unknown): ReadonlyArray<string> | undefined =>
  (error as Partial<Load.ConfigurationError>)._tag === "ConfigurationError"
    ? (error as Load.ConfigurationError).issues
    : undefined

const run = (input: Input): Effect.Effect<void, Ended> =>
  Effect.scoped(running(input)).pipe(
    Effect.catch((error) => {
      const { message, tag } = report(error)
      const err = stderr()
      for (const issue of issuesOf(error) ?? [message]) err.write(`${err.style.red("error")} ${tag}: ${issue}\n`)
      return Effect.fail(new Ended({ code: 1 }))
    })
  )

export const serve = Command.make(
  "serve",
  {
    config: Flag.String("config").pipe(
      Flag.withAlias("c"),
      Flag.withMetavar("file"),
      Flag.withDescription("The configuration, in JSON. It is followed: a change is put in force, a wrong one refused"),
      Flag.optional
    ),
    demo: Flag.Boolean("demo").pipe(
      Flag.withDescription("Put it in front of two servers that misbehave; no key needed"),
      Flag.withDefault(false)
    ),
    check: Flag.Boolean("check").pipe(
      Flag.withDescription("Only say whether the configuration is good"),
      Flag.withDefault(false)
    ),
    schema: Flag.Boolean("schema").pipe(
      Flag.withDescription("Only print the JSON schema of the configuration"),
      Flag.withDefault(false)
    ),
    port: Flag.Int("port").pipe(
      Flag.withMetavar("number"),
      Flag.withDescription("Where to listen (default: 8787); 0 is any free port"),
      Flag.withDefault(8787)
    ),
    host: Flag.String("host").pipe(
      Flag.withMetavar("address"),
      Flag.withDescription("The address to listen on (default: 127.0.0.1)"),
      Flag.withDefault("127.0.0.1")
    ),
    log: Flag.Boolean("log").pipe(
      Flag.withDescription("Write a line of JSON on stderr for every request"),
      Flag.withDefault(false)
    )
  },
  run
).pipe(
  Command.withDescription(
    "Serve OpenAI's and Anthropic's wires with every policy in between. Without --config the LLM_* variables say whom to " +
      "ask; without those it runs in front of two servers that misbehave."
  ),
  Command.withShortDescription("Run the gateway"),
  Command.withExamples([
    { command: "breakwater serve", description: "Try it, without a key" },
    { command: "breakwater serve --config gateway.json --port 8080 --host 0.0.0.0", description: "For real" },
    { command: "breakwater serve --config gateway.json --check", description: "Is the configuration good?" }
  ])
)
