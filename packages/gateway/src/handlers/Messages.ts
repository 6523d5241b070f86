/** `POST /v1/messages`, Anthropic's wire, whole and streamed. */
import * as Effect from "effect/Effect"
import { readJson } from "../internal/Body.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { reading } from "../internal/Fields.ts"
import { isProblem } from "../internal/Problem.ts"
import { decodeMessages } from "../wire/anthropic/Decode.ts"
import { encodeMessage, MessageStreamEncoder } from "../wire/anthropic/Encode.ts"
import { encodeError } from "../wire/anthropic/Errors.ts"
import { targetsOf } from "../wire/openai/Decode.ts"
import { answer, chosenFor, type HandlerError, type Voice } from "./Answering.ts"

const voice = (requestId: string): Voice => ({
  whole: encodeMessage,
  encoder: (naming) => new MessageStreamEncoder(naming),
  broken: (error) => `event: error\ndata: ${encodeError(error, requestId).body}\n\n`
})

export const messages = (exchange: Exchange): Effect.Effect<void, HandlerError> =>
  Effect.flatMap(readJson(exchange), (body) => {
    const names = reading(() => targetsOf(body))
    if (isProblem(names)) return Effect.fail(names)
    return Effect.flatMap(chosenFor(exchange, names), (chosen) => {
      const asked = decodeMessages(body, exchange.engine.spoken([chosen.model, ...chosen.fallbacks]))
      return isProblem(asked) ? Effect.fail(asked) : answer(exchange, asked, chosen, voice(exchange.requestId))
    })
  })
