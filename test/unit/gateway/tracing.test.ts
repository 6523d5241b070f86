/** Reading W3C trace context: what is not valid is as if it were not there. */
import { assert, describe, it } from "@effect/vitest"
import { parentOf, stateOf } from "../../../packages/gateway/src/internal/Tracing.ts"

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
const span = "00f067aa0ba902b7"

describe("traceparent", () => {
  it("names the span and whether it is sampled", () => {
    const parent = parentOf(`00-${trace}-${span}-01`)
    assert.deepInclude(parent, { traceId: trace, spanId: span, sampled: true })
    assert.isFalse(parentOf(`00-${trace}-${span}-00`)?.sampled)
  })

  it("of a version to come may hold more", () => {
    assert.strictEqual(parentOf(`01-${trace}-${span}-01-what-ever`)?.traceId, trace)
  })

  it.each([
    ["no version", `${trace}-${span}-01`],
    ["version ff", `ff-${trace}-${span}-01`],
    ["more than version 00 has", `00-${trace}-${span}-01-x`],
    ["upper case", `00-${trace.toUpperCase()}-${span}-01`],
    ["a trace of zeros", `00-${"0".repeat(32)}-${span}-01`],
    ["a span of zeros", `00-${trace}-${"0".repeat(16)}-01`],
    ["a short trace", `00-${trace.slice(1)}-${span}-01`],
    ["two of them", `00-${trace}-${span}-01, 00-${trace}-${span}-01`],
    ["nothing", ""]
  ])("is ignored: %s", (_, header) => assert.isUndefined(parentOf(header)))
})

describe("tracestate", () => {
  it("is handed on as it is, but for empty members and space around them", () => {
    assert.strictEqual(
      stateOf("rojo=00f067aa0ba902b7, ,congo@x=t61rcWkgMzE"),
      "rojo=00f067aa0ba902b7,congo@x=t61rcWkgMzE"
    )
  })

  it.each([
    ["no value", "rojo"],
    ["an upper case key", "Rojo=1"],
    ["a line break", "rojo=1\r\nx: y"],
    ["a key twice", "a=1,a=2"],
    ["too many members", Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(",")],
    ["too long", `a=${"x".repeat(511)}`],
    ["nothing", " , "]
  ])("is ignored: %s", (_, header) => assert.isUndefined(stateOf(header)))
})
