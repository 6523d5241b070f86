/**
 * The calls of one provider: its headers, its keys in turn, and the error table for answers that are not 2xx.
 */
import type { LLMError, Response } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { HttpAnswer, Target } from "./Failure.ts"
import type { Http, HttpCall, StreamHandlers } from "./HttpCall.ts"
import type { KeyPool } from "./KeyPool.ts"

type AttemptError = LLMError.AttemptError

export interface KeyedHttpOptions {
  readonly http: Http
  readonly keys: KeyPool
  readonly headers: Readonly<Record<string, string>>
  /** The header a key is sent in. */
  readonly keyHeader: string
  readonly maxBodyBytes: number | undefined
  readonly maxEventBytes: number | undefined
  readonly onFailure: (target: Target, answer: HttpAnswer) => AttemptError
}

export interface KeyedHttp {
  /** Sends JSON text and reads the answer; a status that is not 2xx fails with its error. */
  readonly post: (url: string, body: string, target: Target) => Effect.Effect<HttpAnswer, AttemptError>
  /** The same, reading the answer as it arrives. */
  readonly stream: (
    url: string,
    body: string,
    target: Target,
    handlers: Omit<StreamHandlers, "onFailure">
  ) => Stream.Stream<Response.StreamPart, AttemptError>
}

export const make = (options: KeyedHttpOptions): KeyedHttp => {
  const { http, keyHeader, keys, onFailure } = options
  const callOf = (url: string, body: string, target: Target, key: string | undefined): HttpCall => ({
    url,
    headers: key === undefined ? options.headers : { ...options.headers, [keyHeader]: key },
    body,
    target,
    ...(options.maxBodyBytes === undefined ? {} : { maxBodyBytes: options.maxBodyBytes }),
    ...(options.maxEventBytes === undefined ? {} : { maxEventBytes: options.maxEventBytes })
  })
  return {
    post: (url, body, target) =>
      keys.use((key) =>
        Effect.flatMap(http.post(callOf(url, body, target, key)), (answer) =>
          answer.status >= 200 && answer.status < 300 ? Effect.succeed(answer) : Effect.fail(onFailure(target, answer))
        )
      ),
    stream: (url, body, target, handlers) =>
      Stream.unwrap(
        keys.use((key) =>
          http.open(callOf(url, body, target, key), { ...handlers, onFailure: (answer) => onFailure(target, answer) })
        )
      )
  }
}
