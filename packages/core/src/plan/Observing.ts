/**
 * The start and the end of a call, as told to who observes it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { CompletePart, LLMStreamPart } from "../domain/Call.ts"
import type { CallAnswer, CallObserver } from "../domain/Observer.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { Run } from "./Run.ts"

const start = (observer: CallObserver, { options }: Run): void =>
  observer.emit({
    type: "request-started",
    requestId: options.requestId,
    operation: options.operation,
    targets: options.targets.map((target) => target.id),
    maxAttempts: options.rules.maxAttempts,
    context: options.context,
    ...(options.promptHash === undefined ? undefined : { promptHash: options.promptHash })
  })

const end = (
  observer: CallObserver,
  run: Run,
  exit: Exit.Exit<unknown, LLMError>,
  answer: CallAnswer | undefined
): void => {
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  const { context, operation, promptHash, requestId } = run.options
  const cost = run.cost()
  observer.end({
    requestId,
    operation,
    context,
    startedAt: run.startedAt,
    outcome: Exit.isSuccess(exit) ? "success" : error === undefined ? "interrupted" : "failure",
    tookMs: run.elapsedMs(),
    attempts: run.attempts(),
    exit,
    ...(cost === undefined ? undefined : { cost }),
    ...(error === undefined ? undefined : { error }),
    ...(answer === undefined ? undefined : { answer }),
    ...(promptHash === undefined ? undefined : { promptHash })
  })
}

/** The observer around a call. The start is told inside of what tells the end: no interruption comes between them. */
export const observed = <A>(
  run: Run,
  effect: Effect.Effect<A, LLMError>,
  answerOf: (value: A) => CallAnswer
): Effect.Effect<A, LLMError> => {
  const observer = run.options.observer
  if (observer === undefined) return effect
  let told = false
  const started = Effect.suspend(() => {
    told = true
    start(observer, run)
    return effect
  })
  return Effect.onExitPrimitive(started, (exit) => {
    if (told) end(observer, run, exit, Exit.isSuccess(exit) ? answerOf(exit.value) : undefined)
    return undefined
  })
}

/** The same around the parts of a stream. */
export const observedStream = (
  run: Run,
  parts: Stream.Stream<LLMStreamPart, LLMError>
): Stream.Stream<LLMStreamPart, LLMError> => {
  const observer = run.options.observer
  if (observer === undefined) return parts
  let told = false
  let finish: CompletePart | undefined
  let id: string | undefined
  let model: string | undefined
  const started = Stream.suspend(() => {
    told = true
    start(observer, run)
    return Stream.mapArray(parts, (chunk) => {
      for (const part of chunk) {
        if (part.type === "finish") finish = part
        else if (part.type === "response-metadata") {
          id = part.id ?? id
          model = part.model ?? model
        }
      }
      return chunk
    })
  })
  return Stream.onExit(started, (exit) =>
    Effect.sync(() => {
      if (told)
        end(
          observer,
          run,
          exit,
          finish === undefined ? undefined : { ...finish, finishReason: finish.reason, id, model }
        )
    })
  )
}
