/** Whatever is done to a log without its keys is found, and told where. */
import { describe, expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { type Built, ChainWriter, type Draft } from "../../packages/audit/src/internal/chain.ts"
import { Splitter } from "../../packages/audit/src/internal/fileLines.ts"
import { KeyRing } from "../../packages/audit/src/internal/keyRing.ts"
import { type Finding, Verifier } from "../../packages/audit/src/internal/verifier.ts"

const keyA = { id: "a", bytes: new Uint8Array(32).fill(1) }
const keyB = { id: "b", bytes: new Uint8Array(32).fill(2) }
const ring = new KeyRing([keyA, keyB])

const drafts = (count: number, from = 0): ReadonlyArray<Draft> =>
  Array.from({ length: count }, (_, index) => ({
    at: 1_700_000_000_000 + index,
    payload: JSON.stringify({ action: `act-${from + index}`, details: "x".repeat((index * 13) % 60) })
  }))

interface Log {
  readonly lines: ReadonlyArray<string>
  readonly head: string
}

/** A log of so many entries; the second half under another key. */
const logOf = (count: number): Log => {
  const lines: Array<string> = []
  let head: string | undefined
  const half = count >> 1
  for (const [keys, size] of [
    [new KeyRing([keyA]), half],
    [ring, count - half]
  ] as const) {
    if (size === 0) continue
    const writer = new ChainWriter(keys)
    const built: Built = Result.getOrThrow(writer.build({ head, last: lines.at(-1) }, drafts(size, lines.length)))
    lines.push(...built.lines.map(({ text }) => text))
    head = built.head
  }
  return { lines, head: head! }
}

const bytesOf = (lines: ReadonlyArray<string>): Buffer =>
  Buffer.from(lines.map((line) => `${line}\n`).join(""), "latin1")

/** As a file is read. */
const verify = (file: Buffer, head: string | undefined, keys = ring) => {
  const verifier = new Verifier(keys, head, "bytes", undefined)
  const splitter = new Splitter(0)
  for (const line of splitter.push(file)) verifier.push({ text: line.text, place: line.offset })
  if (splitter.left > 0) verifier.push({ text: splitter.text(), place: splitter.offset, torn: true })
  verifier.finish()
  return verifier
}

/** Random numbers that a seed repeats. */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return ((state ^ (state >>> 13)) >>> 0) % below
  }
}

interface Tampered {
  readonly file: Buffer
  readonly head?: string | undefined
  /** Lines (of the file as it is then) near which it must be told. */
  readonly near: readonly [number, number]
  /** Entries that it is about. */
  readonly entries?: ReadonlyArray<number>
}

type Tamper = (log: Log, random: (below: number) => number) => Tampered

const without = <A>(all: ReadonlyArray<A>, from: number, count = 1): ReadonlyArray<A> => all.toSpliced(from, count)

const tampers: Readonly<Record<string, Tamper>> = {
  "a byte changed": ({ lines }, random) => {
    const file = bytesOf(lines)
    const at = random(file.length)
    const line = file.subarray(0, at).toString("latin1").split("\n").length
    file[at] = (file[at]! + 1 + random(255)) % 256
    return { file, near: [line, line + 1] }
  },
  "a bit changed": ({ lines }, random) => {
    const file = bytesOf(lines)
    const at = random(file.length)
    const line = file.subarray(0, at).toString("latin1").split("\n").length
    file[at] = file[at]! ^ (1 << random(8))
    return { file, near: [line, line + 1] }
  },
  "a byte put in": ({ lines }, random) => {
    const file = bytesOf(lines)
    const at = random(file.length + 1)
    const line = file.subarray(0, at).toString("latin1").split("\n").length
    return {
      file: Buffer.concat([file.subarray(0, at), Buffer.from([random(256)]), file.subarray(at)]),
      near: [line, line + 1]
    }
  },
  "bytes taken out": ({ lines }, random) => {
    const file = bytesOf(lines)
    const at = random(file.length)
    const count = 1 + random(Math.min(2_000, file.length - at))
    const line = file.subarray(0, at).toString("latin1").split("\n").length
    return { file: Buffer.concat([file.subarray(0, at), file.subarray(at + count)]), near: [line, line + 1] }
  },
  "the end cut off": ({ lines }, random) => {
    const file = bytesOf(lines)
    const cut = file.subarray(0, random(file.length))
    const line = cut.toString("latin1").split("\n").length
    return { file: cut, near: [line, line + 1] }
  },
  "lines taken out": ({ lines }, random) => {
    const at = random(lines.length)
    const count = 1 + random(Math.min(5, lines.length - at))
    return {
      file: bytesOf(without(lines, at, count)),
      near: [at + 1, at + 1],
      entries: Array.from({ length: count }, (_, index) => at + index + 1)
    }
  },
  "a line repeated": ({ lines }, random) => {
    const [from, to] = [random(lines.length), random(lines.length + 1)]
    return { file: bytesOf(lines.toSpliced(to, 0, lines[from]!)), near: [to + 1, Math.max(to + 1, from + 2)] }
  },
  "two lines swapped": ({ lines }, random) => {
    const a = random(lines.length - 1)
    const b = a + 1 + random(lines.length - a - 1)
    return { file: bytesOf(lines.with(a, lines[b]!).with(b, lines[a]!)), near: [a + 1, b + 1] }
  },
  "a line moved": ({ lines }, random) => {
    const from = random(lines.length)
    const to = (from + 1 + random(lines.length - 1)) % lines.length
    const [low, high] = [Math.min(from, to), Math.max(from, to)]
    return { file: bytesOf(without(lines, from).toSpliced(to, 0, lines[from]!)), near: [low + 1, high + 1] }
  },
  "a made-up line put in": ({ lines }, random) => {
    const at = random(lines.length + 1)
    const made = random(2) === 0 ? "" : lines[random(lines.length)]!.replace(/"mac":".{5}/, '"mac":"AAAAA')
    return { file: bytesOf(lines.toSpliced(at, 0, made)), near: [at + 1, at + 1] }
  },
  "entries of another log under the same key put in place of its own": ({ lines }, random) => {
    const other = logOf(lines.length)
    const at = random(lines.length)
    return { file: bytesOf(lines.with(at, other.lines[at]!)), near: [at + 1, at + 2] }
  },
  "the head changed": ({ head, lines }, random) => {
    const at = random(head.length)
    const text = String.fromCharCode(33 + ((head.charCodeAt(at) - 33 + 1 + random(93)) % 94))
    return { file: bytesOf(lines), head: head.slice(0, at) + text + head.slice(at + 1), near: [-1, -1] }
  },
  "the head taken away": ({ lines }) => ({ file: bytesOf(lines), head: undefined, near: [-1, -1] }),
  "the head of another log put in its place": ({ lines }) => ({
    file: bytesOf(lines),
    head: logOf(lines.length).head,
    near: [-1, -1]
  })
}

const lineOf = (finding: Finding): number => finding.line ?? -1

describe("a log that was tampered with", () => {
  it("is sound as it was written, with one key or two, and for any split of its bytes", () => {
    for (const count of [1, 2, 3, 50]) {
      const log = logOf(count)
      expect(verify(bytesOf(log.lines), log.head).findings).toEqual([])
    }
    const { head, lines } = logOf(20)
    const file = bytesOf(lines)
    for (let size = 1; size < 2_000; size += 97) {
      const splitter = new Splitter(0)
      const verifier = new Verifier(ring, head, "bytes", undefined)
      for (let at = 0; at < file.length; at += size) {
        for (const line of splitter.push(file.subarray(at, at + size))) {
          verifier.push({ text: line.text, place: line.offset })
        }
      }
      verifier.finish()
      expect([verifier.findingCount, verifier.genuine]).toEqual([0, 20])
    }
  })

  it.each(Object.entries(tampers))("%s: found, and told where", (_, tamper) => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = randomOf(seed * 7_919)
      const log = logOf(4 + random(20))
      const tampered = tamper(log, random)
      const head = "head" in tampered ? tampered.head : log.head
      const { findings } = verify(tampered.file, head)
      expect(findings.length, `seed ${seed}`).toBeGreaterThan(0)
      const [from, to] = tampered.near
      const lines = findings.map(lineOf)
      expect(
        lines.some((line) => line >= from && line <= to),
        `seed ${seed}: told at ${lines.join(", ")}, done at ${from} to ${to}: ${JSON.stringify(findings)}`
      ).toBe(true)
      for (const entry of tampered.entries ?? []) {
        expect(
          findings.some(
            (each) => each.entry !== undefined && each.entry <= entry && entry <= (each.lastEntry ?? each.entry)
          ),
          `seed ${seed}: entry ${entry} in ${JSON.stringify(findings)}`
        ).toBe(true)
      }
    }
  })

  it("several at once: found, each time", () => {
    const all = Object.values(tampers).slice(0, 10)
    for (let seed = 1; seed <= 300; seed++) {
      const random = randomOf(seed * 104_729)
      const log = logOf(6 + random(20))
      let { lines } = log
      for (let times = 0; times < 3; times++) {
        const { file } = all[random(all.length)]!({ ...log, lines }, random)
        lines = file.toString("latin1").replace(/\n$/, "").split("\n")
        if (lines.length < 3) break
      }
      const same = lines.length === log.lines.length && lines.every((line, index) => line === log.lines[index])
      expect(verify(bytesOf(lines), log.head).findings.length > 0, `seed ${seed}`).toBe(!same)
    }
  })

  it("cut off with its head, which only the key can make: found", () => {
    const { head, lines } = logOf(10)
    // Somebody without the key can at most copy, edit and leave out.
    const edited = head.replace('"seq":10', '"seq":5')
    expect(verify(bytesOf(lines.slice(0, 5)), edited).findings).toContainEqual({
      kind: "head",
      message: "the head was edited"
    })
    expect(verify(bytesOf(lines.slice(0, 5)), undefined).findings.map(({ kind }) => kind)).toEqual(["head"])
    const own = new KeyRing([{ id: "b", bytes: new Uint8Array(32).fill(9) }])
    const forged = Result.getOrThrow(new ChainWriter(own).build({ head: undefined, last: undefined }, drafts(5)))
    const { findings } = verify(bytesOf(forged.lines.map(({ text }) => text)), forged.head)
    expect(findings.map(({ kind }) => kind)).toEqual(["edited", "edited", "edited", "edited", "edited", "head"])
  })

  it("an older copy of the log with its older head is found by an anchor, and by nothing else", () => {
    const writer = new ChainWriter(ring)
    const first = Result.getOrThrow(writer.build({ head: undefined, last: undefined }, drafts(5)))
    const last = first.lines.at(-1)!.text
    const second = Result.getOrThrow(writer.build({ head: first.head, last }, drafts(5, 5)))
    const old = bytesOf(first.lines.map(({ text }) => text))
    expect(verify(old, first.head).findings).toEqual([])
    const verifier = new Verifier(ring, first.head, "bytes", { seq: 10, chain: second.macs.at(-1)! })
    for (const line of new Splitter(0).push(old)) verifier.push({ text: line.text, place: line.offset })
    verifier.finish()
    expect(verifier.findings).toMatchObject([{ kind: "anchor", entry: 10 }])
  })

  it("says which entries a missing key keeps it from checking, and finds nothing genuine under a wrong one", () => {
    const log = logOf(6)
    const one = verify(bytesOf(log.lines), log.head, new KeyRing([keyB]))
    expect(one.findings.map(({ entry, kind }) => [kind, entry])).toEqual([
      ["unknown-key", 1],
      ["unknown-key", 2],
      ["unknown-key", 3]
    ])
    expect(one.checked).toBe(true)
    const wrong = verify(bytesOf(log.lines), log.head, new KeyRing([{ id: "b", bytes: new Uint8Array(32).fill(7) }]))
    expect([wrong.checked, wrong.genuine, wrong.findingCount]).toEqual([false, 0, 7])
  })

  it("a line that never ends, and a hundred thousand lines of nothing, are told without being kept", () => {
    const { head, lines } = logOf(5)
    const junk = Buffer.concat([bytesOf(lines), Buffer.alloc(40 * 1024 * 1024, 65), Buffer.from("\n")])
    expect(verify(junk, head).findings.map(({ kind, line }) => [kind, line])).toEqual([["inserted", 6]])
    const many = verify(Buffer.concat([bytesOf(lines.slice(0, 2)), Buffer.alloc(100_000, 10)]), head)
    expect(many.findingCount).toBeGreaterThanOrEqual(100_000)
    expect(many.findings.length).toBeLessThanOrEqual(1_000)
  })
})
