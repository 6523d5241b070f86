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
  readonly keyHeader: (key: string) => readonly [name: string, value: string]
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

/** Shorter keys are placeholders for local servers ("ollama"), and words of their messages. */
const shortestSecret = 12

/** A failed answer without the key, should the server have repeated it. */
const withoutKey = (answer: HttpAnswer, key: string | undefined): HttpAnswer =>
  key === undefined || key.length < shortestSecret || !answer.text.includes(key)
    ? answer
    : { ...answer, text: answer.text.replaceAll(key, "[key]") }

/** Keys are few, and their headers are the same for every call. */
const remembered = <K, A>(make: (key: K) => A): ((key: K) => A) => {
  const known = new Map<K, A>()
  return (key) => {
    let found = known.get(key)
    if (found === undefined) known.set(key, (found = make(key)))
    return found
  }
}

export const make = (options: KeyedHttpOptions): KeyedHttp => {
  const { http, keys } = options
  const onFailure = (target: Target, answer: HttpAnswer, key: string | undefined): AttemptError =>
    options.onFailure(target, withoutKey(answer, key))
  const headersWith = remembered((key: string | undefined) => {
    const pairs = Object.entries(options.headers)
    if (key !== undefined) pairs.push([...options.keyHeader(key)])
    pairs.push(["content-type", "application/json"])
    return Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]))
  })
  const callOf = (url: string, body: string, target: Target, key: string | undefined): HttpCall => ({
    url,
    headers: headersWith(key),
    body,
    target,
    ...(options.maxBodyBytes === undefined ? {} : { maxBodyBytes: options.maxBodyBytes }),
    ...(options.maxEventBytes === undefined ? {} : { maxEventBytes: options.maxEventBytes })
  })
  return {
    post: (url, body, target) =>
      keys.use((key) =>
        Effect.flatMap(http.post(callOf(url, body, target, key)), (answer) =>
          answer.status >= 200 && answer.status < 300
            ? Effect.succeed(answer)
            : Effect.fail(onFailure(target, answer, key))
        )
      ),
    stream: (url, body, target, handlers) =>
      Stream.unwrap(
        keys.use((key) =>
          http.open(callOf(url, body, target, key), {
            ...handlers,
            onFailure: (answer) => onFailure(target, answer, key)
          })
        )
      )
  }
}
