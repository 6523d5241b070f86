/**
 * What holds for every conversation that is fitted, trimmed, repaired, cut or compacted.
 */
import { ContextWindow, type Message, type Request, Tokenizer } from "@breakwater/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { compact } from "../../packages/core/src/internal/compaction.ts"
import { characterCut, pieceEnd } from "../../packages/core/src/internal/textCuts.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** One step of a conversation; `size` is its number of words. */
const Step = Schema.Struct({
  kind: Schema.Literals(["user", "assistant", "system", "tools", "delayed"]),
  size: whole(0, 60)
})
const Steps = Schema.Array(Step).check(Schema.isMaxLength(24))
const Settings = Schema.Struct({
  window: whole(60, 900),
  maxTokens: whole(1, 300),
  keepTurns: whole(0, 3),
  strategy: Schema.Literals(["keepNewest", "dropMiddle", "fail", "summarise"]),
  exact: Schema.Boolean
})

const words = (count: number): string => Array.from({ length: count }, () => "table").join(" ")

const messagesOf = (steps: ReadonlyArray<typeof Step.Type>): ReadonlyArray<Message.Message> => {
  const out: Array<Message.Message> = []
  steps.forEach(({ kind, size }, index) => {
    const id = `call-${index}`
    const call: Message.Message = {
      role: "assistant",
      content: [{ type: "tool-call", id, name: "look", params: { text: words(size) } }]
    }
    const result: Message.Message = {
      role: "tool",
      content: [{ type: "tool-result", id, name: "look", isFailure: false, result: words(size) }]
    }
    if (kind === "tools") out.push(call, result)
    // Somebody speaks before the result is there.
    else if (kind === "delayed") out.push(call, { role: "user", content: `wait ${index}` }, result)
    else if (kind === "system") out.push({ role: "system", content: `rule ${index} ${words(Math.min(size, 5))}` })
    else out.push({ role: kind, content: `${index} ${words(size)}` })
  })
  return [...out, { role: "user", content: "last" }]
}

const ids = (messages: ReadonlyArray<Message.Message>, type: "tool-call" | "tool-result"): ReadonlyArray<string> =>
  messages.flatMap((message) =>
    typeof message.content === "string"
      ? []
      : (message.content as ReadonlyArray<Message.MessagePart>).flatMap((part) => (part.type === type ? [part.id] : []))
  )

const tokenizerOf = (exact: boolean) =>
  Tokenizer.make(
    exact
      ? { encodingOf: () => ({ name: "words", load: Effect.succeed((text: string) => text.split(" ").length) }) }
      : {}
  )

const summarise = () => Effect.succeed(words(80))

const check = (before: ReadonlyArray<Message.Message>, after: ReadonlyArray<Message.Message>): void => {
  const kept = after.filter((message) => before.includes(message))
  // In the same order, and nothing but a summary added.
  expect(kept).toEqual(before.filter((message) => kept.includes(message)))
  expect(after.filter((message) => !before.includes(message)).every((message) => message.role === "system")).toBe(true)
  // Calls and results in pairs.
  expect(ids(after, "tool-call")).toEqual(ids(after, "tool-result"))
  for (const message of before) {
    if (message.role === "system") expect(after).toContain(message)
  }
  expect(after).toContain(before.findLast((message) => message.role === "user"))
}

describe("laws of fitting", () => {
  it.effect.prop(
    "a fitted request is within the window, in order, with its pairs whole; fitting it again changes nothing",
    {
      steps: Steps,
      settings: Settings
    },
    ({ settings, steps }) =>
      Effect.gen(function* () {
        const { exact, keepTurns, maxTokens, strategy, window } = settings
        const tokenizer = yield* tokenizerOf(exact)
        const context = yield* ContextWindow.make({
          keepTurns,
          minAnswer: 10,
          strategy: strategy === "summarise" ? { summarise, maxTokens: 40 } : strategy
        }).pipe(Effect.provideService(Tokenizer.Tokenizer, tokenizer))
        const messages = messagesOf(steps)
        const request: Request.ProviderRequest = { model: "m", messages, maxTokens }
        const fitted = yield* Effect.result(context.fit(request, { model: "m", window }))
        if (fitted._tag === "Failure") {
          expect(fitted.failure).toMatchObject({ _tag: "ContextLengthError", maxTokens: window })
          expect((fitted.failure as { readonly requestedTokens: number }).requestedTokens).toBeGreaterThan(window)
          return
        }
        const { dropped, method, request: out, reserved } = fitted.success
        const { tokens } = yield* tokenizer.countMessages("m", out.messages)
        expect(tokens + out.maxTokens!).toBeLessThanOrEqual(window)
        expect(out.maxTokens).toBe(reserved)
        if (method !== "bound") expect(fitted.success.inputTokens).toBe(tokens)
        check(messages, out.messages)
        const added = fitted.success.summary === "added" ? 1 : 0
        expect(out.messages.length).toBe(messages.length - dropped.messages + added)
        if (strategy === "fail") expect(out.messages).toBe(messages)
        const again = yield* context.fit(out, { model: "m", window })
        expect(again.request).toBe(out)
      }),
    { arbitrary: { runs: 1000 } }
  )

  it.effect.prop(
    "a repaired request is smaller than the one refused, in order, with its pairs whole",
    {
      steps: Steps,
      maxTokens: whole(0, 2_000),
      requestedTokens: whole(0, 4_000),
      named: Schema.Literals(["none", "max", "both"])
    },
    ({ maxTokens, named, requestedTokens, steps }) =>
      Effect.sync(() => {
        const messages = messagesOf(steps)
        const request: Request.ProviderRequest = { model: "m", messages, maxTokens: 200 }
        const repaired = ContextWindow.repair(request, {
          ...(named === "none" ? undefined : { maxTokens }),
          ...(named === "both" ? { requestedTokens } : undefined)
        })
        if (repaired === undefined) return
        expect(repaired.messages.length < messages.length || repaired.maxTokens! < 200).toBe(true)
        expect(repaired.messages.length).toBeLessThanOrEqual(messages.length)
        expect(repaired.maxTokens).toBeLessThanOrEqual(200)
        check(messages, repaired.messages)
      }),
    { arbitrary: { runs: 500 } }
  )
})

describe("laws of texts", () => {
  const Piece = Schema.Array(
    Schema.Literals([
      "a",
      "word",
      " ",
      "  ",
      "\n",
      "\r\n",
      "\n\n\n",
      "中文",
      "。",
      "é",
      "e\u0301",
      "👍🏽",
      "👩‍👩‍👧‍👦",
      "🇩🇪",
      "🎉",
      "```",
      "`x  y`",
      '{"a":  1}',
      "[1,  2]",
      "x".repeat(90),
      "\ud83d"
    ])
  ).check(Schema.isMaxLength(60))

  it.effect.prop(
    "a cut parts no character that a reader sees",
    { pieces: Piece, at: whole(0, 400) },
    ({ at, pieces }) =>
      Effect.sync(() => {
        const text = pieces.join("")
        const cut = characterCut(text, at)
        expect(cut).toBeLessThanOrEqual(Math.max(0, at))
        const starts = Array.from(new Intl.Segmenter().segment(text), ({ index }) => index)
        expect([...starts, text.length]).toContain(cut)
        if (text.isWellFormed()) expect(text.slice(0, cut).isWellFormed()).toBe(true)
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop(
    "pieces are not empty, and together they are the text",
    { pieces: Piece, size: whole(1, 50) },
    ({ pieces, size }) =>
      Effect.sync(() => {
        const text = pieces.join("")
        let out = ""
        for (let from = 0; from < text.length;) {
          const end = pieceEnd(text, from, size)
          expect(end).toBeGreaterThan(from)
          expect(end - from).toBeLessThanOrEqual(size)
          out += text.slice(from, end)
          from = end
        }
        expect(out).toBe(text)
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop(
    "compaction makes nothing longer, and nothing shorter twice",
    {
      pieces: Piece,
      paste: Schema.Literals([200, 1_000_000])
    },
    ({ paste, pieces }) =>
      Effect.sync(() => {
        const text = pieces.join("")
        const rules = { whitespace: true, repeats: true, paste }
        const once = compact(text, rules)
        expect(once.length).toBeLessThanOrEqual(text.length)
        expect(compact(once, rules)).toBe(once)
      }),
    { arbitrary: { runs: 500 } }
  )
})
