/**
 * Connections over a wire: what arrives is kept until it is pulled, and a reader that is slow stops the socket.
 *
 * The reader is woken once for all that one read of the socket has brought, after undici is done with it: a whole answer
 * is one step, and the pieces of a stream that arrive together leave together.
 */
import type { LLMError } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { HttpCall, HttpHead, Link, Opened } from "./Link.ts"
import { propagated } from "./Propagation.ts"
import { transportFailure, wrongUrl } from "./TransportFailure.ts"
import type { Wire, WireExchange, WireHeaders, WireListener } from "./Wire.ts"

type AttemptError = LLMError.AttemptError

/** Bytes that wait for their reader before the socket is left alone. */
const maxWaiting = 256 * 1024

const none: ReadonlyArray<Uint8Array> = []

const flat = (headers: WireHeaders): HttpHead["headers"] => {
  let several: Record<string, string> | undefined
  for (const name in headers) {
    const value = headers[name]
    if (typeof value !== "string" && value !== undefined) (several ??= {})[name] = value.join(", ")
  }
  return several === undefined ? (headers as HttpHead["headers"]) : { ...(headers as HttpHead["headers"]), ...several }
}

/** One answer on its way. */
class Arriving implements WireListener {
  exchange: WireExchange | undefined = undefined
  status = 0
  headers: HttpHead["headers"] = {}
  ended = false
  failed = false
  cause: unknown = undefined
  private chunks: Array<Uint8Array> = []
  private waiting = 0
  private paused = false
  private reader: (() => void) | undefined = undefined
  private waking = false
  /** How often anything has happened. */
  private heard = 0

  onHead(status: number, headers: WireHeaders): void {
    this.status = status
    this.headers = flat(headers)
    this.news()
  }

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.waiting += chunk.length
    if (this.waiting > maxWaiting && !this.paused) {
      this.paused = true
      this.exchange?.pause()
    }
    this.news()
  }

  onEnd(): void {
    this.ended = true
    this.news()
  }

  onError(cause: unknown): void {
    this.failed = true
    this.cause = cause
    this.news()
  }

  /** What has arrived since. */
  take(): ReadonlyArray<Uint8Array> {
    if (this.chunks.length === 0) return none
    const chunks = this.chunks
    this.chunks = []
    this.waiting = 0
    if (this.paused) {
      this.paused = false
      this.exchange?.resume()
    }
    return chunks
  }

  /** Goes on with an effect as soon as anything has happened, from now on: a fiber may give way before it waits. */
  andThen<A, E>(next: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const { heard } = this
    return Effect.callback<A, E>((resume) => {
      if (this.heard !== heard) return resume(next)
      this.reader = () => resume(next)
      return Effect.sync(() => {
        this.reader = undefined
      })
    })
  }

  private news(): void {
    this.heard++
    if (this.waking || this.reader === undefined) return
    this.waking = true
    queueMicrotask(() => {
      this.waking = false
      const reader = this.reader
      this.reader = undefined
      reader?.()
    })
  }
}

/** The head of an answer, and its body as it comes. */
const opened = (arriving: Arriving, call: HttpCall, clock: Clock.Clock): Effect.Effect<Opened, AttemptError> => {
  const pull: Opened["pull"] = Effect.suspend(() => {
    const chunks = arriving.take()
    if (chunks.length > 0) return Effect.succeed(chunks)
    if (arriving.failed) return Effect.fail(transportFailure(arriving.cause, call.target, true))
    return arriving.ended ? Cause.done() : arriving.andThen(pull)
  })
  const isOver = () => arriving.ended || arriving.failed
  const head: Effect.Effect<Opened, AttemptError> = Effect.suspend(() => {
    const { headers, status } = arriving
    if (status > 0) {
      return Effect.succeed({ head: { status, headers, nowMs: clock.currentTimeMillisUnsafe() }, pull, isOver })
    }
    return arriving.failed ? Effect.fail(transportFailure(arriving.cause, call.target, false)) : arriving.andThen(head)
  })
  return head
}

interface Address {
  readonly origin: string
  readonly path: string
}

/** Addresses are few: one an operation, or one a model. */
const maxAddresses = 1_000

const addresses = () => {
  const known = new Map<string, Address>()
  return (url: string): Address | undefined => {
    const found = known.get(url)
    if (found !== undefined) return found
    if (!URL.canParse(url)) return undefined
    const { origin, pathname, search } = new URL(url)
    if (known.size >= maxAddresses) known.clear()
    const address = { origin, path: pathname + search }
    known.set(url, address)
    return address
  }
}

/** A call that is sent when its answer is opened. */
class Sending {
  readonly opened: Effect.Effect<Opened, AttemptError>
  private exchange: WireExchange | undefined = undefined

  constructor(
    wire: Wire,
    addressOf: (url: string) => Address | undefined,
    call: HttpCall,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    this.opened = Effect.suspend(() => {
      const address = addressOf(call.url)
      if (address === undefined) return Effect.fail(wrongUrl(call.target))
      const arriving = new Arriving()
      const headers = propagated(fiber, call.headers)
      this.exchange = arriving.exchange = wire({ ...address, headers, body: call.body }, arriving)
      return opened(arriving, call, fiber.getRef(Clock.Clock))
    })
  }

  abort(): void {
    this.exchange?.abort()
  }
}

/**
 * The connections of a wire. What ends a call is known before it is sent, so that no interruption comes between the two.
 */
export const make = (wire: Wire): Link => {
  const addressOf = addresses()
  return {
    within: (call, use) =>
      Effect.withFiber((fiber) => {
        const sending = new Sending(wire, addressOf, call, fiber)
        return Effect.onExitPrimitive(Effect.flatMap(sending.opened, use), () => {
          sending.abort()
          return undefined
        })
      }),
    open: (call) =>
      Effect.flatMap(Scope.Scope, (scope) =>
        Effect.withFiber((fiber) => {
          const sending = new Sending(wire, addressOf, call, fiber)
          const known = Scope.addFinalizer(
            scope,
            Effect.sync(() => sending.abort())
          )
          return Effect.andThen(known, sending.opened)
        })
      )
  }
}
