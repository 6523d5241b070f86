/** Alerts of a gateway: fired by real failures, told to a real receiver, seen at `/admin/alerts`, kept over a reload. */
import { Webhook } from "@breakwater/alerts"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { chat, configOf, eventually, onStage, post, promised } from "./support.ts"

const secret = "a secret of the gateway"

const receiver = Effect.acquireRelease(
  Effect.callback<{
    readonly url: string
    readonly received: Array<{ body: string; header: string }>
    close: () => void
  }>((resume) => {
    const received: Array<{ body: string; header: string }> = []
    const server = createServer((request, response) => {
      let body = ""
      request.on("data", (chunk) => (body += String(chunk)))
      request.on("end", () => {
        received.push({ body, header: String(request.headers[Webhook.signatureHeader]) })
        response.end()
      })
    })
    const close = () => {
      server.closeAllConnections()
      server.close()
    }
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}/hook/token`, received, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const alertsOf = (url: string, more: object = {}) => ({
  rules: [
    { kind: "error-ratio", name: "target", ratio: 0.5, minimumCalls: 4, perTarget: true },
    { kind: "circuit-open", name: "circuit" }
  ],
  every: "100ms",
  webhooks: [{ url, key: { id: "first", secret } }],
  ...more
})

interface Snapshot {
  readonly rules: ReadonlyArray<{ readonly name: string; readonly state: string }>
  readonly firing: ReadonlyArray<{ readonly id: string; readonly firingAt: number }>
  readonly incidents: ReadonlyArray<{
    readonly status: string
    readonly causes: ReadonlyArray<{ readonly name: string }>
  }>
}

const seen = (url: string) =>
  promised(async (signal) => (await (await fetch(`${url}/admin/alerts`, { signal })).json()) as Snapshot)

it.live("a target that fails fires an alert, holds its circuit open, and is told, signed", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const hook = yield* receiver
      const routes = {
        main: { targets: ["first/error-500", "second/good"], retries: 0, breaker: { minimumCalls: 100 } }
      }
      yield* onStage(
        ({ first, gateway, second, url }) =>
          Effect.gen(function* () {
            for (let i = 0; i < 6; i++)
              expect((yield* post(`${url}/v1/chat/completions`, chat("main"))).status).toBe(200)
            expect(yield* eventually(Effect.map(seen(url), ({ firing }) => firing.length > 0))).toBe(true)
            const snapshot = yield* seen(url)
            expect(snapshot.firing.map(({ id }) => id)).toEqual(["target/first/error-500"])
            expect(snapshot.rules.map(({ name, state }) => `${name} ${state}`)).toEqual([
              "target firing",
              "circuit inactive"
            ])
            expect(snapshot.incidents[0]!.causes[0]!.name).toBe("one-target")

            expect(yield* eventually(Effect.sync(() => hook.received.length > 0))).toBe(true)
            const { body, header } = hook.received[0]!
            const keys = [{ id: "first", secret: Redacted.make(secret) }]
            expect(yield* Webhook.verify({ header, body, keys })).toBe("first")
            expect(JSON.parse(body)).toMatchObject({ status: "firing", alert: { id: "target/first/error-500" } })

            const { breakers } = yield* promised(
              async (signal) =>
                (await (await fetch(`${url}/admin/breakers`, { signal })).json()) as {
                  readonly breakers: ReadonlyArray<{ readonly key: string; readonly state: string }>
                }
            )
            expect(
              breakers.filter(({ key, state }) => key === "first/error-500" && state === "forced-open").length
            ).toBe(2)

            // Nothing of it is secret by the configuration's own page.
            const config = yield* promised(async (signal) => (await fetch(`${url}/admin/config`, { signal })).text())
            expect(config).not.toContain(secret)
            expect(config).not.toContain("/hook/token")

            // A reload that does not change the alerts changes nothing of what they know.
            const at = snapshot.firing[0]!.firingAt
            const alerts = alertsOf(hook.url, { holdOpen: { rules: ["target"] } })
            yield* gateway.reload(
              configOf(first.url, second.url, { routes, alerts, aliases: { other: "second/good" } })
            )
            expect((yield* seen(url)).firing[0]!.firingAt).toBe(at)
            // One without them has none.
            yield* gateway.reload(configOf(first.url, second.url, { routes }))
            const gone = yield* promised((signal) => fetch(`${url}/admin/alerts`, { signal }))
            expect(gone.status).toBe(404)
            expect(yield* promised(() => gone.text())).toContain("alerts turns them on")
          }),
        { routes, alerts: alertsOf(hook.url, { holdOpen: { rules: ["target"] } }) }
      )
    })
  )
)

it.live("a receiver that is gone harms no request", () =>
  onStage(
    ({ url }) =>
      Effect.gen(function* () {
        for (let i = 0; i < 6; i++) yield* post(`${url}/v1/chat/completions`, chat("first/error-400"))
        expect((yield* post(`${url}/v1/chat/completions`, chat("first/good"))).status).toBe(200)
        const { rules } = yield* seen(url)
        expect(rules.length).toBe(2)
      }),
    { alerts: alertsOf("http://127.0.0.1:1/nobody") }
  )
)
