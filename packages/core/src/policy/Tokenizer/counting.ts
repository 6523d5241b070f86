/**
 * Counts texts in pieces: a long text never holds the event loop, and a count stops where its answer is known.
 */
import * as Effect from "effect/Effect"
import type { Message } from "../../domain/Message.ts"
import { type Countable, ofMessage, unitsOf } from "../../internal/messageTokens.ts"
import { pieceEnd } from "../../internal/textCuts.ts"

/** Counts of messages seen before, by the message: their texts, uncorrected. */
export type Seen = WeakMap<Message, { readonly content: Message["content"]; readonly tokens: number }>

/** What counts the texts of one model, ready for use. */
export interface Counter {
  readonly method: "exact" | "estimated"
  /** Tokens of a piece of a text, before the correction. */
  readonly piece: (text: string) => number
  /** The correction: what a count is multiplied by. 1 for an exact one. */
  readonly ratio: number
  readonly seen: Seen
}

/** UTF-16 units counted at once. */
const pieceUnits = 16_384
/** UTF-16 units counted before other fibers get their turn: some ten milliseconds. */
const turnUnits = 65_536

const text = (counter: Counter, value: string): number =>
  value.length <= pieceUnits ? counter.piece(value) : pieces(counter, [value], 0, 0, Infinity, Infinity).tokens

interface Place {
  readonly tokens: number
  readonly index: number
  readonly from: number
  readonly done: boolean
}

/** Counts on from a place, so many units and so many tokens at most. */
const pieces = (
  counter: Counter,
  texts: ReadonlyArray<string>,
  index: number,
  from: number,
  units: number,
  limit: number
): Place => {
  let tokens = 0
  let counted = 0
  while (index < texts.length) {
    const value = texts[index]!
    const end = pieceEnd(value, from, pieceUnits)
    tokens += counter.piece(from === 0 && end === value.length ? value : value.slice(from, end))
    counted += end - from
    from = end
    if (end >= value.length) {
      index++
      from = 0
    }
    if (tokens > limit) return { tokens, index, from, done: true }
    if (counted >= units) return { tokens, index, from, done: index >= texts.length }
  }
  return { tokens, index, from, done: true }
}

const inTurns = (counter: Counter, texts: ReadonlyArray<string>, limit: number, at: Place): Effect.Effect<number> => {
  const next = pieces(counter, texts, at.index, at.from, turnUnits, limit - at.tokens)
  const tokens = at.tokens + next.tokens
  return next.done || tokens > limit
    ? Effect.succeed(tokens)
    : Effect.flatMap(Effect.yieldNow, () => inTurns(counter, texts, limit, { ...next, tokens }))
}

const start: Place = { tokens: 0, index: 0, from: 0, done: false }

/** Tokens of the texts before the correction; above `limit`, any number above it. */
const raw = (counter: Counter, countable: Countable, limit: number): Effect.Effect<number> =>
  unitsOf(countable) <= turnUnits
    ? Effect.sync(() => countable.texts.reduce((total, each) => total + text(counter, each), 0))
    : Effect.suspend(() => inTurns(counter, countable.texts, limit, start))

const corrected = (counter: Counter, tokens: number, fixed: number): number => Math.ceil(tokens * counter.ratio) + fixed

/** Tokens of texts and what comes with them; above `limit`, any number above it. */
export const count = (counter: Counter, countable: Countable, limit = Infinity): Effect.Effect<number> =>
  Effect.map(raw(counter, countable, (limit - countable.fixed) / counter.ratio), (tokens) =>
    corrected(counter, tokens, countable.fixed)
  )

/** Tokens of a message, its overhead included; above `limit`, any number above it. */
export const countMessage = (counter: Counter, message: Message, limit = Infinity): Effect.Effect<number> =>
  Effect.suspend(() => {
    const known = counter.seen.get(message)
    const countable = ofMessage(message)
    if (known !== undefined && known.content === message.content) {
      return Effect.succeed(corrected(counter, known.tokens, countable.fixed))
    }
    const most = (limit - countable.fixed) / counter.ratio
    return Effect.map(raw(counter, countable, most), (tokens) => {
      if (tokens <= most) counter.seen.set(message, { content: message.content, tokens })
      return corrected(counter, tokens, countable.fixed)
    })
  })
