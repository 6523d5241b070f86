/**
 * One HTTP POST to a provider, whole or streamed, over whatever `HttpClient` the program gives: by the short way below
 * it where it is this library's own (see `Wire`).
 *
 * Interruption closes the connection at once. Nothing is retried. Waiting is bounded by the pipeline; the connect
 * timeout is the client's (see `HttpPool`).
 */
import { Event, type LLMError, type Response } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientLink from "./ClientLink.ts"
import { type HttpAnswer, invalidResponse, originOf } from "./Failure.ts"
import type { HttpCall, HttpHead, Opened } from "./Link.ts"
import { type StreamDecoder, StreamReader } from "./StreamReader.ts"
import * as Wire from "./Wire.ts"
import * as WireLink from "./WireLink.ts"

export type { HttpCall, HttpHead } from "./Link.ts"

type AttemptError = LLMError.AttemptError
type Part = Response.StreamPart
type PartsPull = Pull.Pull<readonly [Part, ...Array<Part>], AttemptError>

/** How a codec reads a streamed answer. */
export interface StreamHandlers {
  /** The error for an answer whose status is not 2xx. */
  readonly onFailure: (answer: HttpAnswer) => AttemptError
  /** A 200 whose body is no event stream: JSON (an error, or a whole turn) or plain text. */
  readonly onWhole: (answer: HttpAnswer) => AttemptError | ReadonlyArray<Part>
  readonly decoder: (head: HttpHead) => StreamDecoder
}

export interface Http {
  /** Sends and reads the answer to its end, whatever its status. HTML in a 2xx is an `InvalidResponseError`. */
  readonly post: (call: HttpCall) => Effect.Effect<HttpAnswer, AttemptError>
  /**
   * Sends and reads the head. Fails for a status that is not 2xx; otherwise the stream reads the body. The scope is
   * that of the connection: closing it ends the connection.
   */
  readonly open: (
    call: HttpCall,
    handlers: StreamHandlers
  ) => Effect.Effect<Stream.Stream<Part, AttemptError>, AttemptError, Scope.Scope>
}

const defaultMaxBodyBytes = 128 * 1024 * 1024
const maxErrorBytes = 1024 * 1024
/** How long the body of a failed answer is waited for: its status has said already what is most important. */
const errorGrace = "2 seconds"
/** How long the rest of a complete answer (its usage, the end of the connection) is waited for. */
const usageGrace = "2 seconds"
const drainGrace = "100 millis"

const isOk = (status: number): boolean => status >= 200 && status < 300

const concat = (chunks: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  if (chunks.length === 1) return chunks[0]!
  const out = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}

const utf8 = new TextDecoder()

/** Reads a body. Of a failed answer whatever can be had, cut at its limits; of a good one all, or an error. */
const readText = (head: HttpHead, pull: Opened["pull"], call: HttpCall): Effect.Effect<string, AttemptError> =>
  Effect.suspend(() => {
    const ok = isOk(head.status)
    const max = ok ? (call.maxBodyBytes ?? defaultMaxBodyBytes) : maxErrorBytes
    const chunks: Array<Uint8Array> = []
    let length = 0
    const text = () => utf8.decode(concat(chunks, length))
    const loop: Effect.Effect<string, AttemptError> = Effect.suspend(() =>
      Pull.matchEffect(pull, {
        onSuccess: (next) => {
          for (const chunk of next) {
            chunks.push(chunk)
            length += chunk.length
          }
          if (length <= max) return loop
          return ok
            ? Effect.fail(invalidResponse(originOf(call.target, head), `The answer is larger than ${max} bytes.`))
            : Effect.succeed(text().slice(0, max))
        },
        onDone: () => Effect.succeed(text()),
        onFailure: (cause) => {
          const error = Cause.findErrorOption(cause)
          if (error._tag === "None" || Cause.hasInterrupts(cause)) {
            return Effect.failCause(cause as Cause.Cause<never>)
          }
          return ok ? Effect.fail(error.value) : Effect.succeed(text())
        }
      })
    )
    return ok ? loop : Effect.map(Effect.timeoutOption(loop, errorGrace), Option.getOrElse(text))
  })

const isHtml = (type: string, text: string): boolean =>
  type.includes("text/html") || /^\s{0,100}<(?:!doctype|html)/i.test(text.slice(0, 200))

const contentType = (head: HttpHead): string => head.headers["content-type"]?.toLowerCase() ?? ""

/** Whether a 2xx is to be read as an event stream. Servers that forget the header are given the benefit of it. */
const isStream = (type: string): boolean => !type.includes("html") && !/[/+]json/.test(type)

const streamBody = ({ isOver, pull }: Opened, reader: StreamReader): Stream.Stream<Part, AttemptError> => {
  /** One read of the body, and what comes after it. */
  const reading = <A>(then: Effect.Effect<A, AttemptError | Cause.Done>) =>
    Pull.matchEffect(pull, {
      onSuccess: (chunks) => {
        for (const chunk of chunks) reader.feed(chunk)
        return then
      },
      onDone: () => {
        reader.close()
        return then
      },
      onFailure: (cause) => {
        const error = Cause.findErrorOption(cause)
        if (error._tag === "None" || Cause.hasInterrupts(cause)) return Effect.failCause(cause as Cause.Cause<never>)
        reader.close(error.value)
        return then
      }
    })
  // The rest of the body is read so that the connection can be used again; not for long, and not for much.
  const drainOnce: Effect.Effect<boolean> = Pull.matchEffect(pull, {
    onSuccess: () => Effect.succeed(true),
    onDone: () => Effect.succeed(false),
    onFailure: (cause) =>
      Cause.hasInterrupts(cause) ? Effect.failCause(cause as Cause.Cause<never>) : Effect.succeed(false)
  })
  const drain = Effect.timeoutOption(Effect.repeat(drainOnce, { while: (more) => more, times: 8 }), drainGrace)
  let drained = false
  const next: PartsPull = Effect.suspend(() => {
    if (reader.out.length > 0) return Effect.succeed(reader.take() as [Part, ...Array<Part>])
    if (reader.failure !== undefined) return Effect.fail(reader.failure)
    if (reader.finished) {
      if (drained || reader.closed || isOver()) return Cause.done()
      drained = true
      return Effect.andThen(drain, Cause.done())
    }
    return reader.settling ? readBriefly : read
  })
  const read: PartsPull = reading(next)
  // The answer is complete but for its usage: wait a little, then do without.
  const readBriefly: PartsPull = Effect.flatMap(Effect.timeoutOption(reading(Effect.void), usageGrace), (result) => {
    if (Option.isNone(result)) reader.close()
    return next
  })
  return Stream.fromPull(Effect.succeed(next))
}

/** The calls over one client. */
export const make = (client: HttpClient.HttpClient): Http => {
  const wire = Wire.of(client)
  const link = wire === undefined ? ClientLink.make(client) : WireLink.make(wire)
  return {
    post: (call) =>
      link.within(call, ({ head, pull }) =>
        Effect.flatMap(readText(head, pull, call), (text) =>
          isOk(head.status) && isHtml(contentType(head), text)
            ? Effect.fail(invalidResponse(originOf(call.target, head), "The answer is a web page, not JSON.", text))
            : Effect.succeed({ ...head, text })
        )
      ),
    open: (call, handlers) =>
      Effect.flatMap(link.open(call), (opened) => {
        const { head, pull } = opened
        const type = contentType(head)
        if (isOk(head.status) && isStream(type)) {
          return Effect.withFiber((fiber) => {
            const sink = fiber.getRef(Event.EventSink)
            return Effect.succeed(
              streamBody(
                opened,
                new StreamReader({
                  decoder: handlers.decoder(head),
                  origin: originOf(call.target, head),
                  onText: (text) => wholeOf({ ...head, text }, type, call, handlers),
                  onMalformed: (inARow) => sink?.({ type: "malformed-event", ...call.target, inARow }),
                  ...(call.maxEventBytes === undefined ? {} : { maxEventBytes: call.maxEventBytes })
                })
              )
            )
          })
        }
        return Effect.flatMap(readText(head, pull, call), (text) => {
          const answer = { ...head, text }
          if (!isOk(head.status)) return Effect.fail(handlers.onFailure(answer))
          const whole = wholeOf(answer, type, call, handlers)
          return "_tag" in whole ? Effect.fail(whole) : Effect.succeed(Stream.fromArray(whole))
        })
      })
  }
}

const wholeOf = (
  answer: HttpAnswer,
  type: string,
  call: HttpCall,
  handlers: StreamHandlers
): AttemptError | ReadonlyArray<Part> =>
  isHtml(type, answer.text)
    ? invalidResponse(originOf(call.target, answer), "The answer is a web page, not a stream of events.", answer.text)
    : handlers.onWhole(answer)
