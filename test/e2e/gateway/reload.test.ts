/** A configuration that is replaced all the time, and files that go through everything that files go through. */
import { ApiKeys, Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { build } from "../../../packages/gateway/src/config/Build.ts"
import { decode } from "../../../packages/gateway/src/config/Load.ts"
import * as Reload from "../../../packages/gateway/src/config/Reload.ts"
import { chat, configOf, eventually, type Json, onStage, post, promised } from "./support.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "gateway-reload-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Changes everything that a configuration can, from one to the next. */
const variant = (i: number): object => ({
  aliases: { fast: i % 2 === 0 ? "second/good" : "first/good" },
  routes: { r: { targets: ["first/good", "second/good"], retries: i % 3, breaker: { openFor: `${1 + (i % 5)}s` } } },
  cache: { maxBytes: 1_000_000 + i },
  http: { connections: 100 + i },
  tiers: { t: { requests: [{ limit: 100_000 + i, window: "1m" }] } },
  prices: { free: ["first"] },
  budgets: [{ scope: "global", period: "day", limit: `${100 + i}` }],
  budgetPolicy: { unpriced: "allow" },
  alerts: { every: `${10 + i}s` },
  defaults: { timeouts: { total: `${30 + i}s` }, bulkhead: { limit: 500 + i } }
})

describe("fifty reloads", () => {
  it.live(
    "under two hundred streams drop none of them, and leave nothing behind",
    () =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            const ask = (model: string) =>
              Effect.flatMap(post(`${stage.url}/v1/chat/completions`, chat(model, { stream: true })), (response) =>
                promised(() => response.text())
              )
            const whole = yield* ask("first/good")
            const lines = whole.split("\n\n").length
            let done = 0
            const streams = Array.from({ length: 200 }, (_, i) => ask(i % 2 === 0 ? "first/good" : "fast"))
            const asking = yield* Effect.forkChild(
              Effect.forEach(streams, (each) => Effect.tap(each, () => Effect.sync(() => void done++)), {
                concurrency: 200
              })
            )
            const begun = eventually(Effect.sync(() => stage.gateway.inFlight() > 150))
            assert.isTrue(yield* Effect.repeat(begun, { until: (found) => found, times: 10 }))
            for (let i = 0; i < 50; i++) {
              yield* stage.gateway.reload(configOf(stage.first.url, stage.second.url, variant(i)))
            }
            assert.isBelow(done, 200, "the reloads were done before the streams were")
            const exit = yield* Effect.exit(Fiber.join(asking))
            assert.isTrue(Exit.isSuccess(exit))
            for (const text of exit._tag === "Success" ? exit.value : []) {
              assert.isTrue(text.endsWith("data: [DONE]\n\n"), text.slice(-300))
              assert.notInclude(text, '"error"')
              assert.isAtLeast(text.split("\n\n").length, lines)
            }
            assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
          }),
        variant(0),
        { wordDelay: 40 }
      ),
    60_000
  )

  it.live("leave one engine: the others are closed when their last request is, and collected", () =>
    Effect.gen(function* () {
      setFlagsFromString("--expose-gc")
      const gc = runInNewContext("gc") as () => void
      const config = (i: number) => decode(configOf("http://127.0.0.1:9", "http://127.0.0.1:9", variant(i)))
      const scope = yield* Scope.make()
      const engines = yield* Scope.provide(Effect.flatMap(config(0), Reload.make), scope)
      const all: Array<WeakRef<object>> = []
      for (let i = 1; i <= 50; i++) {
        const used = engines.acquire()
        all.push(new WeakRef(used))
        yield* engines.replace(yield* config(i))
        if (i % 2 === 0) yield* Effect.sleep("1 millis")
        engines.release(used)
      }
      const alive = Effect.map(Effect.sleep("20 millis"), () => {
        gc()
        return all.filter((each) => each.deref() !== undefined).length
      })
      // The last that were looked at may still stand in a register.
      assert.isTrue(yield* eventually(Effect.map(alive, (n) => n <= 2)), `${yield* alive} engines are alive`)
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.live("of a configuration that cannot be built leave what was open closed", () =>
    Effect.gen(function* () {
      const good = yield* decode(configOf("http://127.0.0.1:9", "http://127.0.0.1:9", variant(0)))
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
      const before = timers()
      for (let i = 0; i < 20; i++) {
        const wrong = { ...good, alerts: { webhooks: [{ url: { env: "SURELY_NOT_SET" } }] } }
        const exit = yield* Effect.exit(Effect.scoped(build(wrong)))
        assert.isTrue(Exit.isFailure(exit))
      }
      assert.isTrue(yield* eventually(Effect.sync(() => timers() <= before + 1)))
    })
  )
})

describe("a file", () => {
  const withAlias = (first: string, target: string, more: object = {}) =>
    JSON.stringify(configOf(first, first, { aliases: { fast: target }, ...more }))

  const started = Effect.gen(function* () {
    const upstream = yield* Upstream.make()
    const folder = yield* temporary
    const events: Array<Gateway.ReloadEvent> = []
    const start = (file: string) => Gateway.fromFile(file, { onReload: (event) => events.push(event) })
    const target = (gateway: Gateway.Gateway, headers: Record<string, string> = {}) =>
      Effect.flatMap(post(`${gateway.url}/v1/chat/completions`, chat("fast"), headers), (response) =>
        Effect.as(
          promised(() => response.text()),
          response.headers.get("x-breakwater-target") ?? String(response.status)
        )
      )
    /** Waits for the next thing to be told, for some seconds. */
    const next = (n: number) =>
      Effect.map(
        Effect.repeat(eventually(Effect.sync(() => events.length >= n)), { until: (found) => found, times: 5 }),
        () => events[n - 1]
      )
    return { upstream, folder, events, start, target, next }
  })

  it.live(
    "that goes away, becomes a folder, or is half written changes nothing, and is followed when it is back",
    () =>
      Effect.gen(function* () {
        const { events, folder, next, start, target, upstream } = yield* started
        const file = join(folder, "gateway.json")
        writeFileSync(file, withAlias(upstream.url, "first/good"))
        const gateway = yield* start(file)
        rmSync(file)
        assert.strictEqual((yield* next(1))?.type, "refused")
        mkdirSync(file)
        assert.strictEqual((yield* next(2))?.type, "refused")
        rmSync(file, { recursive: true })
        assert.strictEqual((yield* next(3))?.type, "refused")
        writeFileSync(file, '{"providers":{"first":{"type":"openai","apiKey":sk-live-SECRET"}}}')
        const half = yield* next(4)
        assert.isTrue(half?.type === "refused" && /not valid JSON/.test(half.issues[0]!), JSON.stringify(half))
        // The parser quotes the text around a mistake.
        assert.notInclude(JSON.stringify(half), "sk-live")
        assert.strictEqual(yield* target(gateway), "first/good")
        writeFileSync(file, withAlias(upstream.url, "second/good"))
        assert.strictEqual((yield* next(5))?.type, "reloaded")
        assert.strictEqual(yield* target(gateway), "second/good")
        assert.strictEqual(events.length, 5)
      }).pipe(Effect.scoped),
    30_000
  )

  it.live(
    "behind a link that is turned to another folder is followed",
    () =>
      Effect.gen(function* () {
        const { folder, next, start, target, upstream } = yield* started
        // As Kubernetes mounts a ConfigMap: the file is a link into a link, and only that one is replaced.
        const put = (name: string, alias: string) => {
          mkdirSync(join(folder, name))
          writeFileSync(join(folder, name, "gateway.json"), withAlias(upstream.url, alias))
          symlinkSync(name, join(folder, "..data_tmp"))
          renameSync(join(folder, "..data_tmp"), join(folder, "..data"))
        }
        put("..1", "first/good")
        symlinkSync(join("..data", "gateway.json"), join(folder, "gateway.json"))
        const gateway = yield* start(join(folder, "gateway.json"))
        assert.strictEqual(yield* target(gateway), "first/good")
        put("..2", "second/good")
        assert.strictEqual((yield* next(1))?.type, "reloaded")
        assert.strictEqual(yield* target(gateway), "second/good")
        // The file behind the link, in a folder that nobody tells of.
        writeFileSync(join(folder, "..2", "gateway.json"), withAlias(upstream.url, "first/good"))
        assert.strictEqual((yield* next(2))?.type, "reloaded")
        assert.strictEqual(yield* target(gateway), "first/good")
      }).pipe(Effect.scoped),
    30_000
  )

  it.live(
    "that names another file of keys has that one followed; a secret that is not set any more is refused",
    () =>
      Effect.gen(function* () {
        const { folder, next, start, target, upstream } = yield* started
        const [file, other] = [join(folder, "gateway.json"), join(folder, "elsewhere")]
        mkdirSync(other)
        const keys = (name: string, key: string) =>
          writeFileSync(name, JSON.stringify({ keys: [{ id: "a", hash: ApiKeys.hashOf(key) }] }))
        const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
        keys(join(folder, "keys.json"), "one")
        keys(join(other, "keys.json"), "two")
        writeFileSync(file, withAlias(upstream.url, "first/good", { auth: { keysFile: "keys.json" } }))
        const gateway = yield* start(file)
        assert.strictEqual(yield* target(gateway, bearer("one")), "first/good")
        writeFileSync(file, withAlias(upstream.url, "first/good", { auth: { keysFile: "elsewhere/keys.json" } }))
        assert.strictEqual((yield* next(1))?.type, "reloaded")
        assert.strictEqual(yield* target(gateway, bearer("two")), "first/good")
        keys(join(other, "keys.json"), "three")
        assert.strictEqual((yield* next(2))?.type, "reloaded")
        assert.strictEqual(yield* target(gateway, bearer("two")), "401")
        assert.strictEqual(yield* target(gateway, bearer("three")), "first/good")

        const config = JSON.parse(withAlias(upstream.url, "second/good")) as Json
        config["providers"].first.apiKey = { env: "BREAKWATER_SURELY_NOT_SET" }
        writeFileSync(file, JSON.stringify(config))
        const refused = yield* next(3)
        assert.isTrue(refused?.type === "refused" && refused.issues[0]!.startsWith("providers.first.apiKey.env:"))
        assert.strictEqual(yield* target(gateway, bearer("three")), "first/good")
      }).pipe(Effect.scoped),
    30_000
  )
})
