/**
 * W3C trace context of the requests that come in: the client's span becomes the parent of the request's.
 *
 * Read only where a tracer is installed. What is not valid is ignored, as the recommendation asks.
 */
import { TraceState } from "@breakwater/providers"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { IncomingHttpHeaders } from "node:http"

/** Whether there is a tracer that spans are made for. */
export const isTraced: Effect.Effect<boolean> = Effect.withFiber((fiber) =>
  Effect.succeed(fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer && fiber.getRef(References.TracerEnabled))
)

/** Version, trace, span and flags; of versions to come there may be more. */
const parentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

const nothing = /^0+$/

/** The span that a `traceparent` names. */
export const parentOf = (header: string): Tracer.ExternalSpan | undefined => {
  const [, version, traceId, spanId, flags, more] = parentPattern.exec(header) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined
  if (nothing.test(traceId) || nothing.test(spanId)) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

const maxStateLength = 512
const maxMembers = 32
const member = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** A `tracestate` that may be handed on. */
export const stateOf = (header: string): string | undefined => {
  if (header.length > maxStateLength) return undefined
  const members = header
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "")
  const keys = new Set(members.map((each) => each.slice(0, each.indexOf("="))))
  if (members.length === 0 || members.length > maxMembers || keys.size < members.length) return undefined
  return members.every((each) => member.test(each)) ? members.join(",") : undefined
}

/** Runs the handling of a request as a part of its client's trace, if it names one. */
export const inTrace = <A, E>(headers: IncomingHttpHeaders, effect: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const { traceparent, tracestate } = headers
  const parent = typeof traceparent === "string" ? parentOf(traceparent) : undefined
  if (parent === undefined) return effect
  const state = typeof tracestate === "string" ? stateOf(tracestate) : undefined
  const within = Effect.provideService(effect, Tracer.ParentSpan, parent)
  return state === undefined ? within : Effect.provideService(within, TraceState.TraceState, state)
}
