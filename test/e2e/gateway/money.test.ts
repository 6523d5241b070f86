/** Money over real HTTP: what answers cost, what requests may cost, warnings, savings, and the record of all that. */
import { ApiKeys, type Gateway } from "@breakwater/gateway"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { chat, eventually, type Json, onStage, post, promised, type Stage } from "./support.ts"

const key = (id: string, more: object = {}) => ({ id, hash: ApiKeys.hashOf(`bw_${id}`), ...more })
/** A thousandth of a dollar for each token of the answer, nothing for the prompt. */
const prices = {
  overrides: {
    "first/good": { input: "0", output: "1000" },
    "second/good": { input: "0", output: "1000" },
    "first/error-500": { input: "0", output: "1000" },
    "first/embed": { input: "0", output: "0" }
  }
}

const ask = (stage: Stage, model: string, more: object = {}, headers: Record<string, string> = {}) =>
  Effect.flatMap(post(`${stage.url}/v1/chat/completions`, chat(model, more), headers), (response) =>
    promised(async () => ({ status: response.status, headers: response.headers, text: await response.text() }))
  )

const as = (id: string) => ({ authorization: `Bearer bw_${id}` })

/** What the last chunk of a stream says. */
const lastOf = (text: string): Json => {
  const chunks = text.split("\n\n").filter((each) => each.startsWith("data: {"))
  return JSON.parse(chunks.at(-1)!.slice("data: ".length)) as Json
}

const dollars = (text: string | null): number => Number(text ?? Number.NaN)

describe("the most that a request may cost", () => {
  const budget = (amount: string) => ({ "x-breakwater-budget": amount })

  it.live("turns away what could cost more, on both wires, before anything is sent", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const fits = yield* ask(stage, "first/good", { max_tokens: 50 }, budget("0.05"))
          assert.strictEqual(fits.status, 200)
          const refused = yield* ask(stage, "first/good", { max_tokens: 51 }, budget("0.05"))
          assert.strictEqual(refused.status, 429)
          const { error } = JSON.parse(refused.text) as Json
          assert.strictEqual(error.code, "budget_exceeded")
          assert.match(error.message, /x-breakwater-budget.*\$0\.05/)
          const streamed = yield* ask(stage, "first/good", { max_tokens: 51, stream: true }, budget("$0.05"))
          assert.strictEqual(streamed.status, 429)
          const anthropic = yield* post(
            `${stage.url}/v1/messages`,
            chat("first/good", { max_tokens: 51 }),
            budget("0.05")
          )
          assert.strictEqual(anthropic.status, 429)
          assert.strictEqual((yield* promised(() => anthropic.json() as Promise<Json>))["type"], "error")
          // Two targets may both be paid.
          const two = { max_tokens: 50, fallbacks: ["second/good"] }
          assert.strictEqual((yield* ask(stage, "first/good", two, budget("0.099"))).status, 429)
          assert.strictEqual((yield* ask(stage, "first/good", two, budget("0.1"))).status, 200)
          assert.strictEqual((yield* stage.first.stats).total, 2)
        }),
      { prices, defaults: { retries: 0 } }
    )
  )

  it.live("does not stand in the way of an answer from the cache", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const same = { max_tokens: 50, temperature: 0 }
          const first = yield* ask(stage, "first/good", same)
          const again = yield* ask(stage, "first/good", same, budget("0.000000001"))
          assert.strictEqual(again.status, 200)
          assert.strictEqual(again.headers.get("x-breakwater-cache"), "exact")
          assert.strictEqual(again.headers.get("x-breakwater-saved"), first.headers.get("x-breakwater-cost"))
          const streamed = lastOf((yield* ask(stage, "first/good", { ...same, stream: true })).text)
          assert.strictEqual(streamed["breakwater"].saved, first.headers.get("x-breakwater-cost"))
          assert.strictEqual(streamed["breakwater"].cache, "exact")
        }),
      { prices, cache: {}, defaults: { retries: 0 } }
    )
  )

  it.live("is an amount, and wants prices", () =>
    Effect.gen(function* () {
      yield* onStage(
        (stage) =>
          Effect.gen(function* () {
            for (const amount of ["free", "0", "-1", "1e3", "0.0000000001", ""]) {
              const { status, text } = yield* ask(stage, "first/good", {}, budget(amount))
              assert.strictEqual(status, 400, amount)
              assert.strictEqual((JSON.parse(text) as Json)["error"].param, "x-breakwater-budget")
            }
          }),
        { prices }
      )
      yield* onStage((stage) =>
        Effect.map(ask(stage, "first/good", {}, budget("1")), ({ status, text }) => {
          assert.strictEqual(status, 400)
          assert.match(text, /prices/)
        })
      )
    })
  )
})

describe("budgets in answers", () => {
  it.live("say what is left, and warn at the soft limit, in headers and at the end of streams", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const whole = yield* ask(stage, "first/good", { max_tokens: 60 })
          const cost = dollars(whole.headers.get("x-breakwater-cost"))
          assert.isAbove(cost, 0.02)
          assert.closeTo(dollars(whole.headers.get("x-breakwater-budget-remaining")), 1 - cost, 1e-9)
          assert.isNull(whole.headers.get("x-breakwater-budget-warning"))
          let last: Json = {}
          for (let i = 0; i < 4; i++) {
            last = lastOf((yield* ask(stage, "first/good", { max_tokens: 60, stream: true })).text)["breakwater"]
          }
          assert.strictEqual(last["budgetWarning"], "a day's worth")
          assert.isBelow(Number(last["budgetRemaining"]), 1 - 3 * cost)
          const after = yield* ask(stage, "first/good", { max_tokens: 60 })
          assert.strictEqual(after.headers.get("x-breakwater-budget-warning"), "a day's worth")
        }),
      {
        prices,
        budgets: [{ name: "a day's worth", scope: "global", period: "day", limit: "1", soft: "0.1" }],
        defaults: { retries: 0 }
      }
    )
  )

  it.live("are kept for each key, user, team and model, in the year and for ever", () =>
    onStage(
      (stage) =>
        Effect.gen(function* () {
          const spend = (id: string, more: Record<string, string> = {}, model = "first/good") =>
            Effect.map(ask(stage, model, { max_tokens: 60 }, { ...as(id), ...more }), ({ status, text }) =>
              status === 200 ? "ok" : (JSON.parse(text) as Json)["error"].message
            )
          // Sixty thousandths at most for a call, and a tenth for a key: the second call may not fit.
          assert.strictEqual(yield* spend("one"), "ok")
          assert.match(yield* spend("one"), /"key day"/)
          assert.strictEqual(yield* spend("two"), "ok")
          assert.match(yield* spend("two"), /"key day"/)
          // Both are of one team, which has less than three calls' worth.
          assert.match(yield* spend("three"), /"project year"/)
          assert.strictEqual(yield* spend("four", { "x-breakwater-user": "ada" }), "ok")
          assert.match(yield* spend("five", { "x-breakwater-user": "ada" }), /"user lifetime"/)
          assert.strictEqual(yield* spend("five", { "x-breakwater-user": "bo" }), "ok")
          assert.match(yield* spend("six", {}, "second/good"), /"model week"/)
        }),
      {
        prices,
        auth: {
          keys: [
            key("one", { project: "team" }),
            key("two", { project: "team" }),
            key("three", { project: "team" }),
            key("four"),
            key("five"),
            key("six")
          ]
        },
        budgets: [
          { scope: "key", period: "day", limit: "0.1" },
          { scope: "user", period: "lifetime", limit: "0.1", only: ["ada", "bo"] },
          { scope: "project", period: "year", limit: "0.12", only: ["team"] },
          { scope: "model", period: "week", limit: "0.01", only: ["second/good"] }
        ],
        defaults: { retries: 0 }
      }
    )
  )
})

describe("the record of a request", () => {
  it.live(
    "has tokens, cost, savings, cache, attempts, first token, prompt hash and trace, and nothing of the prompt",
    () => {
      const records: Array<Gateway.AccessRecord> = []
      const trace = "0af7651916cd43dd8448eb211c80319c"
      return onStage(
        (stage) =>
          Effect.gen(function* () {
            const same = { max_tokens: 60, temperature: 0 }
            const routed = { ...same, fallbacks: ["first/good"] }
            yield* ask(stage, "first/error-500", routed, {
              ...as("one"),
              traceparent: `00-${trace}-b7ad6b7169203331-01`,
              "x-breakwater-project": "harbour"
            })
            yield* ask(stage, "first/good", { ...same, stream: true }, as("one"))
            yield* ask(stage, "first/good", { ...same, stream: true }, as("one"))
            yield* ask(stage, "nobody/none", {}, as("one"))
            assert.isTrue(yield* eventually(Effect.sync(() => records.length === 4)))
            const [failedOver, streamed, cached, unknown] = records
            assert.deepInclude(failedOver, {
              status: 200,
              caller: "one",
              tenant: "acme",
              project: "harbour",
              target: "first/good",
              attempts: 2,
              traceId: trace
            })
            assert.isAbove(failedOver!.tokens!.output, 20)
            assert.closeTo(Number(failedOver!.cost), failedOver!.tokens!.output / 1_000, 1e-9)
            assert.match(failedOver!.promptHash!, /^[\w-]{43}$/)
            assert.isUndefined(failedOver!.firstTokenMs)
            assert.isAbove(streamed!.firstTokenMs!, 0)
            assert.isAtMost(streamed!.firstTokenMs!, streamed!.tookMs)
            assert.strictEqual(streamed!.promptHash, failedOver!.promptHash)
            assert.deepInclude(cached as Json, { cached: "exact", saved: streamed!.cost, attempts: 0 })
            assert.isUndefined(cached!.tokens)
            assert.strictEqual(unknown!.status, 404)
            assert.isUndefined(unknown!.tokens)
            const text = JSON.stringify(records)
            assert.notInclude(text, "harbour.")
            assert.notInclude(text, "bw_one")
          }),
        {
          prices,
          cache: {},
          auth: { keys: [key("one", { tenant: "acme" })] },
          log: { promptHash: { secret: "pepper" } },
          defaults: { retries: 0 }
        },
        { onAccess: (record) => void records.push(record) }
      )
    }
  )
})
