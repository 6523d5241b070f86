import { assert, describe, it } from "@effect/vitest"
import { makeParser, type SseEvent } from "../../../../packages/providers/src/internal/Sse.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const parse = (text: string, options?: Parameters<typeof makeParser>[0]): ReadonlyArray<SseEvent> => {
  const parser = makeParser(options)
  return [...parser.feed(bytes(text)), ...parser.end()]
}

const datas = (text: string): ReadonlyArray<string> => parse(text).map((event) => event.data)

/** A small generator of repeatable numbers, so that a failure can be seen again. */
const random = (seed: number) => () => {
  seed = (seed * 1_664_525 + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

const splitAtRandom = (all: Uint8Array, next: () => number, mean: number): Array<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < all.length;) {
    const size = Math.floor(next() * mean * 2)
    chunks.push(all.subarray(at, at + size))
    at += size
  }
  return chunks
}

const feedAll = (chunks: ReadonlyArray<Uint8Array>, options?: Parameters<typeof makeParser>[0]) => {
  const parser = makeParser(options)
  const events = chunks.flatMap((chunk) => [...parser.feed(chunk)])
  return { events: [...events, ...parser.end()], tooLarge: parser.tooLarge, retry: parser.retry }
}

describe("the standard's examples", () => {
  it("joins several data lines with a line feed", () => {
    assert.deepStrictEqual(datas("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"])
  })

  it("ignores comments, keeps ids, and removes one leading space only", () => {
    const events = parse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n")
    assert.deepStrictEqual(events, [
      { event: "message", data: "first event", id: "1" },
      { event: "message", data: "second event", id: "" },
      { event: "message", data: " third event", id: "" }
    ])
  })

  it("dispatches empty data, and drops what the end cuts short", () => {
    assert.deepStrictEqual(datas("data\n\ndata\ndata\n\ndata:"), ["", "\n"])
    assert.deepStrictEqual(datas("data: half\n"), [])
  })

  it("takes LF, CR and CRLF as ends of line, mixed", () => {
    assert.deepStrictEqual(datas("data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r"), ["a\nb\nc", "d"])
  })

  it("drops a byte order mark at the beginning only", () => {
    assert.deepStrictEqual(datas("\ufeffdata: a\n\n\ufeffdata: b\n\n"), ["a"])
    assert.deepStrictEqual(datas("data: \ufeffa\n\n"), ["\ufeffa"])
  })

  it("names events, and forgets the name with the event", () => {
    assert.deepStrictEqual(
      parse("event: add\ndata: 1\n\nevent: lost\n\ndata: 2\n\n").map((e) => e.event),
      ["add", "message"]
    )
  })

  it("ignores ids with a null, unknown fields, and fields with odd names", () => {
    const events = parse("id: 1\nid: a\0b\nfoo: x\nData: no\n data: no\ndata: yes\n\n")
    assert.deepStrictEqual(events, [{ event: "message", data: "yes", id: "1" }])
  })

  it("reads retry only from digits", () => {
    assert.strictEqual(feedAll([bytes("retry: 1500\n\n")]).retry, 1500)
    assert.strictEqual(feedAll([bytes("retry: 1.5\nretry: -3\n\n")]).retry, undefined)
  })
})

describe("what is beyond the standard, when asked for", () => {
  it("dispatches an event cut short of its blank line", () => {
    assert.deepStrictEqual(
      parse("data: a\n\ndata: [DONE]", { flushAtEnd: true }).map((e) => e.data),
      ["a", "[DONE]"]
    )
  })

  it("reads the field `error` as an event", () => {
    assert.deepStrictEqual(parse('error: {"code":500}\n\n', { errorField: true }), [
      { event: "error", data: '{"code":500}', id: "" }
    ])
    assert.deepStrictEqual(parse('error: {"code":500}\n\n'), [])
  })
})

describe("limits", () => {
  const limit = { maxEventBytes: 100 }
  const long = (n: number) => `data: ${"x".repeat(n)}\n\n`

  it("gives the events before the one that is too large, and nothing after", () => {
    const { events, tooLarge } = feedAll([bytes(`data: ok\n\n${long(200)}data: later\n\n`)], limit)
    assert.deepStrictEqual(
      events.map((e) => e.data),
      ["ok"]
    )
    assert.isTrue(tooLarge)
  })

  it("counts a line without an end, and many data lines together", () => {
    assert.isTrue(feedAll([bytes("data: " + "x".repeat(60)), bytes("x".repeat(60))], limit).tooLarge)
    assert.isTrue(feedAll([bytes("data: 123456789\n".repeat(12))], limit).tooLarge)
  })

  it("lets a long stream of small events and comments pass", () => {
    const { events, tooLarge } = feedAll([bytes(`: ${"c".repeat(50)}\n${long(50)}`.repeat(1000))], limit)
    assert.isFalse(tooLarge)
    assert.strictEqual(events.length, 1000)
  })

  it("takes time in proportion to a line that drips in byte by byte", () => {
    const parser = makeParser({ maxEventBytes: 1_000_000 })
    const one = bytes("x")
    parser.feed(bytes("data: "))
    for (let i = 0; i < 200_000; i++) parser.feed(one)
    assert.strictEqual(parser.feed(bytes("\n\n"))[0]?.data.length, 200_000)
  })
})

describe("any split of the bytes gives the same events", () => {
  const lines = ["\n", "\r", "\r\n"]
  const values = ["", "a", '{"content":"héllo — 你好 👩‍👩‍👧‍👦 \\n"}', "[DONE]", " x", ":", "\ufeff", "𝒳".repeat(30), "\0"]
  const fields = ["data: ", "data:", "data", "event: ", "id: ", "retry: ", ": ", "other: ", "error: "]

  const document = (next: () => number): Uint8Array => {
    let text = next() < 0.3 ? "\ufeff" : ""
    const pick = <A>(list: ReadonlyArray<A>): A => list[Math.floor(next() * list.length)]!
    const count = 5 + next() * 40
    for (let i = 0; i < count; i++) {
      text += next() < 0.35 ? pick(lines) : pick(fields) + pick(values) + pick(lines)
    }
    const all = bytes(text)
    // Now and then bytes that are no UTF-8 at all.
    if (next() < 0.4) {
      for (let i = 0; i < 3; i++) all[Math.floor(next() * all.length)] = Math.floor(next() * 256)
    }
    return all
  }

  it("2,000 documents, each whole, byte by byte, and at random", () => {
    for (let seed = 0; seed < 2000; seed++) {
      const next = random(seed)
      const all = document(next)
      const options = {
        flushAtEnd: seed % 2 === 0,
        errorField: seed % 3 === 0,
        maxEventBytes: seed % 5 === 0 ? 120 : 9999
      }
      const whole = feedAll([all], options)
      const single = feedAll(
        Array.from(all, (_, i) => all.subarray(i, i + 1)),
        options
      )
      assert.deepStrictEqual(single, whole, `seed ${seed}, byte by byte`)
      for (const mean of [2, 7, 40]) {
        assert.deepStrictEqual(feedAll(splitAtRandom(all, next, mean), options), whole, `seed ${seed}, mean ${mean}`)
      }
    }
  })

  it("decodes as a decoder of the whole would", () => {
    const text = "data: aé你👍\ufffd\n\n"
    for (const all of [
      bytes(text),
      Uint8Array.from([...bytes("data: "), 0xe4, 0xbd, 0xf0, 0x9f, 0x41, 0xff, 10, 10])
    ]) {
      const expected = new TextDecoder().decode(all).slice("data: ".length, -2)
      const got = feedAll(Array.from(all, (_, i) => all.subarray(i, i + 1))).events[0]?.data
      assert.strictEqual(got, expected)
    }
  })
})
