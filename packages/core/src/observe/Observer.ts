/**
 * Joins what listens to a call: the event sink and the spans. A call that nobody observes has no observer at all.
 */
import type * as Clock from "effect/Clock"
import type * as Fiber from "effect/Fiber"
import { EventSink, type PolicyEvent } from "../domain/Event.ts"
import type { AttemptObserver, CallObserver } from "../domain/Observer.ts"
import * as Spans from "./Spans.ts"

/** The observer of one call, or `undefined` if nobody listens. A sink that throws harms nothing. */
export const forCall = (
  fiber: Fiber.Fiber<unknown, unknown>,
  clock: Clock.Clock,
  options: Spans.RequestSpanOptions
): CallObserver | undefined => {
  const sink = fiber.getRef(EventSink)
  const spans = quietly(() => Spans.open(fiber, clock, options))
  if (sink === undefined && spans === undefined) return undefined
  const emit = sink === undefined ? (_event: PolicyEvent): void => {} : guarded(sink)
  return {
    emit,
    attempt: (call, kind) => (spans === undefined ? undefined : quietly(() => quiet(spans.attempt(call, kind)))),
    end: (end) => {
      emit({
        type: "request-finished",
        requestId: end.requestId,
        outcome: end.outcome,
        tookMs: end.tookMs,
        attempts: end.attempts,
        operation: end.operation,
        context: end.context,
        startedAt: end.startedAt,
        retries: end.retries,
        failovers: end.failovers,
        hedges: end.hedges,
        ...(end.firstTokenMs === undefined ? undefined : { firstTokenMs: end.firstTokenMs }),
        ...(end.answer?.target === undefined ? undefined : { target: end.answer.target }),
        ...(end.cost === undefined ? undefined : { cost: end.cost }),
        ...(end.cached === undefined ? undefined : { cached: end.cached }),
        ...(end.savedNanos === undefined ? undefined : { savedNanos: end.savedNanos }),
        ...(end.answer?.finishReason === undefined ? undefined : { finishReason: end.answer.finishReason }),
        ...(end.error === undefined ? undefined : { error: end.error }),
        ...(end.promptHash === undefined ? undefined : { promptHash: end.promptHash })
      })
      quietly(() => spans?.end(end))
    }
  }
}

/** An observer must never change what it observes: a tracer that throws leaves out what it does not take. */
const quietly = <A>(tell: () => A): A | undefined => {
  try {
    return tell()
  } catch {
    return undefined
  }
}

const quiet = ({ end, firstToken, parts, within }: AttemptObserver): AttemptObserver => ({
  within,
  firstToken: (afterMs) => quietly(() => firstToken(afterMs)),
  parts: parts === undefined ? undefined : (given) => quietly(() => parts(given)),
  end: (outcome, answer) => quietly(() => end(outcome, answer))
})

const guarded =
  (sink: (event: PolicyEvent) => void) =>
  (event: PolicyEvent): void => {
    try {
      sink(event)
    } catch {
      // An observer must never change what it observes.
    }
  }
