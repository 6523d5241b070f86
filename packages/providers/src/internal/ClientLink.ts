/** Connections over whatever `HttpClient` the program gives. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Target } from "./Failure.ts"
import type { HttpCall, HttpHead, Link, Opened } from "./Link.ts"
import { clientFailure } from "./TransportFailure.ts"

const requestOf = (call: HttpCall): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.post(call.url, {
    headers: call.headers,
    body: HttpBody.text(call.body, "application/json")
  })

const headOf = (response: HttpClientResponse.HttpClientResponse, nowMs: number): HttpHead => ({
  status: response.status,
  headers: response.headers as unknown as HttpHead["headers"],
  nowMs
})

type ClientPull = Pull.Pull<ReadonlyArray<Uint8Array>, HttpClientError.HttpClientError>

const mapped = (pull: ClientPull, target: Target): Opened["pull"] =>
  Effect.mapError(pull, (error) => (Cause.isDone(error) ? error : clientFailure(error, target, true)))

/** The connections of a client. */
export const make = (client: HttpClient.HttpClient): Link => {
  const scoped = HttpClient.withScope(client)
  const send = (call: HttpCall) =>
    Effect.mapError(scoped.execute(requestOf(call)), (error) => clientFailure(error, call.target, false))
  const open: Link["open"] = (call) =>
    Effect.flatMap(send(call), (response) =>
      Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
        Effect.map(Stream.toPull(response.stream), (pull) => ({
          head: headOf(response, nowMs),
          pull: mapped(pull, call.target),
          isOver: () => false
        }))
      )
    )
  return { open, within: (call, use) => Effect.scoped(Effect.flatMap(open(call), use)) }
}
