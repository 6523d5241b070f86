/**
 * `--json` on a terminal handed on the C1 control characters of a model's answer, which JSON need not escape and a
 * terminal obeys.
 */
import { expect, it } from "vitest"
import { jsonLine } from "../../packages/cli/src/render/Style.ts"

it("a line of JSON holds no control character, and the same value", () => {
  const value = { text: "\u001b[2J\u009b31m\u0090q\u007f é😀\n" }
  const line = jsonLine(value)
  // oxlint-disable-next-line no-control-regex
  expect(line.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  expect(JSON.parse(line)).toEqual(value)
})
