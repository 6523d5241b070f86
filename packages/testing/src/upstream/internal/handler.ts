/** From an HTTP request to a behaviour, or to a control answer. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Http from "node:http"
import { faults } from "../faults.ts"
import { answerTo } from "./answer.ts"
import { anthropic } from "./anthropic.ts"
import { type Ask, fromChatCompletions, fromEmbeddings, fromMessages, isRecord } from "./Ask.ts"
import { behaviours } from "./behaviours.ts"
import { Exchange } from "./Exchange.ts"
import { openai } from "./openai.ts"
import { select } from "./select.ts"
import type { ServerState } from "./state.ts"
import type { Wire } from "./wire.ts"

type Run = (effect: Effect.Effect<void>) => Fiber.Fiber<void>

interface Route {
  readonly wire: Wire
  readonly read: (body: Readonly<Record<string, unknown>>) => Ask
  /** What is wrong with a body or its headers, as the wire would put it. */
  readonly complaint: (body: Readonly<Record<string, unknown>>, headers: Http.IncomingHttpHeaders) => string | undefined
}

const missing = (
  body: Readonly<Record<string, unknown>>,
  fields: ReadonlyArray<string>,
  say: (field: string) => string
) => {
  const field = fields.find((each) => body[each] === undefined)
  return field === undefined ? undefined : say(field)
}

const openAISays = (field: string) => `Missing required parameter: '${field}'.`

const routes: Readonly<Record<string, Route>> = {
  "/v1/chat/completions": {
    wire: openai,
    read: fromChatCompletions,
    complaint: (body) => missing(body, ["model", "messages"], openAISays)
  },
  "/v1/embeddings": {
    wire: openai,
    read: fromEmbeddings,
    complaint: (body) => missing(body, ["model", "input"], openAISays)
  },
  "/v1/messages": {
    wire: anthropic,
    read: fromMessages,
    complaint: (body, headers) =>
      headers["anthropic-version"] === undefined
        ? "anthropic-version: header is required"
        : missing(body, ["model", "messages", "max_tokens"], (field) => `${field}: Field required`)
  }
}

const json = (response: Http.ServerResponse, status: number, body: unknown) => {
  const text = JSON.stringify(body)
  response.writeHead(status, { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) })
  response.end(text)
}

const clientOf = (headers: Http.IncomingHttpHeaders): string => {
  const named = headers["x-client-id"] ?? headers["x-api-key"] ?? headers.authorization
  const value = Array.isArray(named) ? named[0] : named
  if (value === undefined || value.length === 0) return "anonymous"
  return headers["x-client-id"] === undefined ? `…${value.slice(-4)}` : value
}

const models = {
  object: "list",
  data: faults.map(({ model }) => ({ id: model, object: "model", created: 1_767_225_600, owned_by: "upstream" }))
}

const control = (state: ServerState, request: Http.IncomingMessage, response: Http.ServerResponse, url: URL): void => {
  const ms = Number(url.searchParams.get("ms") ?? "NaN")
  switch (`${request.method} ${url.pathname}`) {
    case "GET /v1/models":
      return json(response, 200, models)
    case "GET /_control/stats":
      return json(response, 200, state.stats())
    case "GET /_control/requests":
      return json(response, 200, state.requests)
    case "POST /_control/reset":
      state.reset()
      return json(response, 200, { ok: true })
    case "POST /_control/outage":
      state.startOutage(ms >= 0 ? ms : undefined)
      return json(response, 200, { ok: true })
    default:
      return json(response, 404, {
        error: {
          message: `Invalid URL (${request.method} ${url.pathname})`,
          type: "invalid_request_error",
          param: null,
          code: null
        }
      })
  }
}

const parse = (bytes: ReadonlyArray<Buffer>): unknown => {
  try {
    return JSON.parse(Buffer.concat(bytes).toString("utf8"))
  } catch {
    return undefined
  }
}

const answer = (
  state: ServerState,
  run: Run,
  wordMillis: number,
  route: Route,
  path: string,
  request: Http.IncomingMessage,
  response: Http.ServerResponse,
  body: unknown
) => {
  const stamp = state.stamp()
  const complaint = isRecord(body)
    ? route.complaint(body, request.headers)
    : "We could not parse the JSON body of your request."
  if (!isRecord(body) || complaint !== undefined) {
    const reply = route.wire.problem("bad-request", { model: "" }, stamp, complaint ?? "")
    response.writeHead(reply.status, reply.headers)
    response.end(reply.body)
    return
  }
  const ask = route.read(body)
  const callNumber = state.received({ path, model: ask.model, client: clientOf(request.headers), body })
  const selection = select(ask.model)
  const faulty =
    callNumber > selection.after &&
    callNumber <= selection.after + selection.times &&
    (selection.fault !== "recovering" || state.isDown(selection.parameter))
  const exchange = new Exchange({
    ask,
    wire: route.wire,
    stamp,
    answer: answerTo(ask, selection.fault === "prefill-ok"),
    parameter: selection.parameter,
    callNumber: callNumber - selection.after,
    response,
    wordMillis
  })
  const behaviour = behaviours[faulty ? selection.fault : "good"](exchange)
  // A bug in here must not look like silence.
  const fiber = run(Effect.catchDefect(behaviour, () => exchange.cut))
  state.inFlight++
  response.once("close", () => {
    state.inFlight--
    if (!response.writableFinished && !exchange.destroyed && !state.closing) state.aborted++
    fiber.interruptUnsafe()
  })
}

/** The listener of the server's requests. */
export const handler =
  (state: ServerState, run: Run, wordMillis: number) =>
  (request: Http.IncomingMessage, response: Http.ServerResponse): void => {
    const target = `http://upstream${request.url}`
    const url = new URL(URL.canParse(target) ? target : "http://upstream/")
    const route = request.method === "POST" ? routes[url.pathname] : undefined
    if (route === undefined) {
      request.resume()
      return control(state, request, response, url)
    }
    const bytes: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => bytes.push(chunk))
    request.once("end", () => answer(state, run, wordMillis, route, url.pathname, request, response, parse(bytes)))
  }
