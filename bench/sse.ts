/**
 * Reading a stream of an OpenAI-compatible server: server-sent events, and then the parts of the answer.
 *
 * `per MB` is of bytes as they come from the socket, decoding of UTF-8 included, for everybody.
 */
import { createParser } from "eventsource-parser"
import * as Effect from "effect/Effect"
import * as EffectSse from "effect/encoding/Sse"
import { makeParser } from "../packages/providers/src/internal/Sse.ts"
import { StreamReader } from "../packages/providers/src/internal/StreamReader.ts"
import { ChatStreamDecoder } from "../packages/providers/src/openai-compatible/StreamDecode.ts"
import { type Benchmark, ofSync, type Work } from "./harness.ts"

const chunkCount = 4_000
const words = [" the", " swallow", " flies", ",", " über", " 30", " km", " à", " l'heure", " 燕子", "\n"]

const head = { id: "chatcmpl-BzR3fj1kQ0", object: "chat.completion.chunk", created: 1_790_000_000, model: "gpt-5-mini" }

const event = (json: unknown): string => `data: ${JSON.stringify(json)}\n\n`

const answer = [
  event({
    ...head,
    choices: [{ index: 0, delta: { role: "assistant", content: "", refusal: null }, finish_reason: null }]
  }),
  ...Array.from({ length: chunkCount }, (_, index) =>
    event({
      ...head,
      system_fingerprint: "fp_44709d6fcb",
      choices: [{ index: 0, delta: { content: words[index % words.length] }, logprobs: null, finish_reason: null }]
    })
  ),
  event({ ...head, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
  event({
    ...head,
    choices: [],
    usage: { prompt_tokens: 12, completion_tokens: chunkCount, total_tokens: chunkCount + 12 }
  }),
  "data: [DONE]\n\n"
].join("")

const bytes = new TextEncoder().encode(answer)

const cut = (size: number): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size))
  return chunks
}

const ours = (chunks: ReadonlyArray<Uint8Array>): number => {
  const parser = makeParser()
  let length = 0
  for (const chunk of chunks) for (const each of parser.feed(chunk)) length += each.data.length
  for (const each of parser.end()) length += each.data.length
  return length
}

const theirs = (chunks: ReadonlyArray<Uint8Array>): number => {
  let length = 0
  const decoder = new TextDecoder()
  const parser = createParser({
    onEvent: (each) => {
      length += each.data.length
    }
  })
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }))
  return length
}

const effects = (chunks: ReadonlyArray<Uint8Array>): number => {
  let length = 0
  const decoder = new TextDecoder()
  const parser = EffectSse.makeParser((each) => {
    if (each._tag === "Event") length += each.data.length
  })
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }))
  return length
}

const target = { provider: "openai", model: "gpt-5-mini" }
const context = {
  target,
  head: { status: 200, headers: {}, nowMs: 0 },
  promptCharacters: () => 48,
  errorsInText: false
}

/** From bytes to the parts that the pipeline gets. */
const decode = (chunks: ReadonlyArray<Uint8Array>): number => {
  const reader = new StreamReader({
    decoder: new ChatStreamDecoder(context),
    origin: target,
    onMalformed: () => {},
    onText: () => []
  })
  let parts = 0
  for (const chunk of chunks) {
    reader.feed(chunk)
    if (reader.out.length > 0) parts += reader.take().length
  }
  reader.close()
  parts += reader.take().length
  if (!reader.finished || parts < chunkCount) throw new Error(`only ${parts} parts were read`)
  return parts
}

/** The least anybody can do: the lines cut out, parsed, and thrown away. */
const parseOnly = (): number => {
  let parts = 0
  for (const line of answer.split("\n\n")) {
    if (line.startsWith("data: {")) {
      JSON.parse(line.slice(6))
      parts++
    }
  }
  return parts
}

const sizes: ReadonlyArray<readonly [name: string, size: number]> = [
  ["64 B", 64],
  ["1 KB", 1_024],
  ["16 KB", 16_384],
  ["64 KB", 65_536]
]

const megabytes = bytes.length / 1e6

const benchmark: Benchmark = Effect.sync(() => {
  const expected = ours(cut(1_024))
  const works = sizes.map(([name, size]): Work => {
    const chunks = cut(size)
    for (const parse of [ours, theirs, effects]) {
      if (parse(chunks) !== expected) throw new Error(`a parser does not agree on chunks of ${name}`)
    }
    return {
      work: `sse, chunks of ${name}, per MB`,
      unit: "MB",
      unitsPerRun: megabytes,
      subjects: [
        { subject: "breakwater", peer: false, run: ofSync(() => ours(chunks)) },
        { subject: "eventsource-parser", peer: true, run: ofSync(() => theirs(chunks)) },
        { subject: "effect", peer: true, run: ofSync(() => effects(chunks)) }
      ]
    }
  })
  const decoding = sizes.slice(1).map(([name, size]): Work => {
    const chunks = cut(size)
    return {
      work: `decode an OpenAI stream, chunks of ${name}, per event`,
      unit: "event",
      unitsPerRun: chunkCount,
      subjects: [
        { subject: "JSON.parse alone", peer: true, run: ofSync(parseOnly) },
        { subject: "breakwater", peer: false, bare: "JSON.parse alone", run: ofSync(() => decode(chunks)) }
      ]
    }
  })
  return [...works, ...decoding]
})

export default benchmark
