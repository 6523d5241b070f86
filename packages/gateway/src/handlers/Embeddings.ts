/** `POST /v1/embeddings`. */
import * as Effect from "effect/Effect"
import type { Engine } from "../config/Build.ts"
import { readJson } from "../internal/Body.ts"
import { controlsOf } from "../internal/Controls.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { isProblem, wrong } from "../internal/Problem.ts"
import type { Chosen } from "../internal/Targets.ts"
import { decodeEmbeddings } from "../wire/openai/Decode.ts"
import { encodeEmbeddings } from "../wire/openai/Encode.ts"
import { chosenFor, failed, type HandlerError, noting, provenance } from "./Answering.ts"

const noTokens = wrong("input", "tokens are only for providers of OpenAI's wire; send texts")

/** Tokens mean something only to models whose provider takes them as they are. */
const takesTokens = ({ config }: Engine, { fallbacks, model }: Chosen): boolean =>
  [model, ...fallbacks].every((target) => {
    const type = config.providers[target.slice(0, target.indexOf("/"))]?.type
    return type !== "gemini" && type !== "anthropic"
  })

/** Fallbacks are only those of the request: vectors of different models cannot be compared. */
export const embeddings = (exchange: Exchange): Effect.Effect<void, HandlerError> =>
  Effect.gen(function* () {
    const asked = decodeEmbeddings(yield* readJson(exchange))
    if (isProblem(asked)) return yield* Effect.fail(asked)
    const chosen = yield* chosenFor(exchange, asked)
    const controls = controlsOf(exchange, chosen.totalMs)
    if (isProblem(controls)) return yield* Effect.fail(controls)
    if (asked.tokens && !takesTokens(exchange.engine, chosen)) return yield* Effect.fail(noTokens)
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
