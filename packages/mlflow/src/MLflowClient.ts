/**
 * MLflow's REST API 2.0, as much of it as tracking takes: experiments, runs, batches, artifacts.
 *
 * Each call is one request within `timeout`. It fails with an `MLflowError` that says whether the same is worth trying
 * again. Redirects are not followed, and the token is in no error and no span.
 */
import { Options as Checks } from "@breakwater/core"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Batch } from "./internal/outbox.ts"

export type { Batch, Metric, Pair } from "./internal/outbox.ts"

/** Where the server is, and how it knows the caller. */
export interface Options {
  /** `http` or `https`, without user and password; a path before `/api` may be part of it. */
  readonly url: string
  /** Sent as `Authorization: Bearer`. Default: none. */
  readonly token?: Redacted.Redacted<string>
  /** Sent as `Authorization: Basic`; `token` wins. Default: none. */
  readonly basic?: { readonly username: string; readonly password: Redacted.Redacted<string> }
  /** How long one request may take. Default 10 seconds. */
  readonly timeout?: Duration.Input
}

/** Defaults of {@link make}. */
export const defaults = { timeout: "10 seconds" } as const satisfies Partial<Options>

/** The server refused, failed, or was not reached. */
export class MLflowError extends Schema.TaggedError<MLflowError>("@breakwater/mlflow/MLflowError")("MLflowError", {
  message: Schema.String,
  /** The HTTP status, if there was an answer. */
  status: Schema.optionalKey(Schema.Int),
  /** MLflow's own: `RESOURCE_DOES_NOT_EXIST`, `INVALID_PARAMETER_VALUE`, … */
  code: Schema.optionalKey(Schema.String),
  retryable: Schema.Boolean
}) {}

export type RunStatus = "RUNNING" | "FINISHED" | "FAILED" | "KILLED"

/** A run, as far as it matters here. */
export interface Run {
  readonly runId: string
  /** `mlflow-artifacts:/1/…/artifacts`, where artifacts go through the server. */
  readonly artifactUri: string
}

export interface Client {
  /** The id of an experiment by its name; it is made if there is none. */
  readonly experiment: (name: string) => Effect.Effect<string, MLflowError>
  readonly createRun: (options: {
    readonly experimentId: string
    readonly name?: string
    /** Milliseconds since 1970. */
    readonly startTime: number
    readonly tags?: Readonly<Record<string, string>>
  }) => Effect.Effect<Run, MLflowError>
  /** A run that has a tag of this value; `undefined` if there is none. */
  readonly findRun: (experimentId: string, tag: string, value: string) => Effect.Effect<Run | undefined, MLflowError>
  readonly updateRun: (runId: string, status: RunStatus, endTime?: number) => Effect.Effect<void, MLflowError>
  /** At most 1,000 metrics, 100 parameters and 100 tags, 1,000 together, 1 MB. */
  readonly logBatch: (runId: string, batch: Batch) => Effect.Effect<void, MLflowError>
  /** Puts a file among the artifacts of a run. Only for servers that keep artifacts themselves (`mlflow-artifacts`). */
  readonly putArtifact: (
    run: Run,
    path: string,
    content: string | Uint8Array,
    contentType?: string
  ) => Effect.Effect<void, MLflowError>
}

/** The base of a URL, or what is wrong with it. */
export const baseOf = (text: string): string | Config.ConfigError => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:"))
    return Checks.optionError("url", "<hidden>", "a URL of http or https")
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return Checks.optionError("url", "<hidden>", "a URL without user, password, query and fragment")
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`
}

const Failure = Schema.Struct({ error_code: Schema.optional(Schema.String), message: Schema.optional(Schema.String) })
const Experiment = Schema.Struct({
  experiment: Schema.Struct({ experiment_id: Schema.String, lifecycle_stage: Schema.optional(Schema.String) })
})
const CreatedExperiment = Schema.Struct({ experiment_id: Schema.String })
const RunInfo = Schema.Struct({ info: Schema.Struct({ run_id: Schema.String, artifact_uri: Schema.String }) })
const CreatedRun = Schema.Struct({ run: RunInfo })
const FoundRuns = Schema.Struct({ runs: Schema.optional(Schema.Array(RunInfo)) })

const runOf = ({ info }: typeof RunInfo.Type): Run => ({ runId: info.run_id, artifactUri: info.artifact_uri })

const isTransient = (status: number): boolean => status === 408 || status === 429 || status >= 500

/** Bytes of an answer that are read; the answers that matter are short. */
const longestAnswer = 1_000_000

const textOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Number(response.headers["content-length"] ?? 0) > longestAnswer
    ? Effect.succeed("")
    : Effect.orElseSucceed(response.text, () => "")

const refusal = (response: HttpClientResponse.HttpClientResponse, what: string): Effect.Effect<never, MLflowError> =>
  Effect.flatMap(textOf(response), (text) => {
    const said = Schema.decodeUnknownOption(Schema.fromJsonString(Failure))(text)
    const { error_code, message = "" } = said._tag === "Some" ? said.value : {}
    return Effect.fail(
      new MLflowError({
        message: `${what}: the server answered ${response.status}${message === "" ? "" : ` (${message.slice(0, 300)})`}`,
        status: response.status,
        retryable: isTransient(response.status),
        ...(error_code === undefined ? {} : { code: error_code })
      })
    )
  })

/** Slashes divide; everything else of a name is encoded, and no part leads upwards. */
const artifactPath = (path: string): string =>
  path
    .split("/")
    .filter((part) => part !== "" && part !== "." && part !== "..")
    .map(encodeURIComponent)
    .join("/")

const artifactScheme = /^mlflow-artifacts:(?:\/\/[^/]*)?\//

const headersOf = ({ basic, token }: Options): Readonly<Record<string, string>> => {
  if (token !== undefined) return { authorization: `Bearer ${Redacted.value(token)}` }
  if (basic === undefined) return {}
  const bytes = new TextEncoder().encode(`${basic.username}:${Redacted.value(basic.password)}`)
  return { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` }
}

/**
 * Prepares an HTTP client for a server: headers of authorisation, a time, no redirects, no spans of its own.
 * Fails with a `ConfigError` for a wrong option.
 */
export const prepare = (
  options: Options
): Effect.Effect<
  { readonly base: string; readonly http: HttpClient.HttpClient },
  Config.ConfigError,
  HttpClient.HttpClient
> =>
  Effect.gen(function* () {
    const base = baseOf(options.url)
    if (typeof base !== "string") return yield* Effect.fail(base)
    const { timeout = defaults.timeout } = options
    yield* Checks.validate([Checks.positiveDuration("timeout", timeout)])
    const headers = headersOf(options)
    const http = (yield* HttpClient.HttpClient).pipe(
      HttpClient.mapRequest(HttpClientRequest.setHeaders({ "user-agent": "breakwater-mlflow", ...headers })),
      HttpClient.transformResponse((effect) =>
        effect.pipe(
          Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
          Effect.provideService(HttpClient.TracerPropagationEnabled, false),
          Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
        )
      )
    )
    return { base, http }
  })

/** A client for a server. Fails with a `ConfigError` for a wrong option; asks the server nothing yet. */
export const make = (options: Options): Effect.Effect<Client, Config.ConfigError, HttpClient.HttpClient> =>
  Effect.map(prepare(options), ({ base, http }) => {
    const { timeout = defaults.timeout } = options
    const client = HttpClient.withScope(http)
    const send = <A>(
      request: HttpClientRequest.HttpClientRequest,
      what: string,
      read: (text: string) => Effect.Effect<A, MLflowError>
    ): Effect.Effect<A, MLflowError> =>
      client.execute(request).pipe(
        Effect.mapError(() => new MLflowError({ message: `${what}: the server cannot be reached`, retryable: true })),
        Effect.flatMap((response) =>
          response.status >= 200 && response.status < 300
            ? Effect.flatMap(textOf(response), read)
            : refusal(response, what)
        ),
        Effect.scoped,
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(new MLflowError({ message: `${what}: the server did not answer in time`, retryable: true }))
        })
      )
    const as =
      <S extends Schema.ConstraintDecoder<unknown>>(schema: S, what: string) =>
      (text: string): Effect.Effect<S["Type"], MLflowError> => {
        const read = Schema.decodeUnknownOption(Schema.fromJsonString(schema))(text)
        return read._tag === "Some"
          ? Effect.succeed(read.value)
          : Effect.fail(new MLflowError({ message: `${what}: the server answered something else`, retryable: false }))
      }
    const nothing = () => Effect.void
    const path = (name: string) => `${base}/api/2.0/mlflow/${name}`
    const post = (name: string, body: unknown) =>
      HttpClientRequest.post(path(name)).pipe(HttpClientRequest.bodyText(JSON.stringify(body), "application/json"))

    const byName = (name: string): Effect.Effect<string | undefined, MLflowError> => {
      const what = "experiments/get-by-name"
      const request = HttpClientRequest.get(path(what)).pipe(HttpClientRequest.setUrlParam("experiment_name", name))
      return send(request, what, as(Experiment, what)).pipe(
        Effect.flatMap(({ experiment }) =>
          experiment.lifecycle_stage === "deleted"
            ? Effect.fail(new MLflowError({ message: `the experiment ${name} was deleted`, retryable: false }))
            : Effect.succeed(experiment.experiment_id)
        ),
        Effect.catchIf(
          (error) => error.code === "RESOURCE_DOES_NOT_EXIST",
          () => Effect.succeed(undefined)
        )
      )
    }
    const create = (name: string) => {
      const what = "experiments/create"
      return Effect.map(send(post(what, { name }), what, as(CreatedExperiment, what)), (made) => made.experiment_id)
    }

    return {
      experiment: (name) =>
        Effect.flatMap(byName(name), (known) =>
          known !== undefined
            ? Effect.succeed(known)
            : Effect.catchIf(
                create(name),
                (error) => error.code === "RESOURCE_ALREADY_EXISTS",
                // Somebody else was quicker.
                (error) =>
                  Effect.flatMap(byName(name), (id) => (id === undefined ? Effect.fail(error) : Effect.succeed(id)))
              )
        ),
      createRun: ({ experimentId, name, startTime, tags = {} }) => {
        const what = "runs/create"
        const body = {
          experiment_id: experimentId,
          start_time: Math.round(startTime),
          ...(name === undefined ? {} : { run_name: name }),
          tags: Object.entries(tags).map(([key, value]) => ({ key, value }))
        }
        return Effect.map(send(post(what, body), what, as(CreatedRun, what)), ({ run }) => runOf(run))
      },
      findRun: (experimentId, tag, value) => {
        const what = "runs/search"
        const quoted = value.replaceAll("'", "")
        const body = { experiment_ids: [experimentId], filter: `tags."${tag}" = '${quoted}'`, max_results: 1 }
        return Effect.map(send(post(what, body), what, as(FoundRuns, what)), ({ runs }) =>
          runs?.[0] === undefined ? undefined : runOf(runs[0])
        )
      },
      updateRun: (runId, status, endTime) => {
        const what = "runs/update"
        const end = endTime === undefined ? {} : { end_time: Math.round(endTime) }
        return send(post(what, { run_id: runId, status, ...end }), what, nothing)
      },
      logBatch: (runId, batch) => {
        const what = "runs/log-batch"
        return send(post(what, { run_id: runId, ...batch }), what, nothing)
      },
      putArtifact: (run, name, content, contentType = "application/octet-stream") => {
        const what = "artifacts"
        const target = artifactPath(name)
        if (!artifactScheme.test(run.artifactUri) || target === "") {
          const message = target === "" ? "an artifact needs a name" : "this server does not take artifacts itself"
          return Effect.fail(new MLflowError({ message: `${what}: ${message}`, retryable: false }))
        }
        const folder = artifactPath(run.artifactUri.replace(artifactScheme, ""))
        const request = HttpClientRequest.put(`${base}/api/2.0/mlflow-artifacts/artifacts/${folder}/${target}`)
        const body =
          typeof content === "string"
            ? HttpClientRequest.bodyText(content, contentType)
            : HttpClientRequest.bodyUint8Array(content, contentType)
        return send(body(request), what, nothing)
      }
    }
  })
