/**
 * Turns the content of a running answer into figures of its progress.
 */
import type { Progress } from "../domain/Call.ts"
import type { StreamPart } from "../domain/Response.ts"

interface ProgressState {
  readonly startedMs: number
  /** When the first content came; `undefined` before it. */
  readonly firstMs: number | undefined
  readonly tokens: number
}

const start = (nowMs: number): ProgressState => ({ startedMs: nowMs, firstMs: undefined, tokens: 0 })

/**
 * Tokens of a text, roughly: four characters of ASCII make one, and every other character makes one of its own.
 * English comes out about right, Chinese and Japanese a little high.
 */
const estimateTokens = (text: string): number => {
  let other = 0
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) other++
  }
  return (text.length - other) / 4 + other
}

/** Tokens of a part, by the same estimate. A tool call adds nothing where its parameters came before it. */
const tokensOfPart = (part: StreamPart): number => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return estimateTokens(part.delta)
    default:
      return 0
  }
}

/** Some tokens more. Without any the state stays as it is. */
const advance = (state: ProgressState, tokens: number, nowMs: number): ProgressState =>
  tokens <= 0
    ? state
    : {
        startedMs: state.startedMs,
        firstMs: state.firstMs ?? nowMs,
        tokens: state.tokens + tokens
      }

/** The figures at a moment. */
const read = (state: ProgressState, nowMs: number, maxTokens: number | undefined): Progress => {
  const elapsedMs = Math.max(0, nowMs - state.startedMs)
  const answering = state.firstMs === undefined ? 0 : nowMs - state.firstMs
  const tokensPerSecond = answering > 0 ? (state.tokens / answering) * 1000 : 0
  const figures = { elapsedMs, tokens: Math.round(state.tokens), tokensPerSecond }
  return maxTokens === undefined || tokensPerSecond === 0
    ? figures
    : { ...figures, remainingMs: (Math.max(0, maxTokens - state.tokens) / tokensPerSecond) * 1000 }
}

/** The state of one answer, kept for its reader. */
export interface Tracker {
  readonly add: (part: StreamPart) => void
  readonly addText: (text: string) => void
  /** The figures now. Parts added since the last snapshot count as of now. */
  readonly snapshot: (nowMs: number, maxTokens?: number) => Progress
}

export const make = (options: { readonly startedMs: number }): Tracker => {
  let state = start(options.startedMs)
  let added = 0
  return {
    add: (part) => {
      added += tokensOfPart(part)
    },
    addText: (text) => {
      added += estimateTokens(text)
    },
    snapshot: (nowMs, maxTokens) => {
      state = advance(state, added, nowMs)
      added = 0
      return read(state, nowMs, maxTokens)
    }
  }
}
