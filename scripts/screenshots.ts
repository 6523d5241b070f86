/**
 * Takes the pictures of the dashboard's page of the manual: a gateway in front of three providers with moods, a quarter of
 * an hour of traffic that takes a minute, and a browser that looks at it.
 *
 * Run with `npm run screenshots`, where there is a browser (see test/support/browser.ts). It writes docs/images.
 */
import { ApiKeys, Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser } from "playwright-core"
import { launchBrowser, noBrowser } from "../test/support/browser.ts"
import { filesUnder, workspaceRoot } from "./files.ts"

const images = join(workspaceRoot, "docs/images")

// --- time: it runs fast until it has caught up with the clock on the wall -----------------------------------------------

const historyMs = 15.5 * 60_000
const speed = 15

const hurried = (wall: Clock.Clock): Clock.Clock => {
  const began = wall.currentTimeMillisUnsafe()
  const origin = wall.monotonicTimeNanosUnsafe()
  const caughtUpMs = historyMs / (speed - 1)
  const passedMs = () => Number(wall.monotonicTimeNanosUnsafe() - origin) / 1e6
  /** Milliseconds of this clock since the start. */
  const ownMs = () => {
    const ms = passedMs()
    return ms < caughtUpMs ? ms * speed : caughtUpMs * speed + (ms - caughtUpMs)
  }
  const nowMs = () => Math.floor(began - historyMs + ownMs())
  return {
    currentTimeMillisUnsafe: nowMs,
    currentTimeMillis: Effect.sync(nowMs),
    currentTimeNanosUnsafe: () => BigInt(nowMs()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(nowMs()) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => origin + BigInt(Math.floor(ownMs() * 1e6)),
    monotonicTimeNanos: Effect.sync(() => origin + BigInt(Math.floor(ownMs() * 1e6))),
    sleep: (duration) =>
      Effect.suspend(() => {
        const ms = Duration.toMillis(duration)
        return wall.sleep(Duration.millis(passedMs() < caughtUpMs ? ms / speed : ms))
      })
  }
}

// --- providers with moods: names of real models in front of an upstream that fails by the model's name ------------------

/** Each fault with its chance; what is left is well. */
type Mood = ReadonlyArray<readonly [fault: string, chance: number]>

/** How each provider is, at a minute of the quarter of an hour. */
const moods: Readonly<Record<string, (minute: number) => Mood>> = {
  anthropic: (minute) =>
    minute > 5.5 && minute < 7.5
      ? [
          ["overloaded-529", 0.75],
          ["slow-first-token:140", 0.2]
        ]
      : [
          ["slow-first-token:60", 0.06],
          ["cut-stream", 0.012],
          ["overloaded-529", 0.01]
        ],
  openai: () => [
    ["content-filter", 0.02],
    ["rate-limit-no-hint", 0.008],
    ["error-500", 0.02],
    ["slow-first-token:50", 0.05]
  ],
  gemini: (minute) => (minute > 15.2 ? [["error-500", 0.95]] : [["reset-before-headers", 0.02]])
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** In the place of the model comes a fault, by chance. */
const moody = (text: string, mood: Mood, chance: number): string => {
  let left = chance
  const fault = mood.find(([, share]) => (left -= share) < 0)?.[0] ?? "good"
  return JSON.stringify({ ...(JSON.parse(text) as object), model: fault })
}

const passOn = async (
  upstream: string,
  moodNow: () => Mood,
  chance: () => number,
  request: IncomingMessage,
  response: ServerResponse
): Promise<void> => {
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  const text = await bodyOf(request)
  const answer = await fetch(`${upstream}${request.url ?? "/"}`, {
    method: request.method ?? "GET",
    headers: {
      "content-type": "application/json",
      authorization: "Bearer key",
      "x-api-key": "key",
      "anthropic-version": String(request.headers["anthropic-version"] ?? "")
    },
    signal: gone.signal,
    ...(text === "" ? {} : { body: moody(text, moodNow(), chance()) })
  })
  response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" })
  if (answer.body !== null) for await (const chunk of answer.body) response.write(chunk)
  response.end()
}

const providerAt = (upstream: string, moodNow: () => Mood, chance: () => number) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer((request, response) => {
        passOn(upstream, moodNow, chance, request, response).catch(() => response.destroy())
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.closeAllConnections())
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

// --- the gateway, and who asks it -----------------------------------------------------------------------------------------

const targets = { claude: "anthropic/claude-haiku-4-5", gpt: "openai/gpt-4.1-mini", flash: "gemini/gemini-2.5-flash" }

const keys = [
  { key: "bw_web_not_real", id: "web", tenant: "acme", project: "support", tier: "gold" },
  { key: "bw_batch_not_real", id: "batch", tenant: "acme", project: "digest", tier: "silver" },
  { key: "bw_globex_not_real", id: "globex-app", tenant: "globex", project: "search", tier: "silver" },
  { key: "bw_ops_not_real", id: "ops", scopes: ["admin"] }
]
const operator = keys.at(-1)!.key

const configOf = (addresses: Readonly<Record<string, string>>, folder: string): object => ({
  providers: {
    anthropic: { type: "anthropic", baseUrl: addresses["anthropic"], apiKey: { env: "BW_SCREENSHOT_KEY" } },
    openai: { type: "openai", baseUrl: `${addresses["openai"]}/v1`, apiKey: { env: "BW_SCREENSHOT_KEY" } },
    gemini: { type: "openai-compatible", baseUrl: `${addresses["gemini"]}/v1`, apiKey: { env: "BW_SCREENSHOT_KEY" } }
  },
  routes: {
    chat: { targets: [targets.claude, targets.gpt, targets.flash] },
    search: { targets: [targets.flash, targets.gpt] },
    canary: {
      order: "weighted",
      targets: [
        { target: targets.gpt, weight: 90 },
        { target: "openai/gpt-4.1", weight: 10 }
      ]
    }
  },
  defaults: {
    retries: 1,
    backoff: { base: "400ms", cap: "2s" },
    timeouts: { firstToken: "6s", idle: "6s", attempt: "30s", total: "60s" },
    breaker: { failureRate: 0.5, minimumCalls: 10, openFor: "40s", probes: 2 },
    quota: { rpm: 600, tpm: 400_000 },
    bulkhead: { limit: 32 },
    hedge: { quantile: 0.95, minDelay: "900ms", minSamples: 40 }
  },
  cache: { ttl: "1h" },
  prices: {
    overrides: {
      [targets.claude]: { input: "1", output: "5" },
      [targets.gpt]: { input: "0.4", output: "1.6" },
      "openai/gpt-4.1": { input: "2", output: "8" },
      [targets.flash]: { input: "0.3", output: "2.5" }
    }
  },
  budgets: [
    { name: "everybody", scope: "global", period: "month", limit: "8.00", soft: "6.00" },
    { name: "tenant", scope: "tenant", period: "day", limit: "2.00", soft: "1.20" },
    { name: "project", scope: "project", period: "day", limit: "4.00" }
  ],
  budgetPolicy: { assumedOutputTokens: 400 },
  ledger: { file: join(folder, "ledger.db") },
  audit: { file: join(folder, "audit.log"), keys: `k1:${Buffer.alloc(32, 7).toString("base64")}` },
  alerts: {
    rules: [
      { kind: "slo", name: "availability", objective: 0.99 },
      { kind: "circuit-open", name: "circuit", severity: "page" },
      { kind: "latency", name: "slow", boundMs: 8_000 },
      { kind: "budget", name: "budget", share: 0.5 }
    ]
  },
  tiers: {
    gold: [{ limit: 600, window: "1m" }],
    silver: {
      requests: [{ limit: 240, window: "1m" }],
      tokens: [{ limit: 400_000, window: "1m" }]
    }
  },
  auth: { keys: keys.map(({ key, ...rest }) => ({ ...rest, hash: ApiKeys.hashOf(key) })) }
})

const questions = ["What changed since yesterday?", "Summarise the thread.", "Where is my parcel?", "Draft a reply."]
const users = ["ada", "grace", "linus", "barbara", "edsger"]

const pickFrom = <A>(list: ReadonlyArray<A>) =>
  Effect.map(Random.nextIntBetween(0, list.length), (i) => list[i % list.length]!)

/** One request of somebody's. */
const askOnce = (url: string) =>
  Effect.gen(function* () {
    const who = yield* pickFrom(keys.slice(0, 3))
    const user = yield* pickFrom(users)
    const question = yield* pickFrom(questions)
    const chance = yield* Random.next
    const route = who.id === "globex-app" ? "search" : chance < 0.2 ? "canary" : "chat"
    const repeated = chance > 0.86
    const words = repeated ? 80 : yield* Random.nextIntBetween(60, 900)
    const body = {
      model: route,
      max_tokens: 400,
      stream: chance > 0.35 && !repeated,
      ...(repeated ? { temperature: 0 } : {}),
      messages: [{ role: "user", content: `${question} ${"context ".repeat(words)}` }]
    }
    yield* Effect.tryPromise(async (signal) => {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        signal,
        headers: {
          "content-type": "application/json",
          authorization: `Bearer ${who.key}`,
          "x-breakwater-user": user
        },
        body: JSON.stringify(body)
      })
      await response.text()
    })
  }).pipe(Effect.ignore)

/** People come and go: more of them in the middle of the quarter of an hour. */
const crowd = (url: string, minute: () => number) =>
  Effect.forever(
    Effect.gen(function* () {
      const busy = 1 + 0.5 * Math.sin(minute() / 2.2) + 0.25 * Math.sin(minute() * 1.9)
      const chance = yield* Random.next
      yield* Effect.sleep(Duration.millis((-Math.log(1 - chance) * 450) / Math.max(0.3, busy)))
      yield* Effect.forkChild(askOnce(url))
    })
  )

// --- the pictures -----------------------------------------------------------------------------------------------------------

interface Shot {
  readonly name: string
  /** A `*` stands for the request with the most to see. */
  readonly hash: string
  readonly scheme: "light" | "dark"
  readonly width: number
  readonly height: number
}

const shots: ReadonlyArray<Shot> = [
  { name: "dashboard-overview-light", hash: "overview", scheme: "light", width: 1360, height: 1060 },
  { name: "dashboard-overview-dark", hash: "overview", scheme: "dark", width: 1360, height: 1060 },
  { name: "dashboard-providers", hash: "providers", scheme: "light", width: 1360, height: 660 },
  { name: "dashboard-requests", hash: "requests", scheme: "dark", width: 1360, height: 760 },
  { name: "dashboard-timeline", hash: "requests/*", scheme: "light", width: 1360, height: 860 },
  { name: "dashboard-cost", hash: "cost", scheme: "dark", width: 1360, height: 1060 },
  { name: "dashboard-alerts", hash: "alerts", scheme: "light", width: 1360, height: 860 },
  { name: "dashboard-narrow", hash: "overview", scheme: "light", width: 390, height: 844 },
  { name: "dashboard-narrow-timeline", hash: "requests/*", scheme: "dark", width: 390, height: 844 }
]

/** A typeface that many machines have, where this one has not: Debian's package, unpacked and not installed. */
const fonts = (): string | undefined => {
  const home = join(workspaceRoot, "node_modules/.cache/breakwater-fonts")
  const folder = join(home, "fonts")
  try {
    if (readdirSync(folder).length > 0) return home
  } catch {
    // They are fetched.
  }
  const work = mkdtempSync(join(tmpdir(), "fonts-"))
  try {
    const run = (command: string, ...args: ReadonlyArray<string>) =>
      spawnSync(command, args, { cwd: work, stdio: "ignore", timeout: 60_000 }).status === 0
    if (!run("apt-get", "download", "fonts-inter", "fonts-jetbrains-mono")) return undefined
    for (const name of readdirSync(work)) run("dpkg", "-x", name, "root")
    mkdirSync(folder, { recursive: true })
    for (const file of [...filesUnder(work, ".otf"), ...filesUnder(work, ".ttf")].filter((name) =>
      /\/(?:Inter|JetBrainsMono)-(?:Regular|Medium|SemiBold|Bold)\./.test(name)
    )) {
      renameSync(file, join(folder, file.split("/").at(-1)!))
    }
    return home
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const take = async (browser: Browser, url: string, shot: Shot): Promise<void> => {
  const context = await browser.newContext({
    viewport: { width: shot.width, height: shot.height },
    colorScheme: shot.scheme,
    locale: "en-GB",
    timezoneId: "UTC",
    reducedMotion: "reduce"
  })
  const page = await context.newPage()
  await page.addInitScript((key) => sessionStorage.setItem("breakwater-key", key), operator)
  await page.goto(`${url}/dashboard/#/${shot.hash}`)
  await page.waitForFunction(
    () => document.querySelector(".card") !== null && document.querySelector(".loading") === null
  )
  await page.locator(".link .chip", { hasText: "live" }).waitFor()
  await page.waitForTimeout(shot.hash === "overview" && shot.width > 900 ? 3_000 : 900)
  const path = join(images, `${shot.name}.png`)
  await page.screenshot({ path })
  await context.close()
  console.log(`${shot.name}.png ${Math.round(statSync(path).size / 1024)} KB`)
}

interface Told {
  readonly requestId: string
  readonly outcome: string
  readonly tookMs: number
  readonly attempts: ReadonlyArray<{
    readonly outcome: string
    readonly target: string
    readonly firstTokenMs?: number
  }>
}

/** The request with the most to see: it was retried, moved, and answered as a stream. */
const rescuedOf = async (url: string): Promise<string> => {
  const response = await fetch(`${url}/admin/requests?limit=200&outcome=success`, {
    headers: { authorization: `Bearer ${operator}` }
  })
  const { requests } = (await response.json()) as { readonly requests: ReadonlyArray<Told> }
  const worth = ({ attempts, tookMs }: Told): number =>
    (attempts.length === 3 ? 10 : attempts.length) +
    new Set(attempts.map(({ target }) => target)).size * 4 +
    (attempts.at(-1)?.firstTokenMs === undefined ? 0 : 6) +
    (tookMs > 1_000 && tookMs < 8_000 ? 3 : 0)
  return [...requests].sort((a, b) => worth(b) - worth(a))[0]?.requestId ?? ""
}

const program = (browser: Browser) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const startMs = clock.currentTimeMillisUnsafe()
    const minute = () => (clock.currentTimeMillisUnsafe() - startMs) / 60_000
    const random = yield* Random.Random
    const chance = () => random.nextDoubleUnsafe()
    const upstream = yield* Upstream.make({ wordDelay: 18 })
    const addresses: Record<string, string> = {}
    for (const [name, mood] of Object.entries(moods)) {
      addresses[name] = yield* providerAt(upstream.url, () => mood(minute()), chance)
    }
    const folder = mkdtempSync(join(tmpdir(), "screenshots-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    const gateway = yield* Gateway.make(configOf(addresses, folder))
    yield* Effect.forkScoped(crowd(gateway.url, minute))
    yield* Effect.sleep(Duration.millis(historyMs + 42_000))
    mkdirSync(images, { recursive: true })
    for (const shot of shots) {
      const rescued = yield* Effect.promise(() => rescuedOf(gateway.url))
      const hash = shot.hash.replace("*", rescued)
      yield* Effect.promise(() => take(browser, gateway.url, { ...shot, hash }))
    }
  })

if (noBrowser) {
  console.error("There is no browser here; see test/support/browser.ts.")
  process.exitCode = 1
} else {
  process.env["BW_SCREENSHOT_KEY"] = "not-real"
  const home = fonts()
  const browser = await launchBrowser(home === undefined ? {} : { XDG_DATA_HOME: home })
  await Effect.runPromise(
    Effect.flatMap(Clock.Clock, (wall) =>
      Effect.provideService(Effect.scoped(program(browser)), Clock.Clock, hurried(wall))
    )
  )
  await browser.close()
  // Connections of browsers and providers may linger.
  process.exit()
}
