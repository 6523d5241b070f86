/**
 * The HTTP calls of an OpenAI-compatible server: addresses, headers, keys. Bodies are JSON texts.
 */
import type { LLMError, Response } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { HttpAnswer, Target } from "../internal/Failure.ts"
import type { Http, HttpCall, StreamHandlers } from "../internal/HttpCall.ts"
import type { KeyPool } from "../internal/KeyPool.ts"

type AttemptError = LLMError.AttemptError

type Operation = "chat" | "embeddings"

export interface ClientOptions {
  readonly http: Http
  readonly keys: KeyPool
  readonly url: (operation: Operation, model: string) => string
  readonly headers: Readonly<Record<string, string>>
  readonly keyHeader: (key: string) => readonly [name: string, value: string]
  readonly maxBodyBytes: number | undefined
  readonly maxEventBytes: number | undefined
}

export interface Client {
  /** Sends and reads; a status that is not 2xx fails with what `onFailure` makes of it. */
  readonly post: (
    operation: Operation,
    body: string,
    target: Target,
    onFailure: (answer: HttpAnswer) => AttemptError
  ) => Effect.Effect<HttpAnswer, AttemptError>
  readonly stream: (
    body: string,
    target: Target,
    handlers: StreamHandlers
  ) => Stream.Stream<Response.StreamPart, AttemptError>
}

/** Shorter keys are placeholders for local servers ("ollama"), and words of their messages. */
const shortestSecret = 12

/** A failed answer without the key, should the server have repeated it. */
const withoutKey = (answer: HttpAnswer, key: string | undefined): HttpAnswer =>
  key === undefined || key.length < shortestSecret || !answer.text.includes(key)
    ? answer
    : { ...answer, text: answer.text.replaceAll(key, "[key]") }

export const make = (options: ClientOptions): Client => {
  const { http, keys } = options
  const callOf = (operation: Operation, body: string, target: Target, key: string | undefined): HttpCall => {
    const headers = { ...options.headers }
    if (key !== undefined) {
      const [name, value] = options.keyHeader(key)
      headers[name] = value
    }
    return {
      url: options.url(operation, target.model),
      headers,
      body,
      target,
      ...(options.maxBodyBytes === undefined ? {} : { maxBodyBytes: options.maxBodyBytes }),
      ...(options.maxEventBytes === undefined ? {} : { maxEventBytes: options.maxEventBytes })
    }
  }
  return {
    post: (operation, body, target, onFailure) =>
      keys.use((key) =>
        Effect.flatMap(http.post(callOf(operation, body, target, key)), (answer) =>
          answer.status >= 200 && answer.status < 300
            ? Effect.succeed(answer)
            : Effect.fail(onFailure(withoutKey(answer, key))))
      ),
    stream: (body, target, handlers) =>
      Stream.unwrap(keys.use((key) =>
        http.open(callOf("chat", body, target, key), {
          ...handlers,
          onFailure: (answer) => handlers.onFailure(withoutKey(answer, key))
        })
      ))
  }
}
