/**
 * A conversation as turns: what must stay together when a part of it is dropped.
 *
 * A turn begins with a user's message. Within it, an assistant's message and the results of the tools it called are a
 * round. A call and its result are never in different rounds or turns, wherever they stand.
 */
import type { Message, MessagePart } from "../domain/Message.ts"

/** Messages by their index, in order. */
export type Indices = ReadonlyArray<number>

interface Turn {
  /** What the turn begins with: the user's messages. */
  readonly head: Indices
  /** What followed, oldest first. */
  readonly rounds: ReadonlyArray<Indices>
}

export interface Outline {
  /** System messages, wherever they stand. */
  readonly system: Indices
  readonly turns: ReadonlyArray<Turn>
}

/** For each message, the index of the last message before it that it cannot be parted from; its own if there is none. */
const bonds = (messages: ReadonlyArray<Message>): ReadonlyArray<number> => {
  const called = new Map<string, number>()
  return messages.map((message, index) => {
    let earliest = index
    if (typeof message.content === "string") return earliest
    for (const part of message.content as ReadonlyArray<MessagePart>) {
      if (part.type === "tool-call") called.set(part.id, index)
      else if (part.type === "tool-result") earliest = Math.min(earliest, called.get(part.id) ?? index)
    }
    return earliest
  })
}

/** Whether the list may be parted before each index. */
const partable = (messages: ReadonlyArray<Message>): ReadonlyArray<boolean> => {
  const earliest = bonds(messages)
  const out: Array<boolean> = []
  let reach = messages.length
  for (let i = messages.length - 1; i >= 0; i--) {
    reach = Math.min(reach, earliest[i]!)
    // Nothing from here on reaches back across this place.
    out[i] = reach >= i
  }
  return out
}

/** The turns and rounds of a conversation. */
export const outline = (messages: ReadonlyArray<Message>): Outline => {
  const may = partable(messages)
  const system: Array<number> = []
  const turns: Array<{ head: Array<number>; rounds: Array<Array<number>> }> = []
  let before: Message["role"] | undefined
  messages.forEach((message, index) => {
    if (message.role === "system") {
      system.push(index)
      return
    }
    const begins = turns.length === 0 || (message.role === "user" && before !== "user" && may[index]!)
    before = message.role
    if (begins) turns.push({ head: [], rounds: [] })
    const turn = turns[turns.length - 1]!
    if (message.role === "user") {
      // A user's message between a call and its result takes both to the head, which is dropped last.
      turn.head.push(...turn.rounds.splice(0).flat(), index)
    } else if (!may[index]! && turn.rounds.length === 0) turn.head.push(index)
    else if (turn.rounds.length === 0 || (message.role !== "tool" && may[index]!)) turn.rounds.push([index])
    else turn.rounds[turn.rounds.length - 1]!.push(index)
  })
  return { system, turns }
}
