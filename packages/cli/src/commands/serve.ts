/** `breakwater serve`: a gateway, from a file, from the environment, or in front of servers that misbehave. */
import { Gateway, GatewayConfig, type Load } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { onInterrupt } from "../ExitCode.ts"
import { Ended, report } from "../Failure.ts"
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

/** Two servers that misbehave by the model's name, as two providers. */
const demoConfig = (main: string, backup: string): object => {
  const models = Upstream.faults.map(({ model }) => model)
  return {
    providers: {
      main: { type: "openai-compatible", baseUrl: `${main}/v1`, models },
      backup: { type: "openai-compatible", baseUrl: `${backup}/v1`, models: ["good"] }
    },
    routes: { demo: { targets: ["main/cut-stream", "backup/good"] } },
    defaults: { timeouts: { firstToken: "3s", idle: "3s" } }
  }
}

const tryIt = (url: string): string => `
Two servers that misbehave by the model's name stand behind it; no key is needed. This stream is cut in the middle, and
another provider goes on with it:

  curl -N ${url}/v1/chat/completions -H 'content-type: application/json' -d '{
    "model": "main/cut-stream", "fallbacks": ["backup/good"], "stream": true,
    "messages": [{ "role": "user", "content": "Hello" }] }'

The models are at ${url}/v1/models, metrics at ${url}/metrics, the API at ${url}/openapi.json.
Any client of OpenAI's works with the base URL ${url}/v1, and any of Anthropic's with ${url}.
`

const startDemo = (options: Gateway.Options) =>
  Effect.gen(function* () {
    const main = yield* Upstream.make({ wordDelay: 15 })
    const backup = yield* Upstream.make({ wordDelay: 15 })
    const gateway = yield* Gateway.make(demoConfig(main.url, backup.url), options)
    return { gateway, after: tryIt(gateway.url) }
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

const running = (input: Input) =>
  Effect.gen(function* () {
    if (input.schema) return stdout().write(`${JSON.stringify(GatewayConfig.jsonSchema(), null, 2)}\n`)
    onInterrupt(0)
    const { after, gateway } = yield* start(input)
    if (input.check) {
      stdout().write("the configuration is good\n")
      return
    }
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
