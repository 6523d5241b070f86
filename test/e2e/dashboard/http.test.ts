/** What the dashboard stands on, without a browser: its files, the stream of events, the last requests. */
import { ApiKeys } from "@breakwater/gateway"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { request } from "node:http"
import { gunzipSync, brotliDecompressSync } from "node:zlib"
import type { Budget, PolicyEvent, RecentRequest, Snapshot } from "../../../packages/dashboard/web/api/types.ts"
import { buildPage, type House, openHouse } from "./support.ts"

interface Raw {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** A path as it is written: nothing is resolved or decoded on the way. */
const raw = (port: number, path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Raw> =>
  new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers as Record<string, string>,
          body: Buffer.concat(chunks)
        })
      )
    })
    sent.on("error", reject)
    sent.end()
  })

let house: House
beforeAll(async () => {
  buildPage()
  house = await openHouse()
}, 60_000)
afterAll(() => house.stop())

const assetOf = async (pattern: RegExp): Promise<string> => {
  const { body } = await raw(house.port, "/dashboard/")
  const found = pattern.exec(body.toString())?.[1]
  assert.isDefined(found)
  return `/dashboard/${found!.replace(/^\.\//, "")}`
}

describe("the files of the dashboard", () => {
  it("are served under a policy that allows nothing from elsewhere, and nothing inline", async () => {
    for (const path of ["/dashboard/", await assetOf(/src="(\.\/assets\/[^"]+\.js)"/), "/dashboard/early.js"]) {
      const { headers, status } = await raw(house.port, path)
      assert.strictEqual(status, 200, path)
      const policy = headers["content-security-policy"]!
      for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
        assert.include(policy.split("; "), part)
      }
      assert.notInclude(policy, "unsafe")
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.strictEqual(headers["referrer-policy"], "no-referrer")
    }
    const page = (await raw(house.port, "/dashboard/")).body.toString()
    assert.notMatch(page, /<style|style=|<script>|https?:\/\//)
  })

  it("are small, and name no other host", async () => {
    const page = (await raw(house.port, "/dashboard/")).body.toString()
    let bytes = 0
    for (const [, path] of page.matchAll(/(?:src|href)="\.\/([^"]+)"/g)) {
      const { body, headers } = await raw(house.port, `/dashboard/${path}`, { "accept-encoding": "gzip" })
      assert.strictEqual(headers["content-encoding"], "gzip", path)
      bytes += body.length
      const hosts = [
        ...gunzipSync(body)
          .toString()
          .matchAll(/https?:\/\/([\w.-]+)/g)
      ].map(([, host]) => host)
      assert.deepEqual(
        [...new Set(hosts)].filter((host) => host !== "www.w3.org"),
        [],
        path
      )
    }
    assert.isBelow(bytes, 64 * 1024)
  })

  it("are compressed as the client likes, and the same whichever way", async () => {
    const path = await assetOf(/src="(\.\/assets\/[^"]+\.js)"/)
    const plain = await raw(house.port, path)
    const br = await raw(house.port, path, { "accept-encoding": "gzip, br" })
    const gzip = await raw(house.port, path, { "accept-encoding": "gzip, br;q=0" })
    assert.strictEqual(br.headers["content-encoding"], "br")
    assert.strictEqual(gzip.headers["content-encoding"], "gzip")
    assert.isUndefined(plain.headers["content-encoding"])
    assert.isTrue(brotliDecompressSync(br.body).equals(plain.body))
    assert.isTrue(gunzipSync(gzip.body).equals(plain.body))
    assert.strictEqual(plain.headers["vary"], "accept-encoding")
  })

  it("are kept for ever where their name tells their content, and asked for anew otherwise", async () => {
    const asset = await raw(house.port, await assetOf(/src="(\.\/assets\/[^"]+\.js)"/))
    assert.include(asset.headers["cache-control"], "immutable")
    const page = await raw(house.port, "/dashboard/")
    assert.strictEqual(page.headers["cache-control"], "no-cache")
    const again = await raw(house.port, "/dashboard/", { "if-none-match": page.headers["etag"]! })
    assert.strictEqual(again.status, 304)
    assert.strictEqual(again.body.length, 0)
    const changed = await raw(house.port, "/dashboard/", { "if-none-match": '"another"' })
    assert.strictEqual(changed.status, 200)
    const head = await raw(house.port, "/dashboard/", {}, "HEAD")
    assert.strictEqual(head.status, 200)
    assert.strictEqual(head.body.length, 0)
  })

  it("are found from a path without its slash, under any path of a proxy", async () => {
    const { headers, status } = await raw(house.port, "/dashboard")
    assert.strictEqual(status, 308)
    assert.strictEqual(headers["location"], "./dashboard/")
    assert.strictEqual((await raw(house.port, "/dashboard?x=1")).status, 308)
    assert.strictEqual((await raw(house.port, "/dashboard/?x=1")).status, 200)
  })

  it.each([
    "/dashboard/../package.json",
    "/dashboard/..%2f..%2fpackage.json",
    "/dashboard/%2e%2e/%2e%2e/package.json",
    "/dashboard/assets/../../index.js",
    "/dashboard/..\\..\\package.json",
    "/dashboard//etc/passwd",
    "/dashboard/assets",
    "/dashboard/index.html.br",
    "/dashboard/\u0000",
    "/dashboard/__proto__",
    "/dashboard/constructor"
  ])("are all there is: %j is not found", async (path) => {
    const { body, status } = await raw(house.port, encodeURI(path).replaceAll("%25", "%"))
    assert.strictEqual(status, 404, body.toString().slice(0, 200))
  })
})

/** Reads a stream of events until enough has come. */
const readEvents = async (url: string, until: (text: string) => boolean, headers: Record<string, string> = {}) => {
  const stop = new AbortController()
  const response = await fetch(`${url}/admin/events`, { signal: stop.signal, headers })
  let text = ""
  if (response.status === 200) {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    const timer = setTimeout(() => stop.abort(), 10_000)
    try {
      while (!until(text)) {
        const { done, value } = await reader.read()
        if (done) break
        text += value
      }
    } catch {
      // It was given up.
    }
    clearTimeout(timer)
  }
  return { status: response.status, type: response.headers.get("content-type"), text, stop: () => stop.abort() }
}

const eventsOf = <A = PolicyEvent>(text: string, name: string): ReadonlyArray<A> =>
  text
    .split("\n\n")
    .filter((block) => block.includes(`event: ${name}\n`))
    .map((block) => JSON.parse(/^data: (.*)$/m.exec(block)![1]!) as A)

describe("the stream of events", () => {
  it("begins with where things stand, tells what happens, and again where things stand", async () => {
    const reading = readEvents(house.url, (text) => eventsOf(text, "snapshot").length >= 2)
    await new Promise((resolve) => setTimeout(resolve, 200))
    await house.ask("first/error-500", { fallbacks: ["second/good"] })
    const { status, stop, text, type } = await reading
    stop()
    assert.strictEqual(status, 200)
    assert.match(type!, /^text\/event-stream/)
    assert.include(text, ": still here")
    const [before, after] = eventsOf<Snapshot>(text, "snapshot")
    assert.strictEqual(after!.summary!.totals.requests, before!.summary!.totals.requests + 1)
    const policy = eventsOf(text, "policy")
    const types = policy.map(({ type: each }) => each)
    for (const each of ["request-started", "attempt-failed", "retry-scheduled", "failed-over", "request-finished"]) {
      assert.include(types, each)
    }
    assert.isTrue(policy.every(({ at }) => typeof at === "number" && at > 1e12))
    const failed = policy.find(({ type: each }) => each === "attempt-failed")
    assert.deepEqual(Object.keys(failed!["error"] as object).sort(), ["_tag", "message"])
    // Neither the question nor the answer.
    assert.notInclude(text, "harbour")
    assert.notInclude(text, "A naïve client")
  })

  it("is for sixteen readers, and the next one is told to come later", async () => {
    const readers = await Promise.all(
      Array.from({ length: 16 }, () => readEvents(house.url, (text) => text.includes("event: snapshot")))
    )
    assert.deepEqual(
      readers.map(({ status }) => status),
      Array.from({ length: 16 }, () => 200)
    )
    const response = await fetch(`${house.url}/admin/events`)
    assert.strictEqual(response.status, 503)
    assert.isAbove(Number(response.headers.get("retry-after")), 0)
    for (const { stop } of readers) stop()
    for (let i = 0; ; i++) {
      const again = await readEvents(house.url, (text) => text.includes("event: snapshot"))
      again.stop()
      if (again.status === 200) break
      assert.isBelow(i, 100)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })

  it("takes up no room, and no shutdown waits for it", async () => {
    const own = await openHouse({ limits: { concurrency: 2, shutdown: "20s" } })
    const readers = await Promise.all(
      Array.from({ length: 4 }, () => readEvents(own.url, (text) => text.includes("event: snapshot")))
    )
    assert.deepEqual(
      readers.map(({ status }) => status),
      [200, 200, 200, 200]
    )
    const { server } = await own.json<Snapshot>("/admin/snapshot")
    assert.strictEqual(server.inFlight, 1)
    assert.strictEqual((await own.ask("first/good")).status, 200)
    const began = performance.now()
    await own.stop()
    assert.isBelow(performance.now() - began, 5_000)
  })

  it("ends when the configuration changes, so that its reader comes to the new one", async () => {
    const own = await openHouse()
    const reading = readEvents(own.url, () => false)
    await new Promise((resolve) => setTimeout(resolve, 200))
    await Promise.all([
      fetch(`${own.url}/admin/snapshot`),
      import("effect/Effect").then(({ runPromise }) =>
        runPromise(
          own.gateway.reload({
            providers: { first: { type: "openai-compatible", baseUrl: `${own.first.url}/v1` } }
          })
        )
      )
    ])
    const { status, text } = await reading
    assert.strictEqual(status, 200)
    assert.strictEqual(eventsOf(text, "snapshot").length >= 1, true)
    await own.stop()
  })

  it("is for those who may administer", async () => {
    const keys = [
      { id: "user", hash: ApiKeys.hashOf("bw_user") },
      { id: "root", hash: ApiKeys.hashOf("bw_root"), scopes: ["admin"] }
    ]
    const own = await openHouse({ auth: { keys } })
    const as = async (path: string, key?: string) => {
      const stop = new AbortController()
      const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
      const { status } = await fetch(`${own.url}${path}`, { headers, signal: stop.signal })
      stop.abort()
      return status
    }
    for (const path of ["/admin/events", "/admin/requests", "/admin/requests/x", "/admin/snapshot"]) {
      assert.strictEqual(await as(path), 401, path)
      assert.strictEqual(await as(path, "bw_user"), 403, path)
    }
    assert.strictEqual(await as("/admin/events", "bw_root"), 200)
    assert.strictEqual(await as("/dashboard/"), 200)
    await own.stop()
  })
})

interface Requests {
  readonly requests: ReadonlyArray<RecentRequest>
}

describe("the accounts of budgets", () => {
  it("are there whenever one looks", async () => {
    const own = await openHouse({ prices: {}, budgets: [{ scope: "global", period: "day", limit: "1.00" }] })
    for (let look = 0; look < 3; look++) {
      const { budgets } = await own.json<{ readonly budgets: ReadonlyArray<Budget> }>("/admin/budgets")
      assert.strictEqual(budgets.length, 1, `look ${look}`)
      // They are looked up once a second at most.
      await new Promise((resolve) => setTimeout(resolve, 600))
    }
    await own.stop()
  })
})

describe("the last requests", () => {
  it("are told newest first, each with its attempts and what happened", async () => {
    const own = await openHouse()
    await own.ask("first/good", {}, { "x-request-id": "plain-1", "x-breakwater-user": "ada" })
    await own.ask("first/error-500", { fallbacks: ["second/good"] }, { "x-request-id": "rescued-1" })
    await own.ask("first/context-overflow", {}, { "x-request-id": "failed-1" })
    const { requests } = await own.json<Requests>("/admin/requests")
    assert.deepEqual(
      requests.map((each) => each.requestId),
      ["failed-1", "rescued-1", "plain-1"]
    )
    assert.strictEqual(requests[2]!.context.user, "ada")
    const rescued = await own.json<RecentRequest>("/admin/requests/rescued-1")
    assert.deepEqual(rescued, requests[1])
    assert.strictEqual(rescued.outcome, "success")
    assert.strictEqual(rescued.target, "second/good")
    assert.deepEqual(
      rescued.attempts.map((each) => [each.target, each.outcome, each.error?._tag]),
      [
        ["first/error-500", "failure", "ServerError"],
        ["first/error-500", "failure", "ServerError"],
        ["first/error-500", "failure", "ServerError"],
        ["second/good", "success", undefined]
      ]
    )
    const times = rescued.events.map((each) => each.atMs)
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b)
    )
    assert.isAtMost(times.at(-1)!, rescued.tookMs + 5)
    const failed = await own.json<Requests>("/admin/requests?outcome=failure&limit=5")
    assert.deepEqual(
      failed.requests.map((each) => each.requestId),
      ["failed-1"]
    )
    assert.notInclude(JSON.stringify(requests), "harbour")
    assert.strictEqual((await fetch(`${own.url}/admin/requests/unknown`)).status, 404)
    assert.strictEqual((await fetch(`${own.url}/admin/requests/%E0%A4%A`)).status, 404)
    assert.strictEqual((await fetch(`${own.url}/admin/requests?limit=0`)).status, 400)
    assert.strictEqual((await fetch(`${own.url}/admin/requests?outcome=maybe`)).status, 400)
    await own.stop()
  })
})
