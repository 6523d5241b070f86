/** Plays a scripted program, whole or as a stream. */
import { LLMError, type Response } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { textOfParts } from "./parts.ts"
import type { Op, Program } from "./script.ts"

const failedWith = (error: LLMError.AttemptError, name: string, model: string): LLMError.AttemptError =>
  error.provider === undefined || error.model === undefined
    ? LLMError.withOrigin(error, { provider: name, model })
    : error

const brokenConnection = (name: string, model: string): LLMError.AttemptError =>
  new LLMError.TransportError({ message: "the connection broke off", provider: name, model, phase: "read" })

const brokenStream = (name: string, model: string, parts: ReadonlyArray<Response.StreamPart>): LLMError.AttemptError =>
  new LLMError.StreamInterruptedError({
    message: "the stream broke off",
    provider: name,
    model,
    partialText: textOfParts(parts),
    parts
  })

/** Plays a program to its end for `generate` and `embed`. */
export const playWhole = <A>(
  program: Program,
  name: string,
  model: string,
  answer: () => Effect.Effect<A, LLMError.AttemptError>
): Effect.Effect<A, LLMError.AttemptError> => {
  const from = (index: number): Effect.Effect<A, LLMError.AttemptError> => {
    for (let i = index; i < program.ops.length; i++) {
      const op = program.ops[i] as Op
      switch (op._tag) {
        case "emit":
          break
        case "wait":
          return Effect.flatMap(Effect.sleep(op.millis), () => from(i + 1))
        case "end":
          return answer()
        case "fail":
          return Effect.fail(failedWith(op.error, name, model))
        case "cut":
        case "unfinished":
          return Effect.fail(brokenConnection(name, model))
        case "stall":
          return Effect.never
        case "die":
          return Effect.die(op.defect)
      }
    }
    return answer()
  }
  return from(0)
}

type Parts = readonly [Response.StreamPart, ...Array<Response.StreamPart>]
type PartsPull = Effect.Effect<Parts, LLMError.AttemptError | Cause.Done>

/** Plays a program as a stream. `onLast` is told when the last operation has been reached. */
export const playStream = (
  program: Program,
  name: string,
  model: string,
  onLast: () => void
): Effect.Effect<PartsPull> =>
  Effect.sync(() => {
    let index = 0
    const seen: Array<Response.StreamPart> = []
    const cuts = program.ops[program.ops.length - 1]?._tag === "cut"
    const pull: PartsPull = Effect.suspend(() => {
      const op = program.ops[index++]
      if (op === undefined) return Cause.done()
      switch (op._tag) {
        case "emit":
          if (cuts) seen.push(...op.parts)
          if (program.ops[index]?._tag === "end") onLast()
          return Effect.succeed(op.parts)
        case "wait":
          return Effect.flatMap(Effect.sleep(op.millis), () => pull)
        case "end":
        case "unfinished":
          onLast()
          return Cause.done()
        case "fail":
          return Effect.fail(failedWith(op.error, name, model))
        case "cut":
          return Effect.fail(brokenStream(name, model, seen))
        case "stall":
          return Effect.never
        case "die":
          return Effect.die(op.defect)
      }
    })
    return pull
  })
