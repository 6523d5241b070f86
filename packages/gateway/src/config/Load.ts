/** Reading a configuration: from a file, a value or the environment. What is wrong is named by its path. */
import { LLMConfig, Options, type Timeout } from "@breakwater/core"
import { Catalog } from "@breakwater/providers"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { readFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { defined } from "../internal/Fields.ts"
import { type AuthConfig, GatewayConfig, KeysFile, type Policy, type Secret, type StoredKey } from "./Schema.ts"

/** A configuration that cannot be used. Every issue begins with the path of the field. */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>(
  "@breakwater/gateway/ConfigurationError"
)("ConfigurationError", { message: Schema.String, issues: Schema.Array(Schema.String) }) {}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const pathOf = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined): string => {
  let out = ""
  for (const step of path ?? []) {
    const key = typeof step === "object" ? step.key : step
    out += typeof key === "number" ? `[${key}]` : out === "" ? String(key) : `.${String(key)}`
  }
  return out === "" ? "configuration" : out
}

const failed = (issues: ReadonlyArray<string>): ConfigurationError =>
  new ConfigurationError({ message: issues.join("; "), issues })

const decoding =
  <S extends Schema.ConstraintDecoder<unknown>>(schema: S) =>
  (input: unknown, name?: string): Effect.Effect<S["Type"], ConfigurationError> =>
    Effect.suspend(() => {
      const result = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(input)
      if (result._tag === "Success") return Effect.succeed(result.success)
      const issues = format(result.failure.issue).issues.map(({ message, path }) => `${pathOf(path)}: ${message}`)
      return Effect.fail(failed(name === undefined ? issues : issues.map((issue) => `${name}: ${issue}`)))
    })

const decodeShape = decoding(GatewayConfig)
/** Checks the content of a file of keys. */
export const decodeKeys = decoding(KeysFile)

const hasBudgets = ({ budgets, prices, tiers }: GatewayConfig): boolean =>
  budgets !== undefined ||
  prices !== undefined ||
  Object.values(tiers ?? {}).some((tier) => !("length" in tier) && tier.budgets !== undefined)

/** What the Schema cannot say: names that must be known. */
const references = (config: GatewayConfig): ReadonlyArray<string> => {
  const issues: Array<string> = []
  const providers = Object.keys(config.providers)
  if (providers.length === 0) issues.push("providers: there must be at least one")
  for (const [name, provider] of Object.entries(config.providers)) {
    if ((provider.type === "openai-compatible" || provider.type === "azure") && provider.baseUrl === undefined) {
      issues.push(`providers.${name}.baseUrl: it is missing`)
    }
    if (provider.betas !== undefined && provider.type !== "anthropic") {
      issues.push(`providers.${name}.betas: they are Anthropic's`)
    }
    if (provider.betas?.every((beta) => /^[\w.-]{1,100}$/.test(beta)) === false) {
      issues.push(`providers.${name}.betas: a name is letters, digits, _ . -`)
    }
  }
  const target = (path: string, text: string) => {
    const prefix = text.slice(0, Math.max(0, text.indexOf("/")))
    if (providers.length > 1 && !providers.includes(prefix)) {
      issues.push(`${path}: ${JSON.stringify(text)} names no provider; known are ${providers.join(", ")}`)
    }
  }
  for (const [name, text] of Object.entries(config.aliases ?? {})) {
    if (config.routes?.[text] === undefined) target(`aliases.${name}`, text)
  }
  for (const [name, route] of Object.entries(config.routes ?? {})) {
    route.targets.forEach((each, i) => {
      const [path, text] = typeof each === "string" ? ["", each] : [".target", each.target]
      if (config.aliases?.[text] === undefined) target(`routes.${name}.targets[${i}]${path}`, text)
    })
  }
  const tiers = Object.keys(config.tiers ?? {})
  const tier = (path: string, name: string | undefined) => {
    if (name !== undefined && !tiers.includes(name)) issues.push(`${path}: there is no tier ${JSON.stringify(name)}`)
  }
  tier("defaultTier", config.defaultTier)
  config.auth?.keys?.forEach((key, i) => tier(`auth.keys[${i}].tier`, key.tier))
  for (const [name, each] of Object.entries(config.tiers ?? {})) {
    if (!("length" in each) && Object.keys(each).length === 0) {
      issues.push(`tiers.${name}: it bounds nothing; it may have requests, tokens and budgets`)
    }
  }
  if (config.ledger !== undefined && "postgres" in config.ledger && config.stores?.postgres === undefined) {
    issues.push("ledger.postgres: stores.postgres is missing")
  }
  if (config.audit !== undefined && "postgres" in config.audit && config.stores?.postgres === undefined) {
    issues.push("audit.postgres: stores.postgres is missing")
  }
  if (config.budgetPolicy !== undefined && !hasBudgets(config)) {
    issues.push("budgetPolicy: there are no budgets")
  }
  config.budgets?.forEach((budget, i) => {
    if (budget.limit === undefined && budget.soft === undefined) {
      issues.push(`budgets[${i}].limit: a limit, a soft limit, or both must be there`)
    }
  })
  const { ask } = config.ready ?? {}
  if (
    ask !== undefined &&
    config.routes?.[ask] === undefined &&
    config.aliases?.[ask] === undefined &&
    ask !== "auto"
  ) {
    const listed = Object.values(config.providers).some(({ models }) => models?.includes(ask) === true)
    if (!listed) target("ready.ask", ask)
  }
  const jwt = config.auth?.jwt
  if (jwt !== undefined) {
    if ((jwt.jwksUrl === undefined) === (jwt.secret === undefined)) {
      issues.push("auth.jwt: exactly one of jwksUrl and secret must be there")
    }
    const symmetric = jwt.algorithms.some((name) => name.startsWith("HS"))
    if (symmetric && (jwt.secret === undefined || jwt.algorithms.some((name) => !name.startsWith("HS")))) {
      issues.push("auth.jwt.algorithms: HS algorithms go with a secret, and with no others")
    }
  }
  return issues
}

/** Checks a configuration. */
export const decode = (input: unknown): Effect.Effect<GatewayConfig, ConfigurationError> =>
  Effect.flatMap(decodeShape(input), (config) => {
    const issues = references(config)
    return issues.length === 0 ? Effect.succeed(config) : Effect.fail(failed(issues))
  })

/** `JSON.parse`, whose errors quote the text around them: there may be a secret in it. */
export const parseText = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    const place = /at position \d+(?: \(line \d+ column \d+\))?/.exec(String(error))?.[0]
    throw new Error(`it is not valid JSON${place === undefined ? "" : ` ${place}`}`, { cause: undefined })
  }
}

const parsed = (file: string, text: string): Effect.Effect<unknown, ConfigurationError> =>
  Effect.try({ try: () => parseText(text), catch: (error) => failed([`${file}: ${(error as Error).message}`]) })

const loadKeys = (file: string): Effect.Effect<ReadonlyArray<StoredKey>, ConfigurationError> =>
  Effect.flatMap(
    Effect.flatMap(readText(file), (text) => parsed(file, text)),
    (json) => Effect.map(decodeKeys(json, file), ({ keys }) => keys)
  )

/** Files that are named relative to the configuration. */
const withFiles = (config: GatewayConfig, directory: string): GatewayConfig => {
  const { audit, ledger } = config
  const isFile = ledger !== undefined && "file" in ledger && ledger.file !== ":memory:"
  const isAudited = audit !== undefined && "file" in audit
  return {
    ...config,
    ...(isFile ? { ledger: { file: resolve(directory, ledger.file) } } : {}),
    ...(isAudited ? { audit: { ...audit, file: resolve(directory, audit.file) } } : {})
  }
}

const withKeys = (config: GatewayConfig, directory: string): Effect.Effect<GatewayConfig, ConfigurationError> => {
  const auth: AuthConfig | undefined = config.auth
  if (auth?.keysFile === undefined) return Effect.succeed(config)
  return Effect.map(loadKeys(resolve(directory, auth.keysFile)), (keys) => ({
    ...config,
    auth: { ...auth, keys: [...(auth.keys ?? []), ...keys] }
  }))
}

/** The text of a file. */
export const readText = (file: string): Effect.Effect<string, ConfigurationError> =>
  Effect.tryPromise({
    try: () => readFile(file, "utf8"),
    catch: (error) => failed([`${file}: ${error instanceof Error ? error.message : String(error)}`])
  })

/** Reads and checks a file, and the file of keys that it names. */
export const loadFile = (file: string): Effect.Effect<GatewayConfig, ConfigurationError> =>
  Effect.flatMap(readText(file), (text) => loadText(file, text))

/** Checks the text of a file, and the file of keys that it names. */
export const loadText = (file: string, text: string): Effect.Effect<GatewayConfig, ConfigurationError> =>
  parsed(file, text).pipe(
    Effect.flatMap(decode),
    Effect.map((config) => withFiles(config, dirname(resolve(file)))),
    Effect.flatMap((config) => withKeys(config, dirname(resolve(file)))),
    Effect.flatMap(decode)
  )

/** The value of a secret, from the configuration or the environment. */
export const secretOf = (secret: Secret, path: string): Effect.Effect<Redacted.Redacted<string>, ConfigurationError> =>
  typeof secret === "string"
    ? Effect.succeed(Redacted.make(secret))
    : Effect.gen(function* () {
        const value = yield* Effect.mapError(Config.option(Config.String(secret.env)), (error) =>
          failed([`${path}.env: ${error.message}`])
        )
        if (Option.isNone(value) || value.value.trim() === "") {
          return yield* Effect.fail(failed([`${path}.env: the variable ${secret.env} is not set`]))
        }
        return Redacted.make(value.value.trim())
      })

const seconds = (value: Duration.Input | undefined): number | undefined => {
  if (value === undefined) return undefined
  const millis = Options.millisOf(value)
  return millis === undefined || millis <= 0 ? undefined : millis / 1_000
}

const timeoutsOf = (timeouts: Timeout.Options | undefined): Policy["timeouts"] =>
  defined({
    firstToken: seconds(timeouts?.firstToken),
    idle: seconds(timeouts?.idle),
    attempt: seconds(timeouts?.attempt),
    total: seconds(timeouts?.total)
  })

/** The first of some variables that is set and not empty. */
const firstSet = (names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    for (const name of names) {
      const value = Option.getOrUndefined(yield* Config.option(Config.String(name)))?.trim()
      if (value !== undefined && value !== "") return { name, value }
    }
    return undefined
  })

/**
 * The configuration that the `LLM_*` variables describe: one provider and those that its models name, with
 * `LLM_MODEL` and `LLM_FALLBACKS` as the default route. Keys and addresses that `LLM_API_KEY` and `LLM_BASE_URL` do not
 * give come from the providers' own variables.
 */
export const loadEnvironment: Effect.Effect<GatewayConfig, ConfigurationError> = Effect.gen(function* () {
  const settings = yield* Catalog.settings()
  const options = yield* LLMConfig.load
  const providers: Record<string, object> = {}
  for (const name of settings.providers) {
    const own = Catalog.isName(name) ? Catalog.variablesOf(name) : { apiKey: [], baseUrl: undefined }
    const isMain = name === settings.provider
    const key = yield* firstSet([...(isMain ? ["LLM_API_KEY"] : []), ...own.apiKey])
    const url = yield* firstSet([
      ...(isMain ? ["LLM_BASE_URL"] : []),
      ...(own.baseUrl === undefined ? [] : [own.baseUrl])
    ])
    providers[name] = {
      type: name,
      ...(url === undefined ? {} : { baseUrl: url.value }),
      ...(key === undefined ? {} : { apiKey: { env: key.name } })
    }
  }
  return {
    providers,
    ...(settings.targets.length === 0 ? {} : { routes: { default: { targets: settings.targets } } }),
    defaults: {
      ...(options.retry?.retries === undefined ? {} : { retries: options.retry.retries }),
      ...(options.maxAttempts === undefined ? {} : { maxAttempts: options.maxAttempts }),
      ...(options.strict === undefined ? {} : { strict: options.strict }),
      streamPolicy: "continue",
      timeouts: timeoutsOf(options.timeouts)
    }
  }
}).pipe(
  Effect.mapError((error) => (error instanceof ConfigurationError ? error : failed([error.message]))),
  Effect.flatMap(decode)
)
