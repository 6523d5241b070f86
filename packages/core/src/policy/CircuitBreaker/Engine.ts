/**
 * The state machine put to work: circuits by key, the clock, results of effects, streams and attempts, and those
 * who listen.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Admit, AttemptCall, AttemptOutcome, Settle } from "../../domain/Attempt.ts"
import { EventSink, type PolicyEvent } from "../../domain/Event.ts"
import { CircuitOpenError, InvalidRequestError, withoutStack } from "../../errors/LLMError.ts"
import * as Breaker from "../../internal/breaker.ts"
import { CircuitMap } from "../../internal/breakerKeys.ts"
import { monotonicMs } from "../../internal/time.ts"
import { hintOf, judge, judgeCause } from "./Classify.ts"
import type { Resolved } from "./Options.ts"

/** A change of state as it is told. */
export interface Transition {
  readonly key: string
  readonly from: Breaker.State
  readonly to: Breaker.State
  readonly reason: Breaker.Reason
  /** How long an opened circuit stays open, in milliseconds. */
  readonly openForMs?: number
}

export type Rejection = CircuitOpenError | InvalidRequestError

export interface ProtectOptions<A, E> {
  /** What the circuit stands for: a target, a host, a tenant. Not empty. */
  readonly key: string
  /** How this call's end counts; `undefined` leaves it to the breaker. Never asked about an interruption. */
  readonly classify?: (exit: Exit.Exit<A, E>) => Breaker.Outcome | undefined
}

export interface ProtectStreamOptions<A, E> {
  readonly key: string
  /** Whether an element is content: the first one counts for slowness. Default: every element is. */
  readonly isContent?: (element: A) => boolean
  /** How a failure counts; `undefined` leaves it to the breaker. */
  readonly classify?: (error: E) => Breaker.Outcome | undefined
}

/** How many transitions a listener may be behind before it loses the oldest. */
const backlog = 1024

const emptyKey = Effect.suspend(() =>
  Effect.fail(
    withoutStack(
      () => new InvalidRequestError({ message: "The key of a circuit breaker must not be empty.", parameter: "key" })
    )
  )
)

const rejection = (key: string, state: Breaker.State, afterMs: number): CircuitOpenError => {
  const why =
    state === "half-open"
      ? "is being tried by other calls"
      : state === "forced-open"
        ? "is held open by hand"
        : "failed too often lately"
  return withoutStack(
    () =>
      new CircuitOpenError({
        message: `"${key}" ${why}; try again in ${afterMs} ms.`,
        key,
        retryAfter: Duration.millis(afterMs)
      })
  )
}

export type Engine = ReturnType<typeof makeEngine>

/** Everything a breaker does, over one clock. `sink` is for what happens outside of any call. */
export const makeEngine = (
  { classify, idleMs, maxKeys, settings }: Resolved,
  clock: Clock.Clock,
  random: () => number,
  sink: ((event: PolicyEvent) => void) | undefined
) => {
  const now = (): number => monotonicMs(clock)
  const circuits = new CircuitMap(settings, idleMs, maxKeys, now())
  const listeners = new Set<Queue.Queue<Transition>>()
  const hooks: { onChange: ((change: Breaker.Change) => void) | undefined } = { onChange: undefined }
  let outbox: Array<Breaker.Change> = []
  const machine: Breaker.Machine = {
    settings,
    random,
    report: (change) => {
      circuits.note(change.circuit)
      outbox.push(change)
    }
  }
  const limitMs = settings.slow?.limitMs ?? Infinity
  const byFirstToken = settings.slow?.measure === "first-token"
  const timed = settings.slow !== undefined

  /** The sink of the call under way, or the one the breaker was made with. An observer's bug stays its own. */
  const emit = (event: () => PolicyEvent): void => {
    const target = Fiber.getCurrent()?.getRef(EventSink) ?? sink
    if (target === undefined) return
    try {
      target(event())
    } catch {
      // Observers must not be able to break what they observe.
    }
  }

  const tell = (change: Breaker.Change): void => {
    const { circuit, from, nowMs, reason, to } = change
    const openForMs = to === "open" ? Math.max(0, Breaker.tripOf(circuit).openUntilMs - nowMs) : undefined
    const transition: Transition = {
      key: circuit.key,
      from,
      to,
      reason,
      ...(openForMs === undefined ? {} : { openForMs })
    }
    for (const listener of listeners) Queue.offerUnsafe(listener, transition)
    hooks.onChange?.(change)
    emit(() => ({ type: "circuit-changed", ...transition }))
  }

  /** Told only when the machine is at rest again: a listener may use the breaker. */
  const flush = (): void => {
    while (outbox.length > 0) {
      const changes = outbox
      outbox = []
      changes.forEach(tell)
    }
  }

  const admitted = (circuit: Breaker.Circuit): Breaker.Ticket | undefined => {
    // Nothing of a closed circuit depends on the time a call starts, unless slowness counts.
    if (circuit.state === "closed" && circuit.hold === undefined && !timed) return Breaker.enter(machine, circuit, 0)
    const ticket = Breaker.enter(machine, circuit, now())
    if (outbox.length > 0) flush()
    return ticket
  }

  const settle = (
    ticket: Breaker.Ticket,
    nowMs: number,
    outcome: Breaker.Outcome,
    slow: boolean,
    hintMs: number
  ): void => {
    Breaker.leave(machine, ticket, nowMs, outcome, slow, hintMs)
    circuits.touch(ticket.circuit, nowMs)
    if (outbox.length > 0) flush()
  }

  /** The same error serves all calls rejected within a millisecond: in a storm it is built once. */
  const reject = (circuit: Breaker.Circuit, call?: AttemptCall): Effect.Effect<never, CircuitOpenError> => {
    const nowMs = now()
    const trip = Breaker.tripOf(circuit)
    const afterMs = Breaker.retryAfterMs(machine, circuit, nowMs)
    circuits.touch(circuit, nowMs)
    emit(() => ({
      type: "circuit-rejected",
      key: circuit.key,
      state: Breaker.stateOf(circuit),
      retryAfterMs: afterMs,
      ...(call === undefined ? {} : { requestId: call.requestId, attempt: call.attempt })
    }))
    if (trip.answer === undefined || trip.answerMs !== afterMs) {
      trip.answer = Effect.fail(rejection(circuit.key, Breaker.stateOf(circuit), afterMs))
      trip.answerMs = afterMs
    }
    return trip.answer as Effect.Effect<never, CircuitOpenError>
  }

  const settleExit = <A, E>(ticket: Breaker.Ticket, exit: Exit.Exit<A, E>, options: ProtectOptions<A, E>): void => {
    const nowMs = now()
    const slow = timed && !byFirstToken && nowMs - ticket.startedMs >= limitMs
    let outcome: Breaker.Outcome | undefined
    if (options.classify !== undefined && !(exit._tag === "Failure" && Cause.hasInterrupts(exit.cause))) {
      try {
        outcome = options.classify(exit)
      } catch {
        outcome = undefined
      }
    }
    if (exit._tag === "Success") return settle(ticket, nowMs, outcome ?? "success", slow, 0)
    outcome ??= judgeCause(exit.cause, classify)
    settle(ticket, nowMs, outcome, slow, outcome === "failure" ? hintOf(exit.cause) : 0)
  }

  /**
   * The finalizer stands before the admission is asked for, so there is no moment at which an interruption could
   * lose a probe's place.
   */
  const protect = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: ProtectOptions<A, E>
  ): Effect.Effect<A, E | Rejection, R> => {
    if (options.key === "") return emptyKey
    return Effect.suspend(() => {
      let ticket: Breaker.Ticket | undefined
      return Effect.onExitPrimitive(
        Effect.suspend((): Effect.Effect<A, E | Rejection, R> => {
          const circuit = circuits.get(options.key)
          ticket = admitted(circuit)
          return ticket === undefined ? reject(circuit) : self
        }),
        (exit) => {
          if (ticket !== undefined) settleExit(ticket, exit as Exit.Exit<A, E>, options)
          return undefined
        }
      )
    })
  }

  const protectStream = <A, E, R>(
    self: Stream.Stream<A, E, R>,
    options: ProtectStreamOptions<A, E>
  ): Stream.Stream<A, E | Rejection, R> =>
    options.key === ""
      ? Stream.fromEffect(emptyKey)
      : Stream.fromChannel(
          Channel.fromTransform((upstream, scope) => {
            let ticket: Breaker.Ticket | undefined
            let contentMs: number | undefined
            const end = (outcome: Breaker.Outcome, hintMs: number): void => {
              if (ticket === undefined) return
              const nowMs = now()
              const tookMs = (byFirstToken ? (contentMs ?? nowMs) : nowMs) - ticket.startedMs
              settle(ticket, nowMs, outcome, timed && tookMs >= limitMs, hintMs)
              ticket = undefined
            }
            const onFailure = (cause: Cause.Cause<unknown>): void => {
              if (Pull.isDoneCause(cause)) return end("success", 0)
              const outcome = judgeCause(cause, (error) => options.classify?.(error as E) ?? classify?.(error))
              end(outcome, outcome === "failure" ? hintOf(cause) : 0)
            }
            const onContent = (ticket: Breaker.Ticket, elements: ReadonlyArray<A>): void => {
              if (ticket.role === "probe") Breaker.renew(machine, ticket, now())
              if (
                timed &&
                contentMs === undefined &&
                (options.isContent === undefined || elements.some(options.isContent))
              ) {
                contentMs = now()
              }
            }
            const onPull = (exit: Exit.Exit<ReadonlyArray<A>, unknown>): undefined => {
              if (exit._tag === "Failure") onFailure(exit.cause)
              else if (ticket !== undefined) onContent(ticket, exit.value)
              return undefined
            }
            const begin = Effect.suspend(() => {
              const circuit = circuits.get(options.key)
              ticket = admitted(circuit)
              return ticket === undefined
                ? reject(circuit)
                : Channel.toTransform(Stream.toChannel(self))(upstream, scope)
            })
            // A consumer that stops early says nothing about the target.
            return Effect.andThen(
              Scope.addFinalizer(
                scope,
                Effect.sync(() => end("ignored", 0))
              ),
              Effect.map(begin, (pull) => Effect.onExitPrimitive(pull, onPull))
            )
          })
        )

  const settler =
    (ticket: Breaker.Ticket): Settle =>
    (outcome: AttemptOutcome) => {
      if (outcome._tag === "interrupted" || outcome._tag === "unsent") return settle(ticket, now(), "ignored", false, 0)
      const measuredMs = byFirstToken ? (outcome.firstTokenMs ?? 0) : outcome.tookMs
      const slow = timed && measuredMs >= limitMs
      if (outcome._tag === "success") return settle(ticket, now(), "success", slow, 0)
      const verdict = judge(outcome.error, classify)
      const hint = outcome.error.retryAfter
      settle(ticket, now(), verdict, slow, hint === undefined ? 0 : Duration.toMillis(hint))
    }

  const admit: Admit = (call) =>
    call.target === ""
      ? emptyKey
      : Effect.suspend((): Effect.Effect<Settle, CircuitOpenError> => {
          const circuit = circuits.get(call.target)
          const ticket = admitted(circuit)
          return ticket === undefined ? reject(circuit, call) : Effect.succeed(settler(ticket))
        })

  const transitions: Stream.Stream<Transition> = Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.tap(Queue.sliding<Transition>(backlog), (queue) => Effect.sync(() => listeners.add(queue))),
        (queue) =>
          Effect.andThen(
            Effect.sync(() => listeners.delete(queue)),
            Queue.shutdown(queue)
          )
      ),
      Stream.fromQueue
    )
  )

  return { admit, circuits, emit, flush, hooks, machine, now, clock, protect, protectStream, transitions }
}
