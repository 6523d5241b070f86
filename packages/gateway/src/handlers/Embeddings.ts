/** `POST /v1/embeddings`. */
import * as Effect from "effect/Effect"
import { readJson } from "../internal/Body.ts"
import { controlsOf } from "../internal/Controls.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { isProblem } from "../internal/Problem.ts"
import { decodeEmbeddings } from "../wire/openai/Decode.ts"
import { encodeEmbeddings } from "../wire/openai/Encode.ts"
import { chosenFor, failed, type HandlerError, noting, provenance } from "./Answering.ts"

/** Fallbacks are only those of the request: vectors of different models cannot be compared. */
export const embeddings = (exchange: Exchange): Effect.Effect<void, HandlerError> =>
  Effect.gen(function* () {
    const asked = decodeEmbeddings(yield* readJson(exchange))
    if (isProblem(asked)) return yield* Effect.fail(asked)
    const controls = controlsOf(exchange)
    if (isProblem(controls)) return yield* Effect.fail(controls)
    const chosen = yield* chosenFor(exchange, asked)
    const failures: Array<string> = []
    const { cache: _cache, streamPolicy: _policy, ...rest } = controls
    const targets = asked.fallbacks === undefined ? {} : { fallbacks: chosen.fallbacks }
    const answer = yield* noting(
      exchange,
      chosen.llm.embed({ ...asked.call, ...rest, model: chosen.model, ...targets }),
      failures
    ).pipe(Effect.tapError(() => Effect.sync(() => failed(exchange, failures))))
    provenance(exchange, answer)
    exchange.sendNow(200, encodeEmbeddings(answer, asked.base64))
  })
