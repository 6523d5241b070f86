/** An OTLP/HTTP collector for tests: it keeps what it is sent, decoded from JSON. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"

/** A value of OTLP JSON as a plain one. */
interface AnyValue {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: string | number
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values?: ReadonlyArray<AnyValue> }
  readonly kvlistValue?: { readonly values?: ReadonlyArray<KeyValue> }
}
interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}

const plain = (value: AnyValue): unknown =>
  value.stringValue ??
  value.boolValue ??
  (value.intValue === undefined ? undefined : Number(value.intValue)) ??
  value.doubleValue ??
  value.arrayValue?.values?.map(plain) ??
  (value.kvlistValue === undefined ? undefined : attributesOf(value.kvlistValue.values ?? []))

const attributesOf = (pairs: ReadonlyArray<KeyValue> | undefined): Readonly<Record<string, unknown>> =>
  Object.fromEntries((pairs ?? []).map(({ key, value }) => [key, plain(value)]))

interface ReceivedSpan {
  readonly name: string
  readonly kind: number
  readonly spanId: string
  readonly traceId: string
  readonly parentSpanId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: ReadonlyArray<{ readonly spanId: string; readonly attributes: Readonly<Record<string, unknown>> }>
  readonly status: number
  readonly durationMs: number
}

interface ReceivedPoint {
  readonly metric: string
  readonly kind: "sum" | "gauge" | "histogram"
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: number
}

interface ReceivedLog {
  readonly severity: string
  readonly body: unknown
  readonly attributes: Readonly<Record<string, unknown>>
}

// oxlint-disable-next-line no-explicit-any
type Raw = { readonly [key: string]: any }

class Collector {
  readonly spans: Array<ReceivedSpan> = []
  readonly points: Array<ReceivedPoint> = []
  readonly logs: Array<ReceivedLog> = []
  readonly paths: Array<string> = []
  readonly bodies: Array<string> = []

  receive(path: string, body: string): void {
    this.paths.push(path)
    this.bodies.push(body)
    const json = JSON.parse(body) as Raw
    for (const { scopeSpans } of json["resourceSpans"] ?? [])
      for (const { spans } of scopeSpans) spans.forEach(this.span)
    for (const { scopeMetrics } of json["resourceMetrics"] ?? []) {
      for (const { metrics } of scopeMetrics) metrics.forEach(this.metric)
    }
    for (const { scopeLogs } of json["resourceLogs"] ?? [])
      for (const { logRecords } of scopeLogs) logRecords.forEach(this.log)
  }

  private readonly span = (raw: Raw): void => {
    this.spans.push({
      name: raw["name"],
      kind: raw["kind"],
      spanId: raw["spanId"],
      traceId: raw["traceId"],
      parentSpanId: raw["parentSpanId"],
      attributes: attributesOf(raw["attributes"]),
      links: (raw["links"] ?? []).map((link: Raw) => ({
        spanId: link["spanId"],
        attributes: attributesOf(link["attributes"])
      })),
      status: raw["status"]?.code,
      durationMs: Number(BigInt(raw["endTimeUnixNano"]) - BigInt(raw["startTimeUnixNano"])) / 1e6
    })
  }

  private readonly metric = (raw: Raw): void => {
    for (const kind of ["sum", "gauge", "histogram"] as const) {
      for (const point of raw[kind]?.dataPoints ?? []) {
        const value = Number(kind === "histogram" ? point.count : (point.asInt ?? point.asDouble))
        this.points.push({ metric: raw["name"], kind, attributes: attributesOf(point.attributes), value })
      }
    }
  }

  private readonly log = (raw: Raw): void => {
    this.logs.push({
      severity: raw["severityText"],
      body: plain(raw["body"] ?? {}),
      attributes: attributesOf(raw["attributes"])
    })
  }
}

/** How a collector behaves: well, or with a status, or by never answering, or never to the end. */
export type Manner = "well" | "silent" | "stalls" | 500

const listening = (manner: Manner, collector: Collector): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => (body += text))
      request.on("end", () => {
        if (manner === "silent") return
        if (manner === "stalls") return void response.writeHead(200, { "content-length": "100" }).write("{")
        if (manner === "well") collector.receive(request.url ?? "", body)
        response.writeHead(manner === "well" ? 200 : manner, { "content-type": "application/json" }).end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => resolve(server))
  })

/** A collector on a free port, until the scope ends. */
export const makeCollector = (manner: Manner = "well") =>
  Effect.gen(function* () {
    const collector = new Collector()
    const server = yield* Effect.acquireRelease(
      Effect.promise(() => listening(manner, collector)),
      (server) =>
        Effect.promise(
          () =>
            new Promise<void>((resolve) => {
              server.closeAllConnections()
              server.close(() => resolve())
            })
        )
    )
    const sockets = Effect.callback<number>(
      (resume) => void server.getConnections((_, count) => resume(Effect.succeed(count)))
    )
    return { collector, sockets, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  })
