/** `POST /v1/chat/completions`, whole and streamed. */
import * as Effect from "effect/Effect"
import { readJson } from "../internal/Body.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { reading } from "../internal/Fields.ts"
import { isProblem } from "../internal/Problem.ts"
import { decodeChat, targetsOf } from "../wire/openai/Decode.ts"
import { ChatStreamEncoder, done, encodeChat } from "../wire/openai/Encode.ts"
import { encodeError } from "../wire/openai/Errors.ts"
import { answer, chosenFor, type HandlerError, type Voice } from "./Answering.ts"

const voice: Voice = {
  whole: encodeChat,
  encoder: (naming, asked) => new ChatStreamEncoder(naming, asked.includeUsage),
  broken: (error) => `data: ${encodeError(error).body}\n\n${done}`
}

export const chatCompletions = (exchange: Exchange): Effect.Effect<void, HandlerError> =>
  Effect.flatMap(readJson(exchange), (body) => {
    const names = reading(() => targetsOf(body))
    if (isProblem(names)) return Effect.fail(names)
    return Effect.flatMap(chosenFor(exchange, names), (chosen) => {
      const asked = decodeChat(body, exchange.engine.spoken([chosen.model, ...chosen.fallbacks]))
      return isProblem(asked) ? Effect.fail(asked) : answer(exchange, asked, chosen, voice)
    })
  })
