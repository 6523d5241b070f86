/**
 * Turns the content of a running answer into figures of its progress.
 */
import type { Progress } from "../domain/Call.ts"

export interface ProgressState {
  readonly startedMs: number
  /** When the first content came; `undefined` before it. */
  readonly firstMs: number | undefined
  readonly tokens: number
}

export const start = (nowMs: number): ProgressState => ({ startedMs: nowMs, firstMs: undefined, tokens: 0 })

/**
 * Tokens of a text, roughly: four characters of ASCII make one, and every other character makes one of its own.
 * English comes out about right, Chinese and Japanese a little high.
 */
export const estimateTokens = (text: string): number => {
  let other = 0
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) other++
  }
  return (text.length - other) / 4 + other
}

export const advance = (state: ProgressState, tokens: number, nowMs: number): ProgressState => ({
  startedMs: state.startedMs,
  firstMs: state.firstMs ?? nowMs,
  tokens: state.tokens + tokens
})

/** The figures at a moment. */
export const read = (state: ProgressState, nowMs: number, maxTokens: number | undefined): Progress => {
  const elapsedMs = Math.max(0, nowMs - state.startedMs)
  const answering = state.firstMs === undefined ? 0 : nowMs - state.firstMs
  const tokensPerSecond = answering > 0 ? state.tokens / answering * 1000 : 0
  const base = { elapsedMs, tokens: Math.round(state.tokens), tokensPerSecond }
  return maxTokens === undefined || tokensPerSecond === 0
    ? base
    : { ...base, remainingMs: Math.max(0, maxTokens - state.tokens) / tokensPerSecond * 1000 }
}
