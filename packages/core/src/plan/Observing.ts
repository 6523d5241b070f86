/**
 * The start and the end of a call, as told to who observes it. The summary of the Layer hears the end of every call.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CompletePart, LLMStreamPart } from "../domain/Call.ts"
import type { CallAnswer } from "../domain/Observer.ts"
import type { LLMError } from "../errors/LLMError.ts"
import type { Run } from "./Run.ts"

const start = ({ options }: Run): void =>
  options.observer?.emit({
    type: "request-started",
    requestId: options.requestId,
    operation: options.operation,
    targets: options.targets.map((target) => target.id),
    maxAttempts: options.rules.maxAttempts,
    context: options.context,
    ...(options.promptHash === undefined ? undefined : { promptHash: options.promptHash })
  })

/** By the answer's own word, or by the prices of now where it was kept without one. */
const savedBy = (run: Run, answer: CallAnswer | undefined): bigint | undefined =>
  answer?.savedNanos !== undefined
    ? answer.savedNanos
    : answer?.cached === undefined || answer.usage === undefined || answer.target === undefined
      ? undefined
      : run.savedBy(answer.target, answer.usage)

const end = (run: Run, exit: Exit.Exit<unknown, LLMError>, answer: CallAnswer | undefined): void => {
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  const { context, observer, operation, promptHash, requestId, summary } = run.options
  const call = {
    requestId,
    operation,
    context,
    startedAt: run.startedAt,
    outcome: Exit.isSuccess(exit) ? "success" : error === undefined ? "interrupted" : "failure",
    tookMs: run.elapsedMs(),
    attempts: run.attempts(),
    retries: run.retries,
    failovers: run.failovers,
    hedges: run.hedges,
    firstTokenMs: run.firstTokenMs,
    cost: run.cost(),
    error,
    exit,
    answer,
    cached: answer?.cached,
    savedNanos: savedBy(run, answer),
    promptHash
  } as const
  summary.record(call, run.options.clock.currentTimeMillisUnsafe())
  observer?.end(call)
}

/** The observer around a call. The start is told inside of what tells the end: no interruption comes between them. */
export const observed = <A>(
  run: Run,
  effect: Effect.Effect<A, LLMError>,
  answerOf: (value: A) => CallAnswer
): Effect.Effect<A, LLMError> => {
  let told = false
  const started = Effect.suspend(() => {
    told = true
    start(run)
    return effect
  })
  return Effect.onExitPrimitive(started, (exit) => {
    if (told) end(run, exit, Exit.isSuccess(exit) ? answerOf(exit.value) : undefined)
    return undefined
  })
}

/** What the parts of a stream say of the whole answer. */
class StreamAnswer {
  private finish: CompletePart | undefined
  private id: string | undefined
  private model: string | undefined

  read(parts: ReadonlyArray<LLMStreamPart>): void {
    for (const part of parts) {
      if (part.type === "finish") this.finish = part
      else if (part.type === "response-metadata") {
        this.id = part.id ?? this.id
        this.model = part.model ?? this.model
      }
    }
  }

  get(): CallAnswer | undefined {
    const { finish, id, model } = this
    return finish === undefined ? undefined : { ...finish, finishReason: finish.reason, id, model }
  }
}

type Parts = Pull.Pull<readonly [LLMStreamPart, ...Array<LLMStreamPart>], LLMError>
type StreamExit = Exit.Exit<unknown, LLMError | Cause.Done>

/**
 * The same around the parts of a stream. Where nobody listens and no cache answers, the parts say nothing that the run
 * does not know by itself: then nothing stands between them and the reader, and the run tells its end.
 *
 * What `Stream.onExit` does, but that a pull that succeeds pays for one frame at most.
 */
export const observedStream = (
  run: Run,
  parts: Stream.Stream<LLMStreamPart, LLMError>,
  cached: boolean
): Stream.Stream<LLMStreamPart, LLMError> =>
  Stream.fromChannel(
    Channel.fromTransform((_upstream: Pull.Pull<unknown, unknown, unknown>, outer) =>
      Effect.suspend(() => {
        const answer = cached || run.options.observer !== undefined ? new StreamAnswer() : undefined
        const scope = Scope.forkUnsafe(outer)
        let untold = false
        const tell = (exit: Exit.Exit<unknown, LLMError>): void => {
          if (untold) end(run, exit, answer?.get())
          untold = false
        }
        const close = (exit: StreamExit): Effect.Effect<void> | undefined =>
          Exit.isFailure(exit) ? Scope.close(scope, Pull.doneExitFromCause(exit.cause)) : undefined
        if (answer === undefined) run.onStreamEnd = tell
        const opened = Effect.suspend(() => {
          untold = true
          start(run)
          return Channel.toTransform(Stream.toChannel(parts))(Cause.done(), scope)
        })
        return Effect.andThen(
          Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => tell(exit as Exit.Exit<unknown, LLMError>))),
          Effect.map(
            Effect.onExitPrimitive(opened, (exit) => close(exit)),
            (pull): Parts => {
              if (answer === undefined) return pull
              return Effect.onExitPrimitive(pull, (exit) => {
                if (Exit.isFailure(exit)) return close(exit)
                answer.read(exit.value)
                return undefined
              })
            }
          )
        )
      })
    )
  )
