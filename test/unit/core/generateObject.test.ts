import { LLM } from "@breakwater/core"
import type { ScriptedProvider } from "@breakwater/testing"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { setup } from "../../composition/support.ts"

const Invoice = Schema.Struct({ number: Schema.String, lines: Schema.Array(Schema.Struct({ cents: Schema.Int })) })
const good = '{"number":"7","lines":[{"cents":100}]}'

const ask = (script: ScriptedProvider.Script, options: { readonly repairs?: number } = {}) =>
  Effect.gen(function* () {
    const { calls, llm } = yield* setup({ a: script }, { targets: ["a/m"] })
    const exit = yield* Effect.result(
      LLM.generateObject({ prompt: "the invoice, please", schema: Invoice, ...options }).pipe(
        Effect.provideService(LLM.LLM, llm)
      )
    )
    return { exit, calls: yield* calls("a") }
  })

describe("generateObject", () => {
  it.effect("sends the JSON schema and decodes the answer", () =>
    Effect.gen(function* () {
      const { calls, exit } = yield* ask([good])
      assert.isTrue(exit._tag === "Success")
      if (exit._tag === "Success") assert.deepStrictEqual(exit.success.value, { number: "7", lines: [{ cents: 100 }] })
      const request = calls[0]!.request
      assert.isTrue("messages" in request && request.responseFormat?.type === "json")
      if (!("messages" in request) || request.responseFormat?.type !== "json") return
      assert.strictEqual(request.responseFormat.schema["type"], "object")
    })
  )

  it.effect("reads JSON out of a fenced block", () =>
    Effect.gen(function* () {
      const { exit } = yield* ask([`\`\`\`json\n${good}\n\`\`\``])
      assert.strictEqual(exit._tag, "Success")
    })
  )

  it.effect("sends an answer that does not fit back, with what is wrong", () =>
    Effect.gen(function* () {
      const { calls, exit } = yield* ask(['{"number":"7","lines":[{"cents":"x"}]}', good])
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(calls.length, 2)
      const request = calls[1]!.request
      const last = "messages" in request ? request.messages.at(-1)?.content : undefined
      assert.include(JSON.stringify(last), "lines[0].cents")
    })
  )

  it.effect("fails with the issues and the raw text when the repairs are used up", () =>
    Effect.gen(function* () {
      const { calls, exit } = yield* ask(["no json at all"], { repairs: 2 })
      assert.strictEqual(calls.length, 3)
      assert.isTrue(exit._tag === "Failure" && exit.failure._tag === "StructuredOutputError")
      if (exit._tag !== "Failure" || exit.failure._tag !== "StructuredOutputError") return
      assert.strictEqual(exit.failure.rawText, "no json at all")
      assert.isAbove(exit.failure.issues.length, 0)
      assert.strictEqual(exit.failure.provider, "a")
      assert.isAbove(exit.failure.usage!.inputTokens, 0)
    })
  )

  it.effect("refuses a number of repairs that is none", () =>
    Effect.gen(function* () {
      const { calls, exit } = yield* ask([good], { repairs: Number.NaN })
      assert.isTrue(exit._tag === "Failure" && exit.failure._tag === "InvalidRequestError")
      assert.strictEqual(calls.length, 0)
    })
  )
})
