/** What a gateway does in the long run: reloads, shuts down, sheds load, lets pages of other origins in, is watched. */
import { Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { chat, configOf, eventually, onStage, post, promised } from "./support.ts"

const get = (url: string, headers: Readonly<Record<string, string>> = {}) => promised(() => fetch(url, { headers }))
const json = (response: Response) => promised(() => response.json() as Promise<Record<string, unknown>>)

const targetOf = (url: string, model: string) =>
  Effect.flatMap(post(`${url}/v1/chat/completions`, chat(model)), (response) =>
    Effect.as(
      promised(() => response.text()),
      response.headers.get("x-breakwater-target") ?? `status ${response.status}`
    )
  )

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "gateway-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

describe("a configuration file", () => {
  it.live("is followed without dropping a request; a wrong one is refused and the old one stays", () =>
    Effect.gen(function* () {
      const first = yield* Upstream.make({ wordDelay: 30 })
      const second = yield* Upstream.make()
      const file = join(yield* temporary, "gateway.json")
      const write = (config: unknown) =>
        writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config))
      const withAlias = (target: string) => configOf(first.url, second.url, { aliases: { fast: target } })
      write(withAlias("first/good"))
      const events: Array<Gateway.ReloadEvent> = []
      const gateway = yield* Gateway.fromFile(file, { onReload: (event) => events.push(event) })
      // A stream that is under way while everything is replaced.
      const stream = yield* Effect.forkChild(
        Effect.flatMap(post(`${gateway.url}/v1/chat/completions`, chat("fast", { stream: true })), (response) =>
          promised(() => response.text())
        )
      )
      assert.isTrue(yield* eventually(Effect.map(first.stats, ({ inFlight }) => inFlight === 1)))
      write(withAlias("second/good"))
      assert.isTrue(yield* eventually(Effect.sync(() => events.length === 1)))
      assert.strictEqual(events[0]!.type, "reloaded")
      assert.strictEqual(yield* targetOf(gateway.url, "fast"), "second/good")

      write('{"providers":{"first":{"type":"nonsense"}}}')
      assert.isTrue(yield* eventually(Effect.sync(() => events.length === 2)))
      const refused = events[1]!
      assert.isTrue(
        refused.type === "refused" && refused.issues[0]!.startsWith("providers.first.type:"),
        JSON.stringify(refused)
      )
      write("{")
      assert.isTrue(yield* eventually(Effect.sync(() => events.length === 3)))
      assert.strictEqual(yield* targetOf(gateway.url, "fast"), "second/good")

      write(withAlias("first/good"))
      process.kill(process.pid, "SIGHUP")
      assert.isTrue(yield* eventually(Effect.sync(() => events.length >= 4)))
      assert.isTrue((yield* Fiber.join(stream)).endsWith("data: [DONE]\n\n"))
    }).pipe(Effect.scoped)
  )

  it.live("may be replaced again and again under load", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          let failed = 0
          const asking = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: 100 }),
              () =>
                Effect.map(targetOf(stage.url, "fast"), (target) => {
                  if (!target.endsWith("/good")) failed++
                }),
              { concurrency: 5 }
            )
          )
          for (let i = 0; i < 10; i++) {
            yield* stage.gateway.reload(
              configOf(stage.first.url, stage.second.url, {
                aliases: { fast: i % 2 === 0 ? "second/good" : "first/good" }
              })
            )
            yield* Effect.sleep("10 millis")
          }
          yield* Fiber.join(asking)
          assert.strictEqual(failed, 0)
        }),
      { aliases: { fast: "first/good" } }
    )
  )

  it.live("keeps what breakers know", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        for (let i = 0; i < 6; i++) yield* targetOf(stage.url, "first/error-500")
        const before = (yield* stage.first.stats).total
        yield* stage.gateway.reload(configOf(stage.first.url, stage.second.url))
        const response = yield* post(`${stage.url}/v1/chat/completions`, chat("first/error-500"))
        assert.strictEqual(response.status, 503)
        assert.isAbove(Number(response.headers.get("retry-after")), 0)
        assert.strictEqual((yield* stage.first.stats).total, before)
      })
    )
  )
})

describe("a shutdown", () => {
  const started = (more: object) =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make({ wordDelay: 40 })
      const scope = yield* Scope.make()
      const gateway = yield* Scope.provide(Gateway.make(configOf(upstream.url, upstream.url, more)), scope)
      const stream = yield* Effect.forkChild(
        Effect.exit(
          Effect.flatMap(post(`${gateway.url}/v1/chat/completions`, chat("first/good", { stream: true })), (response) =>
            promised(() => response.text())
          )
        )
      )
      yield* eventually(Effect.map(upstream.stats, ({ inFlight }) => inFlight === 1))
      return { upstream, gateway, stream, close: Scope.close(scope, Exit.void) }
    })

  it.live("lets streams finish, and takes nothing new", () =>
    Effect.gen(function* () {
      const { close, gateway, stream } = yield* started({})
      const closing = yield* Effect.forkChild(close)
      yield* Effect.sleep("100 millis")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(get(`${gateway.url}/health`))))
      const exit = yield* Fiber.join(stream)
      assert.isTrue(Exit.isSuccess(exit) && exit.value.endsWith("data: [DONE]\n\n"))
      yield* Fiber.join(closing)
      assert.strictEqual(gateway.connections(), 0)
    }).pipe(Effect.scoped)
  )

  it.live("does not wait longer than its limit", () =>
    Effect.gen(function* () {
      const { close, stream, upstream } = yield* started({ limits: { shutdown: "100ms" } })
      const before = performance.now()
      yield* close
      assert.isBelow(performance.now() - before, 2_000)
      yield* Fiber.join(stream)
      assert.isTrue(yield* eventually(Effect.map(upstream.stats, ({ inFlight }) => inFlight === 0)))
    }).pipe(Effect.scoped)
  )

  it.live("of an idle server is quick, kept connections or not", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const scope = yield* Scope.make()
      const gateway = yield* Scope.provide(Gateway.make(configOf(upstream.url, upstream.url)), scope)
      yield* targetOf(gateway.url, "first/good")
      const before = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - before, 1_500)
    }).pipe(Effect.scoped)
  )
})

describe("too much load", () => {
  it.live("is shed with 503 and a time to come back", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const url = `${stage.url}/v1/chat/completions`
          const slow = yield* Effect.forEach(Array.from({ length: 3 }), () =>
            Effect.forkChild(targetOf(stage.url, "first/good"))
          )
          yield* eventually(Effect.map(stage.first.stats, ({ inFlight }) => inFlight === 3))
          const refused = yield* post(url, chat("first/good"))
          assert.strictEqual(refused.status, 503)
          assert.isAbove(Number(refused.headers.get("retry-after")), 0)
          const anthropic = yield* post(`${stage.url}/v1/messages`, chat("first/good"))
          assert.strictEqual(anthropic.status, 529)
          assert.strictEqual((yield* get(`${stage.url}/health`)).status, 200)
          for (const fiber of slow) assert.strictEqual(yield* Fiber.join(fiber), "first/good")
        }),
      { limits: { concurrency: 3 } },
      { wordDelay: 20 }
    )
  )
})

describe("health, metrics and description", () => {
  it.live("say how things stand", () =>
    onStage((stage) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* json(yield* get(`${stage.url}/health`)), { status: "ok" })
        const ready = yield* get(`${stage.url}/ready`)
        assert.strictEqual(ready.status, 200)
        const { providers, status } = yield* json(ready)
        assert.strictEqual(status, "ready")
        assert.deepNestedInclude(providers as object, { "first.reachable": true })
        yield* targetOf(stage.url, "first/good")
        const metrics = yield* get(`${stage.url}/metrics`)
        assert.match(metrics.headers.get("content-type")!, /^text\/plain/)
        const text = yield* promised(() => metrics.text())
        assert.match(text, /breakwater_attempts_total\{[^}]*target="first\/good"[^}]*\} [1-9]/)
        const api = yield* json(yield* get(`${stage.url}/openapi.json`))
        assert.strictEqual(api["openapi"], "3.1.0")
        assert.includeMembers(Object.keys(api["paths"] as object), [
          "/v1/chat/completions",
          "/v1/messages",
          "/admin/breakers"
        ])
      })
    )
  )

  it.live("say that nobody is there", () =>
    Effect.gen(function* () {
      const gateway = yield* Gateway.make({
        providers: { p: { type: "openai-compatible", baseUrl: "http://127.0.0.1:1/v1", apiKey: "x" } }
      })
      const ready = yield* get(`${gateway.url}/ready`)
      assert.strictEqual(ready.status, 503)
      assert.strictEqual((yield* get(`${gateway.url}/health`)).status, 200)
    }).pipe(Effect.scoped)
  )
})

describe("pages of other origins", () => {
  it.live("are let in if the configuration names them", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const url = `${stage.url}/v1/models`
          const preflight = yield* promised(() =>
            fetch(url, {
              method: "OPTIONS",
              headers: { origin: "https://a.example", "access-control-request-headers": "x-b" }
            })
          )
          assert.strictEqual(preflight.status, 204)
          assert.strictEqual(preflight.headers.get("access-control-allow-origin"), "https://a.example")
          assert.strictEqual(preflight.headers.get("access-control-allow-headers"), "x-b")
          const other = yield* get(url, { origin: "https://b.example" })
          assert.isNull(other.headers.get("access-control-allow-origin"))
          assert.strictEqual(other.headers.get("vary"), "origin")
        }),
      { cors: { origins: ["https://a.example"] } }
    )
  )
})

describe("one record a request", () => {
  it.live("says who, what and how it ended, and nothing of the prompt", () => {
    const records: Array<Gateway.AccessRecord> = []
    return onStage(
      (stage) =>
        Effect.gen(function* () {
          yield* targetOf(stage.url, "first/error-500-once")
          yield* targetOf(stage.url, "nobody/x")
          assert.isTrue(yield* eventually(Effect.sync(() => records.length === 2)))
          assert.deepInclude(records[0], {
            method: "POST",
            path: "/v1/chat/completions",
            status: 200,
            target: "first/error-500-once",
            attempts: 2,
            caller: "anonymous"
          })
          assert.deepInclude(records[1], { status: 404, error: "not-found" })
          assert.notInclude(JSON.stringify(records), "harbour")
        }),
      {},
      { onAccess: (record) => records.push(record) }
    )
  })
})

describe("routes", () => {
  it.live("send by weight, fail over in order, and answer to auto", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const seen = new Map<string, number>()
          for (let i = 0; i < 60; i++) {
            const target = yield* targetOf(stage.url, "split")
            seen.set(target, (seen.get(target) ?? 0) + 1)
          }
          assert.isAbove(seen.get("first/good") ?? 0, 20)
          assert.isAbove(seen.get("second/good") ?? 0, 1)
          assert.strictEqual(yield* targetOf(stage.url, "auto"), "second/good")
          assert.strictEqual(yield* targetOf(stage.url, "safe"), "second/good")
        }),
      {
        defaultRoute: "safe",
        routes: {
          split: {
            order: "weighted",
            targets: [
              { target: "first/good", weight: 3 },
              { target: "second/good", weight: 1 }
            ]
          },
          safe: { targets: ["first/overloaded-503", "second/good"], retries: 0 }
        }
      }
    )
  )
})

describe("money", () => {
  const prices = { overrides: { "first/good": { input: "1000", output: "1000" } } }

  it.live("is told where prices are known, and budgets hold", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const ask = post(`${stage.url}/v1/chat/completions`, chat("first/good", { max_tokens: 60 }), {
            "x-breakwater-user": "ada"
          })
          const first = yield* ask
          const { usage } = (yield* json(first)) as { usage: { total_tokens: number } }
          const cost = Number(first.headers.get("x-breakwater-cost"))
          assert.closeTo(cost, usage.total_tokens / 1_000, 1e-9)
          assert.closeTo(Number(first.headers.get("x-breakwater-budget-remaining")), 0.5 - cost, 1e-9)
          let last = first
          for (let i = 0; i < 10 && last.status === 200; i++) last = yield* ask
          assert.strictEqual(last.status, 429)
          const refused = (yield* json(last)) as { error: { code: string } }
          assert.strictEqual(refused.error.code, "budget_exceeded")
          // Nobody knows what this one costs, and there is a budget.
          const unpriced = yield* post(`${stage.url}/v1/chat/completions`, chat("second/good"))
          assert.strictEqual(unpriced.status, 400)
        }),
      { prices, budgets: [{ scope: "user", period: "day", limit: "0.5" }] }
    )
  )
})
