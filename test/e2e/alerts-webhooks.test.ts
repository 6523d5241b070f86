/** Webhooks against a real server: signed, slow, broken, redirecting, and gone. */
import { Alerts, type Notifier, Webhook } from "@breakwater/alerts"
import { HttpPool } from "@breakwater/providers"
import { describe, expect, it } from "@effect/vitest"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { failed, finished, succeeded } from "../unit/alerts/support.ts"

setFlagsFromString("--expose_gc")
const collect = runInNewContext("gc") as () => void

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly atMs: number
}

/** A server that answers as it is told, and keeps what it was sent. */
const receiver = (answer: (response: ServerResponse, count: number) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly received: Array<Received>; readonly stop: () => void }>(
      (resume) => {
        const received: Array<Received> = []
        const server = createServer((request, response) => {
          let body = ""
          request.setEncoding("utf8")
          request.on("data", (chunk: string) => (body += chunk))
          request.on("end", () => {
            received.push({ headers: request.headers, body, atMs: performance.now() })
            answer(response, received.length)
          })
        })
        const stop = () => {
          server.closeAllConnections()
          server.close()
        }
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}/hooks/token`, received, stop }))
        })
      }
    ),
    ({ stop }) => Effect.sync(stop)
  )

const key: Webhook.Key = { id: "primary", secret: Redacted.make("a secret of more than sixteen") }

const notification = (id: string): Notifier.Notification => ({
  id,
  status: "firing",
  at: 1,
  alert: {
    id: "errors",
    rule: "errors",
    kind: "error-ratio",
    key: "",
    severity: "page",
    state: "firing",
    since: 1,
    firingAt: 1,
    value: 0.7,
    threshold: 0.5,
    summary: "7 of 10 <calls> failed & more"
  }
})

const until = (check: () => boolean) =>
  Effect.gen(function* () {
    for (let i = 0; i < 250 && !check(); i++) yield* Effect.sleep("20 millis")
    expect(check()).toBe(true)
  })

const quick = {
  retryBase: "20 millis",
  retryCap: "50 millis",
  giveUpAfter: "3 seconds",
  farewell: "100 millis"
} as const

const live = <E>(name: string, body: Effect.Effect<void, E, Scope.Scope>) => it.live(name, () => Effect.scoped(body))

/** Builds it with a client that lives as long as the test. */
const over =
  (client: Layer.Layer<HttpClient.HttpClient, Config.ConfigError>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(Layer.build(client), (context) => Effect.provide(effect, context))

const pooled = over(HttpPool.layer({ connections: 2 }))

const hook = (options: Webhook.Options) => pooled(Webhook.make({ ...quick, ...options }))

describe("a webhook", () => {
  live(
    "is signed so that its receiver can verify it, with the same id for every try",
    Effect.gen(function* () {
      const { received, url } = yield* receiver((response, count) => {
        response.statusCode = count < 3 ? 503 : 204
        response.end()
      })
      const notifier = yield* hook({ url, key })
      notifier.notify(notification("n-1"))
      yield* until(() => notifier.stats().delivered === 1)
      expect(received.length).toBe(3)
      for (const { body, headers } of received) {
        expect(headers["breakwater-delivery"]).toBe("n-1")
        expect(headers["content-type"]).toBe("application/json")
        expect(headers["traceparent"]).toBeUndefined()
        const header = String(headers[Webhook.signatureHeader])
        expect(yield* Webhook.verify({ header, body, keys: [key] })).toBe("primary")
        expect((yield* Effect.flip(Webhook.verify({ header, body: `${body} `, keys: [key] }))).message).toContain(
          "wrong"
        )
      }
      expect(JSON.parse(received[0]!.body)).toMatchObject({
        type: "breakwater.alert",
        version: 1,
        id: "n-1",
        status: "firing",
        alert: { rule: "errors", value: 0.7 }
      })
    })
  )

  live(
    "keeps the order, and waits as long as the server says",
    Effect.gen(function* () {
      const { received, url } = yield* receiver((response, count) => {
        if (count === 1) response.writeHead(429, { "retry-after": "1" }).end()
        else response.end("ok")
      })
      const notifier = yield* hook({ url })
      for (const id of ["a", "b", "c"]) notifier.notify(notification(id))
      yield* until(() => notifier.stats().delivered === 3)
      expect(received.map(({ headers }) => headers["breakwater-delivery"])).toEqual(["a", "a", "b", "c"])
      expect(received[1]!.atMs - received[0]!.atMs).toBeGreaterThan(950)
      expect(received[0]!.headers[Webhook.signatureHeader]).toBeUndefined()
    })
  )

  for (const [name, client] of [
    ["the pool", HttpPool.layer()],
    ["fetch", FetchHttpClient.layer]
  ] as const) {
    live(
      `follows no redirect, and tries nothing again that is refused (${name})`,
      Effect.gen(function* () {
        const elsewhere = yield* receiver((response) => response.end())
        const { received, url } = yield* receiver((response, count) => {
          if (count === 1) response.writeHead(307, { location: elsewhere.url }).end()
          else response.writeHead(404).end("no such hook")
        })
        const notifier = yield* over(client)(Webhook.make({ ...quick, url, key }))
        notifier.notify(notification("a"))
        notifier.notify(notification("b"))
        yield* until(() => notifier.stats().failed === 2)
        expect(received.length).toBe(2)
        expect(elsewhere.received).toEqual([])
        expect(notifier.stats().lastError).toBe(`${new URL(url).origin} answered 404`)
      })
    )
  }

  live(
    "gives up a server that hangs, in time, and one whose answer has no end is an answer",
    Effect.gen(function* () {
      const { received, url } = yield* receiver((response, count) => {
        if (count <= 2) return
        response.writeHead(200)
        const drip = setInterval(() => response.write("x".repeat(1_000)), 5)
        response.on("close", () => clearInterval(drip))
      })
      const notifier = yield* hook({ url, timeout: "150 millis" })
      notifier.notify(notification("a"))
      yield* until(() => notifier.stats().delivered === 1)
      expect(received.length).toBe(3)
    })
  )

  live(
    "that is gone holds up no call, and its queue is bounded",
    Effect.gen(function* () {
      const gone = yield* receiver((response) => response.end())
      gone.stop()
      const alerts = yield* Alerts.make({
        rules: [{ kind: "error-ratio", name: "errors", ratio: 0.5, minimumCalls: 1 }],
        notify: [Webhook.make({ ...quick, url: gone.url, key, capacity: 4 })]
      }).pipe(pooled)
      const started = performance.now()
      for (let i = 0; i < 1_000; i++) alerts.handle(finished("failure"))
      yield* alerts.evaluate
      expect(performance.now() - started).toBeLessThan(500)
      yield* until(() => (yield_(alerts.snapshot).notifiers[0]!.lastError ?? "") !== "")
      const [stats] = yield_(alerts.snapshot).notifiers
      expect(stats!.lastError).toBe(`${new URL(gone.url).origin} cannot be reached`)
      expect(stats!.lastError).not.toContain("token")
      const notifier = yield* hook({ url: gone.url, capacity: 4 })
      for (let i = 0; i < 100; i++) notifier.notify(notification(String(i)))
      expect(notifier.stats().queued).toBeLessThanOrEqual(4)
      expect(notifier.stats().dropped).toBeGreaterThanOrEqual(95)
    })
  )

  live(
    "speaks to Slack in Slack's words",
    Effect.gen(function* () {
      const { received, url } = yield* receiver((response) => response.end("ok"))
      const alerts = yield* Alerts.make({
        rules: [
          { kind: "error-ratio", name: "errors", ratio: 0.5, minimumCalls: 1, perTarget: true, runbook: "Look <here>" }
        ],
        notify: [Webhook.make({ ...quick, url, format: "slack" })]
      }).pipe(pooled)
      for (let i = 0; i < 10; i++) alerts.handle(failed("a/<m>"))
      for (let i = 0; i < 10; i++) alerts.handle(succeeded("b/m"))
      yield* alerts.evaluate
      yield* until(() => received.length === 1)
      const body = JSON.parse(received[0]!.body) as { text: string; blocks: ReadonlyArray<{ text: { text: string } }> }
      expect(body.text).toBe("🔴 errors/a/&lt;m&gt; fires: 10 of 10 attempts at a/&lt;m&gt; failed in 5m")
      expect(body.blocks[1]!.text.text).toContain("runbook: Look &lt;here&gt;")
      expect(body.blocks[1]!.text.text).toContain("suspected: *one-target*: a/&lt;m&gt; fails while others do not.")
    })
  )
})

const yield_ = <A>(effect: Effect.Effect<A>): A => Effect.runSync(effect)

describe("memory", () => {
  live(
    "does not grow with the events",
    Effect.gen(function* () {
      const alerts = yield* Alerts.make({ every: "1 hour" })
      const feed = (from: number, to: number) => {
        for (let i = from; i < to; i++) {
          const target = `p${i % 500}/m${i % 7}`
          alerts.handle(i % 3 === 0 ? failed(target) : succeeded(target))
          alerts.handle(finished(i % 5 === 0 ? "failure" : "success"))
          alerts.handle({
            type: "failed-over",
            requestId: `r${i}`,
            from: target,
            to: `x${i}/m`,
            error: failed(target).error
          })
        }
      }
      const heap = () => {
        collect()
        return process.memoryUsage().heapUsed
      }
      feed(0, 20_000)
      yield* alerts.evaluate
      const before = heap()
      const started = performance.now()
      feed(20_000, 120_000)
      const perEvent = ((performance.now() - started) * 1_000) / 300_000
      yield* alerts.evaluate
      expect(heap() - before).toBeLessThan(4_000_000)
      expect(perEvent).toBeLessThan(100)
      const snapshot = yield* alerts.snapshot
      expect(JSON.stringify(snapshot).length).toBeLessThan(500_000)
    })
  )
})
