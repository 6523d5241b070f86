/**
 * The gateway asked by its own description: for every path and method of `/openapi.json`, requests that are right and
 * requests that are broken, made from it by chance. Never a 500; an error is always of the documented shape.
 */
import { ApiKeys } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import { eventually, type Json, onStage, promised, type Stage } from "./support.ts"

type Random = () => number

/** The same numbers every time. */
const randomFrom = (seed: number): Random => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const pick = <A>(random: Random, all: ReadonlyArray<A>): A => all[Math.floor(random() * all.length)]!

/** A value that a schema allows. */
const valueOf = (schema: Json, root: Json, random: Random, name = ""): unknown => {
  if (schema["$ref"] !== undefined) {
    return valueOf(root["components"].schemas[String(schema["$ref"]).split("/").at(-1)!], root, random)
  }
  if (schema["enum"] !== undefined) return pick(random, schema["enum"])
  if (schema["anyOf"] !== undefined) return valueOf(pick(random, schema["anyOf"]), root, random)
  if (schema["examples"] !== undefined) return pick(random, schema["examples"])
  switch (schema["type"]) {
    case "string":
      return name === "model" || name === "key" ? pick(random, ["first/good", "second/good", "claude/good"]) : "word"
    case "boolean":
      return random() < 0.5
    case "integer":
      return (schema["minimum"] ?? 0) + Math.floor(random() * 20)
    case "number":
      return schema["minimum"] + random() * (schema["maximum"] - schema["minimum"])
    case "array": {
      const all = Array.from({ length: Math.max(schema["minItems"] ?? 0, Math.floor(random() * 3)) }, () =>
        valueOf(schema["items"], root, random, name === "fallbacks" ? "model" : "")
      )
      return schema["contains"] === undefined ? all : [...all, valueOf(schema["contains"], root, random)]
    }
    default: {
      const out: Record<string, unknown> = {}
      for (const [field, each] of Object.entries((schema["properties"] ?? {}) as Json)) {
        if (schema["required"]?.includes(field) === true || random() < 0.3)
          out[field] = valueOf(each, root, random, field)
      }
      return out
    }
  }
}

/** What a value has wrong by a schema; `undefined` for nothing. */
const mistake = (schema: Json, value: unknown, root: Json, path = "$"): string | undefined => {
  if (schema["$ref"] !== undefined) {
    return mistake(root["components"].schemas[String(schema["$ref"]).split("/").at(-1)!], value, root, path)
  }
  if (schema["anyOf"] !== undefined) {
    return (schema["anyOf"] as ReadonlyArray<Json>).some((each) => mistake(each, value, root) === undefined)
      ? undefined
      : `${path} fits nothing`
  }
  if (schema["enum"] !== undefined)
    return schema["enum"].includes(value) === true ? undefined : `${path} is ${String(value)}`
  if (schema["type"] === "null") return value === null ? undefined : `${path} is not null`
  if (schema["type"] === "string") return typeof value === "string" ? undefined : `${path} is no text`
  if (typeof value !== "object" || value === null) return `${path} is no object`
  for (const name of schema["required"] ?? []) if (!(name in value)) return `${path}.${name} is missing`
  for (const [name, each] of Object.entries((schema["properties"] ?? {}) as Json)) {
    if (!(name in value)) continue
    const found = mistake(each, (value as Json)[name], root, `${path}.${name}`)
    if (found !== undefined) return found
  }
  return undefined
}

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body?: string
}

/** A request by the description. */
const right = (path: string, method: string, operation: Json, root: Json, random: Random): Sent => {
  const query: Array<string> = []
  const headers: Record<string, string> = { authorization: "Bearer bw_all" }
  let at = path
  for (const each of (operation["parameters"] ?? []) as ReadonlyArray<Json>) {
    const value = String(valueOf(each["schema"], root, random))
    if (each["in"] === "path") at = at.replace("{id}", encodeURIComponent(value))
    else if (random() > 0.3) continue
    else if (each["in"] === "query") query.push(`${each["name"]}=${encodeURIComponent(value)}`)
    else headers[each["name"]] = value
  }
  const schema = operation["requestBody"]?.content["application/json"].schema as Json | undefined
  if (schema !== undefined) headers["content-type"] = "application/json"
  return {
    method: method.toUpperCase(),
    path: query.length === 0 ? at : `${at}?${query.join("&")}`,
    headers,
    ...(schema === undefined ? {} : { body: JSON.stringify(valueOf(schema, root, random)) })
  }
}

const odd = [
  "",
  "x".repeat(3_000),
  "-1",
  "1e999",
  "NaN",
  "%00",
  "\u00e9",
  "../../etc/passwd",
  "__proto__",
  "a,b,,",
  "null"
]
const oddJson: ReadonlyArray<unknown> = [null, 1, "x", [], {}, true, -1, 1e308, [[]], { a: { b: [null] } }, "\u0000"]
const oddTypes = ["text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data"]

/** The same with something wrong with it. */
const broken = (sent: Sent, random: Random): Sent => {
  const word = pick(random, odd)
  const [bare = "", query] = sent.path.split("?")
  const spoil: ReadonlyArray<() => Sent> = [
    () => ({ ...sent, method: pick(random, ["PUT", "PATCH", "DELETE", "POST", "GET", "OPTIONS", "HEAD"]) }),
    () => ({ ...sent, path: `${bare}/${encodeURIComponent(word)}` }),
    () => ({ ...sent, path: `${bare}?${query ?? "by"}=${encodeURIComponent(word)}&from=${encodeURIComponent(word)}` }),
    () => ({ ...sent, path: `${bare}?%zz=%&limit=${encodeURIComponent(word)}&mergeable=${encodeURIComponent(word)}` }),
    () => ({ ...sent, path: `${bare.replace(/[^/]+$/, "%ff%fe")}` }),
    () => ({ ...sent, headers: { ...sent.headers, authorization: `Bearer ${encodeURIComponent(word)}` } }),
    () => ({ ...sent, headers: { ...sent.headers, "content-type": pick(random, oddTypes) } }),
    () => ({ ...sent, headers: { ...sent.headers, "content-encoding": "gzip" } }),
    () => {
      const name = pick(random, ["timeout", "strict", "cache", "budget", "tags", "priority", "user", "stream-policy"])
      return {
        ...sent,
        headers: { ...sent.headers, [`x-breakwater-${name}`]: encodeURIComponent(word).slice(0, 2_000) }
      }
    },
    () => ({
      ...sent,
      ...(sent.body === undefined ? {} : { body: sent.body.slice(0, Math.floor(random() * sent.body.length)) })
    }),
    () => ({ ...sent, ...(sent.body === undefined ? {} : { body: `${"[".repeat(200)}${"]".repeat(200)}` }) }),
    () => {
      if (sent.body === undefined) return sent
      const body = JSON.parse(sent.body) as Record<string, unknown>
      const names = Object.keys(body)
      body[names.length === 0 ? "x" : pick(random, names)] = pick(random, oddJson)
      return { ...sent, body: JSON.stringify(body) }
    },
    () => {
      if (sent.body === undefined) return sent
      const body = JSON.parse(sent.body) as Record<string, unknown>
      delete body[pick(random, Object.keys(body))]
      return { ...sent, body: JSON.stringify(body) }
    },
    () => ({ ...sent, ...(sent.body === undefined ? {} : { body: JSON.stringify(pick(random, oddJson)) }) })
  ]
  return pick(random, spoil)()
}

interface Got {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** By hand, since clients will not send what is broken. Streams without an end are left after their beginning. */
const send = ({ body, headers, method, path }: Sent, url: string) =>
  promised(
    () =>
      new Promise<Got>((resolve, reject) => {
        const asked = Http.request(
          url + path,
          {
            method,
            headers: { ...headers, ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }) },
            agent: false
          },
          (res) => {
            let text = ""
            const got = () => resolve({ status: res.statusCode ?? 0, type: String(res.headers["content-type"]), text })
            res.on("data", (data: Buffer) => {
              text += data.toString()
              if (path.startsWith("/admin/events") && res.statusCode === 200) {
                got()
                res.destroy()
              }
            })
            res.on("end", got)
            res.on("error", () => got())
          }
        )
        asked.setTimeout(10_000, () => asked.destroy(new Error(`no answer to ${method} ${path}`)))
        asked.on("error", reject)
        asked.end(body)
      })
  )

const config = {
  auth: {
    keys: [
      {
        id: "all",
        hash: ApiKeys.hashOf("bw_all"),
        scopes: ["chat", "embeddings", "models", "metrics", "admin"],
        tier: "t"
      }
    ]
  },
  tiers: { t: { requests: [{ limit: 100_000, window: "1m" }], tokens: [{ limit: 100_000_000, window: "1m" }] } },
  prices: { overrides: {}, free: ["first", "second", "claude"] },
  budgets: [{ scope: "key", period: "day", limit: "100" }],
  ledger: { file: ":memory:" },
  cache: {}
}

const check = (stage: Stage, root: Json, path: string, operation: Json, sent: Sent) =>
  Effect.gen(function* () {
    const got = yield* send(sent, stage.url)
    const shown = `${sent.method} ${sent.path} ${JSON.stringify(sent.headers)} ${sent.body?.slice(0, 500)}\n${got.status} ${got.text.slice(0, 500)}`
    assert.notStrictEqual(got.status, 500, shown)
    assert.notInclude(got.text, "    at ", shown)
    if (got.status >= 400 && sent.method !== "HEAD" && !(path === "/ready" && got.status === 503)) {
      assert.match(got.type, /^application\/json/, shown)
      // A path that was spoiled is another path: its errors are OpenAI's.
      const anthropic = sent.path.startsWith("/v1/messages")
      const documented = operation["responses"].default.content["application/json"].schema as Json
      const schema = anthropic === (path === "/v1/messages") ? documented : { $ref: "#/components/schemas/Error" }
      assert.isUndefined(mistake(schema, JSON.parse(got.text), root), shown)
    }
    return got.status
  })

describe("every path of /openapi.json", () => {
  it.live(
    "answers what is right, and refuses what is broken in the documented words",
    () =>
      onStage(
        (stage) =>
          Effect.gen(function* () {
            const root = yield* promised(async () => (await (await fetch(`${stage.url}/openapi.json`)).json()) as Json)
            const operations = Object.entries(root["paths"] as Json).flatMap(([path, methods]) =>
              Object.entries(methods as Json).map(([method, operation]) => ({
                path,
                method,
                operation: operation as Json
              }))
            )
            assert.isAtLeast(operations.length, 18)
            for (const { method, operation, path } of operations) {
              const random = randomFrom(20_261_122 + path.length)
              const sound = Array.from({ length: 25 }, () => right(path, method, operation, root, random))
              const statuses = yield* Effect.forEach(sound, (sent) => check(stage, root, path, operation, sent), {
                concurrency: 8
              })
              // What is not turned on is not there.
              const named = path.endsWith("{id}") || path === "/admin/alerts" || path === "/admin/audit"
              // The page itself is a step further.
              const allowed = named ? [200, 404] : path === "/dashboard" ? [200, 308] : [200]
              // What fits the schema and still means nothing is a 400, and there are few of these.
              const unfit = statuses.filter((status) => !allowed.includes(status))
              // Anthropic embeds nothing, and the upstream of these tests knows no tokens.
              const few = path === "/v1/embeddings" ? 20 : 3
              assert.isAtMost(unfit.length, few, `${method} ${path}: ${unfit.join(" ")}`)
              const spoiled = Array.from({ length: 60 }, () =>
                broken(right(path, method, operation, root, random), random)
              )
              yield* Effect.forEach(spoiled, (sent) => check(stage, root, path, operation, sent), { concurrency: 8 })
            }
            assert.isTrue(yield* eventually(Effect.sync(() => stage.gateway.inFlight() === 0)))
          }),
        config
      ),
    120_000
  )
})
