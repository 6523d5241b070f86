/**
 * What the good model answers: the same question always gets the same words, whatever the model's name, so that
 * an answer begun at one and finished at another can be compared with a whole one.
 */
import type { Ask } from "./Ask.ts"
import { words } from "../../internal/parts.ts"
import { exampleOf } from "./example.ts"

export type Finish = "stop" | "length" | "tool-calls" | "content-filter"

export interface Answer {
  /** Empty for a tool call. */
  readonly text: string
  readonly chunks: ReadonlyArray<string>
  readonly tool: { readonly name: string; readonly args: string } | undefined
  readonly finish: Finish
  readonly inputTokens: number
  readonly outputTokens: number
}

const wordsInChunk = 4

const pieces = (text: string, count: number): ReadonlyArray<string> => {
  const all = words(text)
  const out: Array<string> = []
  for (let i = 0; i < all.length; i += count) out.push(all.slice(i, i + count).join(""))
  return out
}

const slices = (text: string, length: number): ReadonlyArray<string> =>
  text.match(new RegExp(`[^]{1,${length}}`, "gu")) ?? []

/** The words for a question: 40 to 60 of them, a few outside ASCII so that split characters show. */
const proseFor = (question: string): string => {
  const asked = question.trim().split(/\s+/).slice(0, 6).join(" ")
  return (
    `You asked: “${asked}”. A naïve client takes the first answer it gets; a careful one expects the wire to ` +
    "fail and plans for it. It sets a deadline, retries what is worth retrying, asks another model when this one stays " +
    "silent, and never charges twice for the same words — that is the whole trick."
  )
}

const wantsTool = (ask: Ask): string | undefined => {
  const first = ask.tools[0]
  if (first === undefined || ask.toolChoice === "none" || ask.toolResult !== undefined) return undefined
  if (ask.toolChoice === "any") return first.name
  if (ask.toolChoice !== "auto") return ask.toolChoice
  const question = ask.question.toLowerCase()
  const named = ask.tools.find((tool) => question.includes(tool.name.toLowerCase()))
  return named?.name ?? (/\b(tool|function)s?\b/.test(question) ? first.name : undefined)
}

const limited = (ask: Ask, text: string): { readonly text: string; readonly finish: Finish } => {
  let end = text.length
  for (const stop of ask.stop) {
    const at = stop.length === 0 ? -1 : text.indexOf(stop)
    if (at >= 0 && at < end) end = at
  }
  const room = ask.maxTokens === undefined ? Infinity : ask.maxTokens * 4
  return end > room ? { text: text.slice(0, room), finish: "length" } : { text: text.slice(0, end), finish: "stop" }
}

const tokens = (characters: number): number => Math.ceil(characters / 4)

/** The good answer. */
export const answerTo = (ask: Ask, goOn: boolean): Answer => {
  const inputTokens = tokens(ask.inputCharacters) + 3
  const tool = wantsTool(ask)
  if (tool !== undefined) {
    const args = JSON.stringify(exampleOf(ask.tools.find((each) => each.name === tool)?.schema))
    return {
      text: "",
      chunks: slices(args, 8),
      tool: { name: tool, args },
      finish: "tool-calls",
      inputTokens,
      outputTokens: tokens(args.length) + 8
    }
  }
  const full =
    ask.json !== undefined
      ? JSON.stringify(exampleOf(ask.json.schema))
      : ask.toolResult !== undefined
        ? `The tool answered: ${ask.toolResult}. ${proseFor(ask.question)}`
        : proseFor(ask.question)
  const rest = goOn && ask.prefill !== undefined ? afterPrefill(full, ask.prefill) : full
  const { text, finish } = limited(ask, rest)
  return {
    text,
    chunks: ask.json === undefined ? pieces(text, wordsInChunk) : slices(text, 12),
    tool: undefined,
    finish,
    inputTokens,
    outputTokens: tokens(text.length)
  }
}

/** Trailing spaces of a prefill may have been cut off on the way; they are then sent again. */
const afterPrefill = (full: string, prefill: string): string => {
  if (full.startsWith(prefill)) return full.slice(prefill.length)
  const trimmed = prefill.trimEnd()
  return full.startsWith(trimmed) ? full.slice(trimmed.length) : ` And so on, from there. ${full}`
}

/** The first half of an answer. */
export const halfOf = (answer: Answer, finish: Finish): Answer => {
  const chunks = answer.chunks.slice(0, Math.max(1, Math.floor(answer.chunks.length / 2)))
  const text = chunks.join("")
  return { ...answer, text, chunks, tool: undefined, finish, outputTokens: tokens(text.length) }
}

/** An answer of one enormous piece. */
export const hugeOf = (answer: Answer, characters: number): Answer => {
  const text = "x".repeat(characters)
  return { ...answer, text, chunks: [text], tool: undefined, finish: "stop", outputTokens: tokens(characters) }
}
