/** Ways to spoil an answer that is on its way. */
import { LLMError, Response } from "@breakwater/core"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Failures from "../Failures.ts"
import { textOfParts } from "./parts.ts"

type Parts = Stream.Stream<Response.StreamPart, LLMError.AttemptError>
type Chunk = readonly [Response.StreamPart, ...Array<Response.StreamPart>]
type Pull = Effect.Effect<Chunk, LLMError.AttemptError | Cause.Done>

const ending = (
  how: "cut" | "stall" | "malformed",
  origin: LLMError.Origin,
  seen: ReadonlyArray<Response.StreamPart>
): Effect.Effect<never, LLMError.AttemptError> => {
  switch (how) {
    case "stall":
      return Effect.never
    case "malformed":
      return Effect.fail(LLMError.withOrigin(Failures.invalidResponse(), origin))
    case "cut":
      return Effect.fail(
        LLMError.withOrigin(
          new LLMError.StreamInterruptedError({
            message: "the stream broke off",
            partialText: textOfParts(seen),
            parts: seen
          }),
          origin
        )
      )
  }
}

/** Lets so many pieces of content through, and then breaks; a shorter stream breaks before its finish. */
export const breakStream = (
  parts: Parts,
  afterParts: number,
  how: "cut" | "stall" | "malformed",
  origin: LLMError.Origin
): Parts =>
  Stream.transformPull(parts, (pull) =>
    Effect.sync((): Pull => {
      const seen: Array<Response.StreamPart> = []
      let left = afterParts
      let broken = false
      const next: Pull = Effect.suspend(() =>
        broken
          ? ending(how, origin, seen)
          : Effect.flatMap(pull, (chunk) => {
              const from = seen.length
              for (const part of chunk) {
                if (part.type === "finish" || (Response.isContent(part) && left-- === 0)) {
                  broken = true
                  break
                }
                seen.push(part)
              }
              const [head, ...tail] = seen.slice(from)
              return head === undefined ? next : Effect.succeed<Chunk>([head, ...tail])
            })
      )
      return next
    })
  )

/** Loses the text after so many pieces; the stream ends well all the same. */
export const garbleStream = (parts: Parts, afterParts: number): Parts =>
  Stream.suspend(() => {
    let left = afterParts
    return Stream.filter(parts, (part) => part.type !== "text-delta" || left-- > 0)
  })

/** Loses the second half of every text. */
export const garbleTurn = (turn: Response.Turn): Response.Turn => ({
  ...turn,
  content: turn.content.map((part) =>
    part.type === "text" ? { ...part, text: part.text.slice(0, Math.floor(part.text.length / 2)) } : part
  )
})
