/**
 * What the tracing systems of a request's callers have noted down: W3C `tracestate`, which belongs to the trace that a call
 * is part of. Providers hand it on, unchanged, with the `traceparent` of the attempt's span.
 */
import * as Context from "effect/Context"

/** The text of the header; `undefined` for none, which is the default. */
export const TraceState = Context.Reference<string | undefined>("@breakwater/providers/TraceState", {
  defaultValue: () => undefined
})
