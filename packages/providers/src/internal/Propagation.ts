/**
 * The trace a call belongs to, told to the provider: W3C trace context (and B3), as Effect's own client tells it.
 *
 * The span is the one the call is made in, which is that of its attempt. Without a span nothing is done.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Tracer from "effect/Tracer"
import { TraceState } from "../TraceState.ts"

type Headers = { readonly [name: string]: string }

/** The headers with those of the span of a fiber, if it has one. */
export const propagated = (fiber: Fiber.Fiber<unknown, unknown>, headers: Headers): Headers => {
  const parent = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
  if (parent?._tag !== "Span") return headers
  if (!fiber.getRef(HttpClient.TracerPropagationEnabled) || fiber.getRef(Tracer.DisablePropagation)) return headers
  const state = fiber.getRef(TraceState)
  return {
    ...headers,
    ...HttpTraceContext.toHeaders(parent),
    ...(state === undefined ? undefined : { tracestate: state })
  }
}
