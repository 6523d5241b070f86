/**
 * A server that speaks as much of MLflow's REST API 2.0 as tracking uses, and is stricter than MLflow: a field that is
 * missing, of another type, unknown or too large is a 400, as the published API has it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

interface Metric {
  readonly key: string
  readonly value: number
  readonly timestamp: number
  readonly step: number
}

interface KeptRun {
  readonly id: string
  readonly experiment: string
  readonly name: string | undefined
  readonly startTime: number
  status: string
  endTime: number | undefined
  readonly metrics: Array<Metric>
  readonly params: Map<string, string>
  readonly tags: Map<string, string>
}

export interface MLflowServer {
  readonly url: string
  readonly experiments: Map<string, string>
  readonly runs: Array<KeptRun>
  readonly artifacts: Map<string, { readonly content: string; readonly type: string | undefined }>
  readonly traces: Array<{ readonly headers: IncomingMessage["headers"]; readonly bytes: number }>
  /** Paths that were asked for, in order. */
  readonly asked: Array<string>
  /** Sizes of the batches. */
  readonly batches: Array<number>
  /** What was wrong with requests, for tests to see that nothing was. */
  readonly wrong: Array<string>
  /** Answers before the server does: a status, or nothing to go on. `hang` answers never. */
  intercept: (path: string) => number | "hang" | "answer-late" | undefined
  authorization: string | undefined
}

class Refused extends Error {
  readonly status: number
  readonly code: string
  constructor(code: string, message: string, status = 400) {
    super(message)
    this.code = code
    this.status = status
  }
}

const invalid = (message: string): never => {
  throw new Refused("INVALID_PARAMETER_VALUE", message)
}

type Fields = Readonly<Record<string, { readonly type: string; readonly required?: boolean }>>

const typeOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : Number.isSafeInteger(value) ? "int" : typeof value

const checked = (what: string, value: unknown, fields: Fields): Record<string, unknown> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid(`${what} is no object`)
  const given = value as Record<string, unknown>
  for (const name of Object.keys(given)) if (fields[name] === undefined) invalid(`${what} has the field ${name}`)
  for (const [name, { required, type }] of Object.entries(fields)) {
    if (given[name] === undefined) {
      if (required === true) invalid(`${what} has no ${name}`)
      continue
    }
    const actual = typeOf(given[name])
    if (actual !== type && !(type === "number" && actual === "int")) invalid(`${what}.${name} is ${actual}`)
  }
  return given
}

const text = { type: "string", required: true }
const key = /^[/\w.\- :]+$/

const pairs = (what: string, value: unknown, longest: number): ReadonlyArray<{ key: string; value: string }> =>
  ((value ?? []) as ReadonlyArray<unknown>).map((each) => {
    const pair = checked(what, each, { key: text, value: text }) as { key: string; value: string }
    if (!key.test(pair.key) || pair.key.length > 250) invalid(`${what} has the key ${pair.key}`)
    if (pair.value.length > longest) invalid(`${what}.${pair.key} is too long`)
    return pair
  })

const bodyOf = (request: IncomingMessage): Promise<Buffer> =>
  new Promise((resolve) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => resolve(Buffer.concat(chunks)))
  })

const infoOf = (run: KeptRun) => ({
  info: { run_id: run.id, run_uuid: run.id, artifact_uri: `mlflow-artifacts:/${run.experiment}/${run.id}/artifacts` },
  data: {}
})

class State implements MLflowServer {
  url = ""
  readonly experiments = new Map<string, string>()
  readonly runs: Array<KeptRun> = []
  readonly artifacts: MLflowServer["artifacts"] = new Map()
  readonly traces: MLflowServer["traces"] = []
  readonly asked: Array<string> = []
  readonly batches: Array<number> = []
  readonly wrong: Array<string> = []
  intercept: MLflowServer["intercept"] = () => undefined
  authorization: string | undefined = undefined

  run(id: unknown): KeptRun {
    const run = this.runs.find((each) => each.id === id)
    if (run === undefined) throw new Refused("RESOURCE_DOES_NOT_EXIST", `Run with id=${String(id)} not found`, 404)
    return run
  }

  answer(method: string, url: URL, request: IncomingMessage, raw: Buffer): unknown {
    const path = url.pathname
    const json = () => {
      if (request.headers["content-type"] !== "application/json") invalid("the body is no JSON")
      return JSON.parse(raw.toString("utf8")) as unknown
    }
    const is = (verb: string, name: string) => method === verb && path === `/api/2.0/mlflow/${name}`
    if (is("GET", "experiments/get-by-name")) return this.byName(url.searchParams)
    if (is("POST", "experiments/create")) return this.createExperiment(json())
    if (is("POST", "runs/create")) return this.createRun(json())
    if (is("POST", "runs/search")) return this.search(json())
    if (is("POST", "runs/update")) return this.update(json())
    if (is("POST", "runs/log-batch")) return this.logBatch(json(), raw.length)
    const artifacts = "/api/2.0/mlflow-artifacts/artifacts/"
    if (method === "PUT" && path.startsWith(artifacts)) {
      const type = request.headers["content-type"]
      this.artifacts.set(decodeURIComponent(path.slice(artifacts.length)), { content: raw.toString("utf8"), type })
      return {}
    }
    if (method === "POST" && path === "/v1/traces") {
      if (request.headers["x-mlflow-experiment-id"] === undefined) throw new Refused("422", "no experiment", 422)
      if (request.headers["content-type"] !== "application/x-protobuf") invalid("no protobuf")
      this.traces.push({ headers: request.headers, bytes: raw.length })
      return {}
    }
    throw new Refused("ENDPOINT_NOT_FOUND", `${method} ${path}`, 404)
  }

  private byName(params: URLSearchParams): unknown {
    const id = this.experiments.get(params.get("experiment_name") ?? invalid("no experiment_name"))
    if (id === undefined) throw new Refused("RESOURCE_DOES_NOT_EXIST", "Could not find experiment", 404)
    return { experiment: { experiment_id: id, lifecycle_stage: "active" } }
  }

  private createExperiment(body: unknown): unknown {
    const { name } = checked("experiments/create", body, { name: text }) as { name: string }
    if (name === "" || name.length > 500) invalid("the name")
    if (this.experiments.has(name)) throw new Refused("RESOURCE_ALREADY_EXISTS", "Experiment already exists")
    const id = String(this.experiments.size + 1)
    this.experiments.set(name, id)
    return { experiment_id: id }
  }

  private createRun(body: unknown): unknown {
    const given = checked("runs/create", body, {
      experiment_id: text,
      start_time: { type: "int", required: true },
      run_name: { type: "string" },
      tags: { type: "array" }
    })
    if (![...this.experiments.values()].includes(given["experiment_id"] as string)) invalid("no such experiment")
    const run: KeptRun = {
      id: `run${this.runs.length}`,
      experiment: given["experiment_id"] as string,
      name: given["run_name"] as string | undefined,
      startTime: given["start_time"] as number,
      status: "RUNNING",
      endTime: undefined,
      metrics: [],
      params: new Map(),
      tags: new Map(pairs("tags", given["tags"], 5_000).map((tag) => [tag.key, tag.value]))
    }
    this.runs.push(run)
    return { run: infoOf(run) }
  }

  private search(body: unknown): unknown {
    const given = checked("runs/search", body, {
      experiment_ids: { type: "array", required: true },
      filter: { type: "string" },
      max_results: { type: "int" }
    })
    const match = /^tags\."([^"]+)" = '([^']*)'$/.exec(given["filter"] as string) ?? invalid("the filter")
    const found = this.runs.find((run) => run.tags.get(match[1]!) === match[2])
    return found === undefined ? {} : { runs: [infoOf(found)] }
  }

  private update(body: unknown): unknown {
    const given = checked("runs/update", body, { run_id: text, status: text, end_time: { type: "int" } })
    if (!["RUNNING", "FINISHED", "FAILED", "KILLED"].includes(given["status"] as string)) invalid("the status")
    const run = this.run(given["run_id"])
    run.status = given["status"] as string
    run.endTime = given["end_time"] as number | undefined
    return {}
  }

  private logBatch(body: unknown, bytes: number): unknown {
    if (bytes > 1_000_000) invalid("the body is too large")
    const given = checked("runs/log-batch", body, {
      run_id: text,
      metrics: { type: "array" },
      params: { type: "array" },
      tags: { type: "array" }
    })
    const run = this.run(given["run_id"])
    const metrics = ((given["metrics"] ?? []) as ReadonlyArray<unknown>).map((each) => {
      const metric = checked("a metric", each, {
        key: text,
        value: { type: "number", required: true },
        timestamp: { type: "int", required: true },
        step: { type: "int" }
      }) as unknown as Metric
      if (!key.test(metric.key) || metric.key.length > 250) invalid(`the metric ${metric.key}`)
      return metric
    })
    const params = pairs("a parameter", given["params"], 6_000)
    const tags = pairs("a tag", given["tags"], 5_000)
    const count = metrics.length + params.length + tags.length
    if (metrics.length > 1_000 || params.length > 100 || tags.length > 100 || count > 1_000) invalid("too much")
    for (const { key, value } of params) {
      if ((run.params.get(key) ?? value) !== value) invalid(`the parameter ${key} has another value`)
    }
    this.batches.push(count)
    run.metrics.push(...metrics)
    for (const { key, value } of params) run.params.set(key, value)
    for (const { key, value } of tags) run.tags.set(key, value)
    return {}
  }
}

const respond = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const handle = async (state: State, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const raw = await bodyOf(request)
  const url = new URL(request.url ?? "/", "http://localhost")
  state.asked.push(url.pathname.replace("/api/2.0/mlflow/", ""))
  const early = state.intercept(url.pathname)
  if (early === "hang") return
  if (typeof early === "number") return respond(response, early, { error_code: "INTERNAL_ERROR", message: "no" })
  try {
    if (state.authorization !== undefined && request.headers.authorization !== state.authorization)
      throw new Refused("UNAUTHENTICATED", "who are you", 401)
    const body = state.answer(request.method ?? "", url, request, raw)
    if (early !== "answer-late") respond(response, 200, body)
  } catch (error) {
    const { code, message, status } =
      error instanceof Refused ? error : { code: "INTERNAL_ERROR", message: String(error), status: 500 }
    if (status !== 401 && code !== "RESOURCE_DOES_NOT_EXIST") state.wrong.push(message)
    respond(response, status, { error_code: code, message })
  }
}

/** A server that goes with the scope. */
export const startMLflow: Effect.Effect<MLflowServer, never, Scope.Scope> = Effect.gen(function* () {
  const state = new State()
  const server = createServer((request, response) => void handle(state, request, response))
  yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
  )
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return state
})
