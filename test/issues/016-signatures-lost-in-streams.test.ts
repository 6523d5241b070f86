/**
 * Signatures of thoughts, and sealed thoughts, come as pieces without words. Streams dropped them on their way, and a turn
 * that was put together from pieces kept only the last: an agent's next request was refused by the provider.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Response } from "@breakwater/core"
import { fold, unfold } from "../../packages/core/src/internal/answerParts.ts"
import { MessageStreamEncoder } from "../../packages/gateway/src/wire/anthropic/Encode.ts"

const own = (data: object) => ({ metadata: { anthropic: data } })
const thought = (delta: string, data?: object): Response.StreamPart => ({
  type: "reasoning-delta",
  delta,
  ...(data === undefined ? {} : own(data))
})

const usage = { inputTokens: 1, outputTokens: 1 }
const parts: ReadonlyArray<Response.StreamPart> = [
  thought("Let "),
  thought("me look."),
  thought("", { signature: "s1" }),
  thought("", { redactedData: "sealed" }),
  thought("And again."),
  thought("", { signature: "s2" }),
  { type: "text-delta", delta: "Yes." },
  { type: "finish", reason: "stop", usage }
]

const blocks = [
  { type: "reasoning", text: "Let me look.", ...own({ signature: "s1" }) },
  { type: "reasoning", text: "", ...own({ redactedData: "sealed" }) },
  { type: "reasoning", text: "And again.", ...own({ signature: "s2" }) },
  { type: "text", text: "Yes." }
]

describe("signatures of thoughts", () => {
  it("stay with the thoughts they are of, over a turn and back", () => {
    const turn = fold(parts)
    assert.deepStrictEqual(turn.content as ReadonlyArray<unknown>, blocks)
    assert.deepStrictEqual(fold(unfold(turn)).content as ReadonlyArray<unknown>, blocks)
  })

  it("that are empty open no block of their own on Anthropic's wire", () => {
    const encoder = new MessageStreamEncoder({ requestId: "r", created: 0 })
    const text = [thought("", { signature: "" }), ...parts.slice(0, 3)]
      .map((part) => encoder.part(part as Parameters<MessageStreamEncoder["part"]>[0]))
      .join("")
    assert.strictEqual(text.split("content_block_start").length, 3)
    assert.include(text, '"signature":"s1"')
  })
})
