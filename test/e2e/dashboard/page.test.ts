/** The dashboard in a real browser, on a real gateway: what it shows is what happened. */
import { ApiKeys } from "@breakwater/gateway"
import axe from "axe-core"
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { launchBrowser, noBrowser } from "../../support/browser.ts"
import { eventually } from "../cli/support.ts"
import type { Snapshot } from "../../../packages/dashboard/web/api/types.ts"
import { buildPage, type House, openHouse } from "./support.ts"

let browser: Browser
let house: House
const houses: Array<House> = []
const contexts: Array<BrowserContext> = []

/** A breaker that opens soon, and tries again soon. */
const config = {
  defaults: {
    backoff: { base: "10ms", cap: "40ms" },
    timeouts: { firstToken: "400ms", idle: "400ms", attempt: "3s", total: "20s" },
    breaker: { minimumCalls: 4, failureRate: 0.5, openFor: "1500ms", probes: 1 }
  },
  prices: { overrides: { "first/good": { input: "1", output: "4" }, "second/good": { input: "2", output: "8" } } },
  budgets: [{ scope: "global", period: "day", limit: "5.00" }],
  budgetPolicy: { unpriced: "allow" },
  cache: {},
  routes: {
    safe: { targets: ["first/good", "second/good"] },
    canary: {
      order: "weighted",
      targets: [
        { target: "first/good", weight: 9 },
        { target: "second/good", weight: 1 }
      ]
    }
  }
}

let folder = ""

/** Every section has something to show. */
const everything = () => ({
  ledger: { file: join(folder, "ledger.db") },
  audit: { file: join(folder, "audit.log"), keys: `k1:${Buffer.alloc(32, 7).toString("base64")}` },
  alerts: {
    every: "200ms",
    rules: [
      { kind: "error-ratio", name: "too-many-failures", ratio: 0.01, minimumCalls: 1, severity: "page" },
      { kind: "cost-rate", name: "spending", perHour: "1000" }
    ]
  },
  tiers: { usual: [{ limit: 10_000, window: "1m" }] }
})

const open = async (more: Readonly<Record<string, unknown>> = {}): Promise<House> => {
  const made = await openHouse({ ...config, ...more })
  houses.push(made)
  return made
}

interface Watched {
  readonly page: Page
  /** What the page complained of. */
  readonly complaints: Array<string>
}

/** What a browser says by itself of an answer that is no success; the page has its own words for these. */
const expected = /^Failed to load resource: /

const look = async (at: House, hash = "", options: BrowserContextOptions = {}): Promise<Watched> => {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 900 }, ...options })
  contexts.push(context)
  const page = await context.newPage()
  const complaints: Array<string> = []
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      if (!expected.test(message.text())) complaints.push(message.text())
    }
  })
  page.on("pageerror", (error) => complaints.push(error.message))
  page.on("request", (request) => {
    if (!request.url().startsWith(at.url)) complaints.push(`asked ${request.url()}`)
  })
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`))
  })
  await page.goto(`${at.url}/dashboard/${hash}`)
  return { page, complaints }
}

const sections = ["overview", "providers", "requests", "cost", "limits", "routes", "alerts", "audit", "configuration"]

/** The rules of accessibility that the page breaks, with where. */
const violations = async (page: Page): Promise<ReadonlyArray<string>> => {
  await page.evaluate(axe.source)
  const found = await page.evaluate(async () => {
    const { passes, violations: all } = await (globalThis as unknown as { readonly axe: typeof axe }).axe.run()
    // It has looked at something, colours among it.
    if (!passes.some(({ id }) => id === "color-contrast")) return [{ id: "nothing was looked at", where: [] }]
    return all.map(({ id, nodes }) => ({ id, where: nodes.map(({ html }) => html) }))
  })
  return found.map(({ id, where }) => `${id}: ${where.slice(0, 3).join(" ").slice(0, 400)}`)
}

const textOf = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText()
const tile = (page: Page, name: string) => page.locator(".tile", { hasText: name }).locator(".tile-value").innerText()

beforeAll(async () => {
  if (noBrowser) return
  buildPage()
  browser = await launchBrowser()
  folder = mkdtempSync(join(tmpdir(), "dashboard-"))
  house = await open(everything())
}, 120_000)

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
})

afterAll(async () => {
  await browser?.close()
  for (const each of houses) await each.stop()
  if (folder !== "") rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(noBrowser)("the dashboard", { timeout: 60_000 }, () => {
  it("shows the numbers of the snapshot", async () => {
    const own = await open()
    const models = ["first/good", "second/good", "first/error-500", "first/context-overflow", "first/rate-limit-once"]
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        own.ask(models[i % models.length]!, i % 3 === 0 ? { fallbacks: ["second/good"] } : {})
      )
    )
    const { page, complaints } = await look(own)
    await page.locator(".tile").first().waitFor()
    const { summary } = await own.json<Snapshot>("/admin/snapshot")
    const { targets, totals } = summary!
    assert.strictEqual(totals.requests, 40)
    assert.isAbove(totals.failure, 0)
    assert.strictEqual(await tile(page, "Requests"), "40")
    const share = totals.success / (totals.success + totals.failure)
    assert.strictEqual(Number((await tile(page, "Success")).replace("%", "")), Math.round(share * 1000) / 10)
    assert.strictEqual(
      Number((await tile(page, "Tokens")).replace(/\D/g, "")),
      totals.tokens.input + totals.tokens.output
    )
    const dollars = Number((await tile(page, "Cost")).replace(/[^\d.]/g, ""))
    assert.closeTo(dollars, Number(totals.costNanos) / 1e9, dollars / 50 + 1e-9)
    const rows = await page.locator("section", { hasText: "Targets" }).locator("tbody tr").allInnerTexts()
    const shown = Object.fromEntries(
      rows.map((row) => row.split(/\s+/)).map(([name, n]) => [name!, Number(n!.replace(/\D/g, ""))])
    )
    for (const [name, target] of Object.entries(targets)) assert.strictEqual(shown[name], target.attempts, name)
    const retries = page.locator(".facts.three dd").first()
    assert.strictEqual(await retries.innerText(), String(totals.retries))
    // The charts are drawn, and their numbers are there as a table.
    assert.strictEqual(await page.locator(".plot canvas").count(), 4)
    await page.getByRole("button", { name: "Requests as a table" }).click()
    const cells = await page.locator(".plot-table tbody tr").allInnerTexts()
    const counted = cells.flatMap((row) => row.split(/\s+/).slice(1).map(Number)).reduce((a, b) => a + b, 0)
    assert.strictEqual(counted, 40)
    // What comes afterwards arrives by itself.
    await own.ask("second/good")
    await page.waitForFunction(() => document.querySelector(".tile-value")?.textContent === "41")
    assert.deepEqual(complaints, [])
  })

  it("sees a circuit open and close by itself", async () => {
    const own = await open()
    const model = "first/error-500?times=5"
    const { page, complaints } = await look(own, "#/providers")
    await page.getByText("No circuit yet").waitFor()
    for (let i = 0; i < 3; i++) await own.ask(model)
    const row = page.locator(".circuits tr", { hasText: model })
    await row.locator(".chip", { hasText: /^open$/ }).waitFor()
    assert.match(await row.innerText(), /tries again/)
    await page.locator("nav .badge", { hasText: "1" }).waitFor()
    await eventually(async () => (await own.ask(model)).status === 200)
    await eventually(async () => (await own.ask(model)).status === 200)
    await row.locator(".chip", { hasText: /^closed$/ }).waitFor()
    await page.goto(`${own.url}/dashboard/#/overview`)
    const feed = page.locator(".feed")
    await feed.getByText("circuit open").first().waitFor()
    await feed.getByText("circuit closed").first().waitFor()
    assert.deepEqual(complaints, [])
  })

  it("holds a circuit open by hand, asks first, and gives it back", async () => {
    const own = await open()
    await own.ask("first/good")
    const { page, complaints } = await look(own, "#/providers")
    const row = page.locator(".circuits tr", { hasText: "first/good" })
    await row.getByRole("button", { name: "Hold open" }).click()
    const dialog = page.getByRole("dialog")
    assert.match(await dialog.innerText(), /Every call to this target is turned away/)
    await dialog.getByRole("button", { name: "Cancel" }).click()
    assert.strictEqual((await own.ask("first/good")).status, 200)
    await row.getByRole("button", { name: "Hold open" }).click()
    await dialog.getByRole("button", { name: "Hold open" }).click()
    await row.locator(".chip", { hasText: "held open" }).waitFor()
    assert.strictEqual((await own.ask("first/good")).status, 503)
    await row.getByRole("button", { name: "Release" }).click()
    await dialog.getByRole("button", { name: "Release" }).click()
    await row.locator(".chip", { hasText: /^closed$/ }).waitFor()
    assert.strictEqual((await own.ask("first/good")).status, 200)
    assert.deepEqual(complaints, [])
  })

  it("lays out a rescued request: attempts, waits, links and errors", async () => {
    const own = await open()
    await own.ask("first/good", {}, { "x-request-id": "plain" })
    await own.ask("first/error-500", { fallbacks: ["second/good"], stream: true }, { "x-request-id": "rescued" })
    const { page, complaints } = await look(own, "#/requests")
    await page.getByRole("button", { name: "Rescued" }).click()
    await eventually(async () => (await page.locator("table.requests tbody tr").count()) === 1)
    await page.locator("table.requests tbody tr").click()
    await page.locator(".waterfall").waitFor()
    assert.strictEqual(await page.evaluate(() => location.hash), "#/requests/rescued")
    const outcomes = await page
      .locator(".waterfall li[data-outcome]")
      .evaluateAll((all) => all.map((each) => each.getAttribute("data-outcome")))
    assert.deepEqual(outcomes.slice(0, 4), ["failure", "failure", "failure", "success"])
    const text = await textOf(page, ".waterfall")
    assert.match(text, /retry after server error, \d/)
    assert.match(text, /failover from first\/error-500 after server error/)
    assert.match(text, /first token/)
    assert.strictEqual(await page.locator(".waterfall .wait").count(), 2)
    assert.strictEqual(await page.locator(".waterfall .first-token").count(), 1)
    const boxes = await page.locator(".waterfall .span").evaluateAll((all) =>
      all.map((each) => {
        const { left, right, width } = each.getBoundingClientRect()
        return { left, right, width }
      })
    )
    for (const [i, box] of boxes.entries()) {
      assert.isAbove(box.width, 1)
      if (i > 0) assert.isAtLeast(box.left, boxes[i - 1]!.left)
    }
    assert.match(await textOf(page, ".happened"), /fails over from first\/error-500 to second\/good/)
    await page.keyboard.press("Escape")
    await page.locator("table.requests").waitFor()
    await page.getByRole("button", { name: "All" }).click()
    await page.locator("#filter").fill("server second")
    await eventually(async () => (await page.locator("table.requests tbody tr").count()) === 1)
    await page.locator("#filter").fill("nothing-like-it")
    await page.getByText("No request fits the filter").waitFor()
    assert.deepEqual(complaints, [])
  })

  it("shows money, limits, routes and the configuration, and says what is not configured", async () => {
    const own = await open()
    for (let i = 0; i < 3; i++) await own.ask("first/good", { temperature: 0 })
    const { page, complaints } = await look(own, "#/cost")
    const { budgets, cache } = await own.json<Snapshot>("/admin/snapshot")
    assert.strictEqual(cache!.hits, 2)
    assert.isAbove(Number(budgets![0]!.spentNanos), 0)
    await page.locator(".budget").first().waitFor()
    assert.match(await textOf(page, ".budget"), /everybody[^]*of \$5\.00/)
    assert.match(await textOf(page, ".cache"), /66\.7%/)
    await page.getByText("No ledger is configured").waitFor()
    await page.goto(`${own.url}/dashboard/#/routes`)
    assert.match(await page.locator(".card", { hasText: "canary" }).innerText(), /90%[^]*10%/)
    await page.goto(`${own.url}/dashboard/#/configuration`)
    const secrets = page.locator(".leaf[data-kind=secret]")
    await secrets.first().waitFor()
    assert.notInclude(await page.locator("main").innerText(), "upstream-key")
    await page.goto(`${own.url}/dashboard/#/alerts`)
    await page.getByText("No alerts are configured").waitFor()
    await page.goto(`${own.url}/dashboard/#/audit`)
    await page.getByText("No audit log is configured").waitFor()
    assert.deepEqual(complaints, [])
  })

  it("shows what the ledger, the audit log and the alerts say", async () => {
    await house.ask("first/good", {}, { "x-breakwater-user": "ada" })
    await house.ask("first/context-overflow")
    await house.ask("second/error-500")
    const { page, complaints } = await look(house, "#/cost")
    await page.getByRole("button", { name: "User" }).click()
    await page.locator("section", { hasText: "What the ledger says" }).getByText("ada", { exact: true }).waitFor()
    await page.goto(`${house.url}/dashboard/#/audit`)
    await page.locator(".chip", { hasText: /^verified$/ }).waitFor()
    await page.getByText("context length").first().waitFor()
    await page.goto(`${house.url}/dashboard/#/alerts`)
    await page.locator(".alerts", { hasText: "too-many-failures" }).waitFor()
    assert.match(await page.locator(".incident").first().innerText(), /goes on/)
    await page.getByRole("rowheader", { name: "spending" }).waitFor()
    await page.goto(`${house.url}/dashboard/#/limits`)
    await page.getByText("first/good").first().waitFor()
    assert.deepEqual(complaints, [])
  })

  it.each([
    ["light", 1280],
    ["dark", 1280],
    ["light", 360],
    ["dark", 360]
  ] as const)("breaks no rule of accessibility: %s, %i wide", async (colorScheme, width) => {
    await house.ask("first/good", { temperature: 0 }, { "x-breakwater-user": "ada" })
    await house.ask("first/error-500", { fallbacks: ["second/good"] }, { "x-request-id": "shown" })
    await house.ask("first/context-overflow")
    const { page, complaints } = await look(house, "", { colorScheme, viewport: { width, height: 800 } })
    await page.locator(".tile").first().waitFor()
    for (const section of [...sections, "requests/shown"]) {
      await page.goto(`${house.url}/dashboard/#/${section}`)
      await page.waitForFunction(() => document.querySelector(".loading") === null)
      await page.locator(".card").first().waitFor()
      assert.deepEqual(await violations(page), [], section)
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.isAtMost(wider, 0, `${section} is wider than the screen`)
    }
    await page.keyboard.press("?")
    await page.getByRole("dialog").waitFor()
    assert.deepEqual(await violations(page), [], "shortcuts")
    assert.deepEqual(complaints, [])
  })

  it("is walked through with the keyboard alone", async () => {
    await house.ask("first/good", {}, { "x-request-id": "older" })
    await house.ask("first/good", {}, { "x-request-id": "newer" })
    const { page, complaints } = await look(house)
    await page.locator(".tile").first().waitFor()
    await page.keyboard.press("Tab")
    assert.strictEqual(await page.evaluate(() => document.activeElement?.textContent?.trim()), "Skip to the content")
    await page.keyboard.press("Enter")
    assert.strictEqual(await page.evaluate(() => document.activeElement?.id), "main")
    await page.keyboard.press("3")
    await page.locator("table.requests").waitFor()
    assert.strictEqual(await page.evaluate(() => document.activeElement?.id), "main")
    await page.keyboard.press("/")
    await page.waitForFunction(() => document.activeElement?.id === "filter")
    // What is typed is text, not a shortcut.
    await page.keyboard.type("newer 1")
    assert.match(page.url(), /#\/requests$/)
    await page.locator("#filter").fill("")
    await page.locator("a.row-link").first().focus()
    await page.keyboard.press("ArrowDown")
    assert.strictEqual(
      await page.evaluate(() => [...document.querySelectorAll("a.row-link")].indexOf(document.activeElement!)),
      1
    )
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await page.locator(".waterfall").waitFor()
    await page.keyboard.press("Escape")
    await page.locator("table.requests").waitFor()
    await page.keyboard.press("?")
    await page.getByRole("dialog").waitFor()
    await page.keyboard.press("1")
    assert.match(page.url(), /#\/requests$/)
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "hidden" })
    await page.keyboard.press("1")
    await page.locator(".tile").first().waitFor()
    await page.locator(".plot").first().focus()
    await page.keyboard.press("End")
    assert.match(await page.locator(".legend-time").first().innerText(), /\d\d:\d\d:\d\d/)
    await page.keyboard.press("t")
    assert.strictEqual(await page.evaluate(() => document.documentElement.dataset["theme"]), "light")
    await page.keyboard.press("t")
    await page.reload()
    await page.locator(".tile").first().waitFor()
    assert.strictEqual(await page.evaluate(() => document.documentElement.dataset["theme"]), "dark")
    // Everything that has the focus shows it.
    for (let i = 0; i < 24; i++) {
      await page.keyboard.press("Tab")
      const outlined = await page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement!)
        return document.activeElement === document.body || (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2)
      })
      assert.isTrue(outlined, `Tab ${i + 1}`)
    }
    assert.deepEqual(complaints, [])
  })

  it("moves nothing for those who want no motion", async () => {
    const { page } = await look(house, "", { reducedMotion: "reduce" })
    await page.locator(".tile").first().waitFor()
    const moving = await page.evaluate(
      () =>
        [...document.querySelectorAll("*")].filter((each) => {
          const { animationName, transitionDuration } = getComputedStyle(each)
          return animationName !== "none" || transitionDuration.split(",").some((time) => parseFloat(time) > 0)
        }).length
    )
    assert.strictEqual(moving, 0)
  })

  it("is read on a machine without a language", async () => {
    const { page } = await look(house)
    await page.addInitScript(() =>
      Object.defineProperty(navigator, "language", { value: "en-US@posix", configurable: true })
    )
    const complaints: Array<string> = []
    page.on("pageerror", (error) => complaints.push(error.message))
    await page.reload()
    await page.locator(".tile").first().waitFor()
    assert.strictEqual(await page.locator(".plot canvas").count(), 4)
    assert.deepEqual(complaints, [])
  })

  it("asks for a key where one is needed, and says what is wrong with it", async () => {
    const keys = [
      { id: "user", hash: ApiKeys.hashOf("bw_user") },
      { id: "root", hash: ApiKeys.hashOf("bw_root"), scopes: ["admin", "chat"] }
    ]
    const own = await open({ auth: { keys } })
    const { page, complaints } = await look(own, "#/providers")
    const field = page.getByLabel("Key", { exact: true })
    const enter = async (key: string) => {
      await field.fill(key)
      await field.press("Enter")
    }
    await field.waitFor()
    assert.deepEqual(await violations(page), [])
    await enter("bw_wrong")
    await page.getByText("The API key is not valid.").waitFor()
    await enter("bw_user")
    await page.getByText("The key does not have the scope admin.").waitFor()
    assert.deepEqual(await violations(page), [])
    await enter("bw_root")
    await page.getByRole("heading", { name: "Circuit breakers" }).waitFor()
    await page.locator(".link .chip", { hasText: "live" }).waitFor()
    // For this tab, and no other.
    await page.reload()
    await page.getByRole("heading", { name: "Circuit breakers" }).waitFor()
    assert.strictEqual(await page.evaluate(() => JSON.stringify({ ...localStorage })), "{}")
    assert.strictEqual((await page.context().cookies()).length, 0)
    assert.notInclude(page.url(), "bw_root")
    await page.getByRole("button", { name: "Sign out" }).click()
    await field.waitFor()
    assert.strictEqual(await page.evaluate(() => sessionStorage.length), 0)
    assert.deepEqual(complaints, [])
  })

  it("says that the gateway is gone, keeps what it had, and comes back with it", async () => {
    const own = await open()
    await own.ask("first/good")
    const { page, complaints } = await look(own)
    await page.locator(".link .chip", { hasText: "live" }).waitFor()
    assert.strictEqual(await tile(page, "Requests"), "1")
    await own.stopGateway()
    const notice = page.locator(".notice.stale")
    await notice.waitFor()
    assert.match(await notice.innerText(), /stale since \d\d:\d\d:\d\d/)
    await page.locator(".link .chip", { hasText: "no link" }).waitFor()
    assert.strictEqual(await tile(page, "Requests"), "1")
    await own.startGateway()
    await own.ask("first/good")
    await own.ask("first/good")
    await page.locator(".link .chip", { hasText: "live" }).waitFor()
    await page.waitForFunction(() => document.querySelector(".tile-value")?.textContent === "2")
    await notice.waitFor({ state: "hidden" })
    assert.deepEqual(complaints, [])
  })

  it("says so when the gateway is not there from the start", async () => {
    const own = await open()
    const { page } = await look(own)
    await page.route("**/admin/**", (route) => route.abort())
    await page.reload()
    await page.getByRole("heading", { name: "The gateway does not answer" }).waitFor()
    await page.unroute("**/admin/**")
    await page.getByRole("button", { name: "Try now" }).click()
    await page.locator(".tile").first().waitFor()
  })

  it("does without the stream, and asks every few seconds", async () => {
    const own = await open()
    await own.ask("first/good")
    const { page } = await look(own)
    await page.route("**/admin/events", (route) => route.fulfill({ status: 503, body: "{}" }))
    await page.reload()
    await page.locator(".link .chip", { hasText: "every few seconds" }).waitFor()
    assert.strictEqual(await tile(page, "Requests"), "1")
    await own.ask("first/good")
    await page.waitForFunction(() => document.querySelector(".tile-value")?.textContent === "2")
  })

  it("does not grow, however much happens", { timeout: 120_000 }, async () => {
    const own = await open({
      defaults: { retries: 2, backoff: { base: "1ms", cap: "2ms" }, breaker: false, timeouts: { total: "20s" } }
    })
    const { page, complaints } = await look(own)
    await page.locator(".tile").first().waitFor()
    const client = await page.context().newCDPSession(page)
    await client.send("Performance.enable")
    const measure = async () => {
      await client.send("HeapProfiler.collectGarbage")
      const { metrics } = await client.send("Performance.getMetrics")
      const of = (name: string) => metrics.find((each) => each.name === name)?.value ?? 0
      const elements = await page.evaluate(() => document.querySelectorAll("*").length)
      return { elements, nodes: of("Nodes"), heap: of("JSHeapUsedSize"), listeners: of("JSEventListeners") }
    }
    let asked = 0
    const round = async (n: number): Promise<void> => {
      const one = async () => {
        for (let i = 0; i < n / 10; i++) await own.ask("first/error-500", { fallbacks: ["second/good"] })
      }
      await Promise.all(Array.from({ length: 10 }, one))
      asked += n
      const wanted = asked.toLocaleString("en-GB")
      await page.waitForFunction((text) => document.querySelector(".tile-value")?.textContent === text, wanted)
      // Round the sections, so that what they leave behind would show.
      for (const section of [...sections, "overview"]) {
        await page.goto(`${own.url}/dashboard/#/${section}`)
        await page.locator(".card").first().waitFor()
      }
      await page.locator(".tile").first().waitFor()
      await page.waitForTimeout(600)
    }
    await round(150)
    const before = await measure()
    await round(400)
    await round(400)
    const after = await measure()
    // Each of these requests tells a dozen events: about ten thousand of them.
    assert.isAtMost(await page.locator(".feed li").count(), 60)
    assert.isAtMost(after.elements, before.elements * 1.1 + 50)
    assert.isAtMost(after.nodes, before.nodes * 1.25 + 2_000)
    assert.isAtMost(after.listeners, before.listeners * 1.25 + 50)
    assert.isAtMost(after.heap - before.heap, 6 * 1024 * 1024)
    assert.deepEqual(complaints, [])
  })
})
