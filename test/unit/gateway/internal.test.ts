import { assert, describe, it } from "@effect/vitest"
import { isDeeper } from "../../../packages/gateway/src/internal/Body.ts"
import { weighted } from "../../../packages/gateway/src/internal/Targets.ts"
import { costOf, headerText } from "../../../packages/gateway/src/wire/Finished.ts"

describe("the depth of a body", () => {
  it("counts brackets, and none inside texts", () => {
    assert.isFalse(isDeeper(Buffer.from('{"a":[1]}'), 2))
    assert.isTrue(isDeeper(Buffer.from('{"a":[[1]]}'), 2))
    assert.isFalse(isDeeper(Buffer.from('{"a":"[[[[{{{{","b":"\\"[[[["}'), 1))
    assert.isFalse(isDeeper(Buffer.from("[[],[],[],[]]"), 2))
  })
})

describe("weights", () => {
  it("share the line from 0 to 1", () => {
    assert.deepStrictEqual(
      [0, 0.24, 0.25, 0.74, 0.76, 0.999].map((at) => weighted([1, 2, 1], at)),
      [0, 0, 1, 1, 2, 2]
    )
  })
})

describe("headers", () => {
  it("hold only what a header may", () => {
    assert.strictEqual(headerText("p/m\r\nx: é y"), "p/m??x:???y")
  })

  it("say costs in dollars, and nothing where they are not known", () => {
    const cost = (nanoDollars: bigint, unknownAttempts = 0) =>
      costOf({ nanoDollars, estimated: false, unknownAttempts })
    assert.strictEqual(cost(1_234_567n), "0.001234567")
    assert.strictEqual(cost(2_500_000_000n), "2.5")
    assert.strictEqual(cost(30_000_000_000n), "30")
    assert.strictEqual(cost(0n), "0")
    assert.isUndefined(cost(1n, 1))
  })
})
