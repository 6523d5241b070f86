/** A scripted answer as a list of small operations, which `generate` and `stream` both play. */
import type { LLMError, Response } from "@breakwater/core"
import { turnOfParts, usageOf } from "./parts.ts"

type StreamPart = Response.StreamPart

export type Op =
  | { readonly _tag: "emit"; readonly parts: readonly [StreamPart, ...Array<StreamPart>] }
  | { readonly _tag: "wait"; readonly millis: number }
  | Terminal

type Terminal =
  | { readonly _tag: "end" }
  | { readonly _tag: "unfinished" }
  | { readonly _tag: "fail"; readonly error: LLMError.AttemptError }
  | { readonly _tag: "cut" }
  | { readonly _tag: "stall" }
  | { readonly _tag: "die"; readonly defect: unknown }

export interface Program {
  readonly ops: ReadonlyArray<Op>
  /** What `generate` answers if the program comes to its end. */
  readonly turn: Response.Turn | undefined
  /** Whether it answers at once, so that it can be played without a fiber of steps. */
  readonly immediate: boolean
}

const isTerminal = (op: Op): op is Terminal => op._tag !== "emit" && op._tag !== "wait"

/**
 * Puts operations into the form that is played: neighbouring parts joined, nothing after a terminal, and a
 * terminal at the end. A script that simply ends gets a `finish` part if it has none.
 */
export const compile = (input: ReadonlyArray<Op>): Program => {
  const ops: Array<Op> = []
  const parts: Array<StreamPart> = []
  let pending: Array<StreamPart> = []
  let terminal: Terminal | undefined
  const flush = () => {
    if (pending.length > 0) ops.push({ _tag: "emit", parts: pending as [StreamPart, ...Array<StreamPart>] })
    pending = []
  }
  for (const op of input) {
    if (op._tag === "emit") {
      pending.push(...op.parts)
      parts.push(...op.parts)
    } else if (isTerminal(op)) {
      terminal = op
      break
    } else {
      flush()
      ops.push(op)
    }
  }
  const finished = parts.some((part) => part.type === "finish")
  if (terminal === undefined && !finished) {
    let characters = 0
    for (const part of parts) if ("delta" in part) characters += part.delta.length
    const reason = parts.some((part) => part.type === "tool-call") ? "tool-calls" : "stop"
    const finish: StreamPart = { type: "finish", reason, usage: usageOf(characters) }
    pending.push(finish)
    parts.push(finish)
  }
  flush()
  terminal ??= { _tag: "end" }
  ops.push(terminal)
  return {
    ops,
    turn: terminal._tag === "end" ? turnOfParts(parts) : undefined,
    immediate: terminal._tag === "end" && ops.every((op) => op._tag !== "wait")
  }
}
