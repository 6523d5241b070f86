/**
 * The compartments put to work: slots by key, waiting fibers, one timer for each queue.
 */
import type * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Admit, AttemptCall, Settle } from "../../domain/Attempt.ts"
import type { BulkheadRejected } from "../../domain/Event.ts"
import { BulkheadFullError, InvalidRequestError, withoutStack } from "../../errors/LLMError.ts"
import { Compartment } from "../../internal/compartment.ts"
import { emit } from "../../internal/emit.ts"
import type { Place } from "../../internal/fairQueue.ts"
import { rejection } from "../../internal/rejection.ts"
import { monotonicMs } from "../../internal/time.ts"
import type { Resolved } from "./Options.ts"

/** `InvalidRequestError` is for an empty key. */
export type Rejection = BulkheadFullError | InvalidRequestError

/** Interactive calls go before batch calls wherever both wait. */
export type Priority = "interactive" | "batch"

export interface ProtectOptions {
  /** What is bounded: a target, a host, a tool. Not empty. */
  readonly key: string
  /** Default `interactive`. */
  readonly priority?: Priority
  /** Whose call it is: partitions that wait are served in turn. Default: one for all. */
  readonly partition?: string
}

/** A key at a moment. */
export interface Snapshot {
  readonly key: string
  readonly limit: number
  /** Calls under way: more than `limit` for a while after that was lowered. */
  readonly active: number
  readonly queued: number
  /** Who waits: calls by partition. */
  readonly partitions: ReadonlyMap<string, number>
}

type Why = BulkheadRejected["reason"]
type AnyFiber = Fiber.Fiber<unknown, unknown>

/** One call's claim on a slot: nothing, a place in a queue, or a slot. Whoever holds a ticket gives it back. */
class Ticket {
  held: Line | undefined = undefined
  place: Place<Ticket> | undefined = undefined
  queue: Line | undefined = undefined
  fiber: AnyFiber | undefined = undefined
  call: AttemptCall | undefined = undefined
  /** Ends the wait: with an error, or with what was waited for. */
  resume: ((error?: BulkheadFullError) => void) | undefined = undefined
}

/** A key: its compartment, and the timer of its queue. */
class Line extends Compartment<Ticket> {
  timer: { readonly wakeMs: number; readonly fiber: Fiber.Fiber<void> } | undefined = undefined
}

/** No error: thrown and caught within one step. */
const lineIsFull = { _tag: "LineIsFull" }

const emptyKey = Effect.suspend(() =>
  Effect.fail(
    withoutStack(
      () => new InvalidRequestError({ message: "The key of a bulkhead must not be empty.", parameter: "key" })
    )
  )
)

const levelOf = (priority: Priority | undefined): number => (priority === "batch" ? 0 : 1)

const callFields = (call: AttemptCall | undefined) =>
  call === undefined ? undefined : { requestId: call.requestId, attempt: call.attempt }

const says: Record<Why, string> = {
  full: "and no more may wait",
  displaced: "and a call that goes before this one took its place in the full queue",
  timeout: "and none of them ended in the time there was to wait"
}

const rejected = (line: Line, why: Why, queued: number, waitedMs: number): BulkheadFullError =>
  rejection(BulkheadFullError, "BulkheadFullError", {
    message: `"${line.key}" has ${line.active} under way and ${queued} waiting, ${says[why]}.`,
    key: line.key,
    queued,
    waited: Duration.millis(waitedMs)
  })

/** Everything a bulkhead does, over one clock. */
export const makeEngine = (settings: Resolved, clock: Clock.Clock) => {
  const { limits, maxIdleKeys, maxQueue, maxWaitMs } = settings
  const lines = new Map<string, Line>()
  const byHand = new Map<string, number>()
  let limit = settings.limit
  const now = (): number => monotonicMs(clock)

  const limitOf = (key: string): number => byHand.get(key) ?? limits.get(key) ?? limit

  const lineOf = (key: string): Line => {
    let line = lines.get(key)
    if (line === undefined) lines.set(key, (line = new Line(key, limitOf(key), settings.queue)))
    return line
  }

  /** An idle key has nothing to remember; some are kept because making them anew costs more. */
  const retire = (line: Line): void => {
    if (line.idle && lines.size > maxIdleKeys) lines.delete(line.key)
  }

  // --- the timer of a queue ---

  const disarm = (line: Line): void => {
    const timer = line.timer
    line.timer = undefined
    timer?.fiber.interruptUnsafe()
  }

  /** One timer, for the first deadline. One that has become too early looks again when it wakes. */
  const arm = (line: Line, context: Context.Context<never>, nowMs: number): void => {
    const wakeMs = line.queue.nextDeadlineMs
    if (wakeMs === Infinity || (line.timer !== undefined && line.timer.wakeMs <= wakeMs)) return
    disarm(line)
    const sleep = clock.sleep(Duration.millis(Math.max(1, Math.ceil(wakeMs - nowMs))))
    const timer = { wakeMs, fiber: Effect.runForkWith(context)(sleep) }
    line.timer = timer
    timer.fiber.addObserver((slept) => {
      if (slept._tag === "Failure" || line.timer !== timer) return
      line.timer = undefined
      expire(line, context)
    })
    // Starting a fiber runs others, if the scheduler so decides: the queue may be empty again.
    if (line.queued === 0) disarm(line)
  }

  const expire = (line: Line, context: Context.Context<never>): void => {
    const nowMs = now()
    for (let late = line.queue.removeExpired(nowMs); late !== undefined; late = line.queue.removeExpired(nowMs)) {
      turnAway(line, late, "timeout", nowMs)
    }
    if (line.queued > 0) arm(line, context, nowMs)
    else retire(line)
  }

  // --- what becomes of those who wait ---

  /**
   * Resumed fibers run at once and may come back here: they are resumed from the scheduler, when everything is at
   * rest, or a row of short calls would nest without end.
   */
  const deliver = (ticket: Ticket, tell: () => void, error?: BulkheadFullError): void => {
    ticket.place = ticket.queue = undefined
    ticket.fiber!.currentDispatcher.scheduleTask(() => {
      // It may have been interrupted, and have given everything back, in the meantime.
      const { resume } = ticket
      if (resume === undefined) return
      tell()
      resume(error)
    }, 0)
  }

  const turnAway = (line: Line, place: Place<Ticket>, reason: Why, nowMs: number): void => {
    const ticket = place.value
    const waitedMs = nowMs - place.sinceMs
    const { queued } = line
    const tell = () => tellRejected(ticket.fiber!, line, reason, queued, waitedMs, ticket.call)
    deliver(ticket, tell, rejected(line, reason, queued, waitedMs))
  }

  const tellRejected = (
    fiber: AnyFiber,
    { key }: Line,
    reason: Why,
    queued: number,
    waitedMs: number,
    call: AttemptCall | undefined
  ): void => emit(fiber, () => ({ type: "bulkhead-rejected", key, reason, queued, waitedMs, ...callFields(call) }))

  /** Hands free slots to those who wait for them. */
  const grant = (line: Line): void => {
    if (line.queued === 0) return
    const nowMs = now()
    for (let place = line.grant(nowMs); place !== undefined; place = line.grant(nowMs)) {
      const ticket = place.value
      const waitedMs = nowMs - place.sinceMs
      ticket.held = line
      deliver(ticket, () =>
        emit(ticket.fiber!, () => ({ type: "bulkhead-waited", key: line.key, waitedMs, ...callFields(ticket.call) }))
      )
    }
    if (line.queued === 0) disarm(line)
  }

  /** Gives back what a ticket holds, be it a slot or a place in the queue. Doing it again does nothing. */
  const giveBack = (ticket: Ticket): void => {
    const { held, place } = ticket
    ticket.resume = undefined
    if (held !== undefined) {
      ticket.held = undefined
      held.leave()
      grant(held)
      retire(held)
    } else if (place !== undefined) {
      const line = ticket.queue!
      ticket.place = ticket.queue = undefined
      line.queue.remove(place)
      if (line.queued === 0) {
        disarm(line)
        retire(line)
      }
    }
  }

  // --- coming in ---

  const enter = (ticket: Ticket, key: string): boolean => {
    const line = lineOf(key)
    if (!line.enter()) return false
    ticket.held = line
    return true
  }

  const reject = (fiber: AnyFiber, line: Line, reason: Why, call: AttemptCall | undefined) => {
    const { queued } = line
    tellRejected(fiber, line, reason, queued, 0, call)
    return Effect.fail(rejected(line, reason, queued, 0))
  }

  /**
   * Joins the queue in one step with a last look at the slots (there is one: `again`), and waits there, interruptibly
   * wherever it is used. An interruption gives back what it has got.
   */
  const wait = <A>(
    ticket: Ticket,
    key: string,
    options: { readonly priority: number; readonly partition: string; readonly deadlineMs: number },
    granted: Effect.Effect<A>,
    again: Effect.Effect<A, BulkheadFullError>
  ): Effect.Effect<A, BulkheadFullError> =>
    Effect.interruptible(
      Effect.callback<A, BulkheadFullError>((resume) => {
        const fiber = Fiber.getCurrent()!
        const line = lineOf(key)
        if (line.active < line.limit) return resume(again)
        const nowMs = now()
        const deadlineMs = Math.min(nowMs + maxWaitMs, options.deadlineMs)
        if (deadlineMs <= nowMs) {
          return resume(reject(fiber, line, options.deadlineMs <= nowMs ? "timeout" : "full", ticket.call))
        }
        if (line.queued >= maxQueue) {
          const victim = maxQueue === 0 ? undefined : line.queue.givesWay(options.priority, options.partition)
          if (victim === undefined) return resume(reject(fiber, line, "full", ticket.call))
          turnAwayFor(line, victim, nowMs)
        }
        ticket.fiber = fiber
        ticket.resume = (error) => resume(error === undefined ? granted : Exit.fail(error))
        ticket.queue = line
        ticket.place = line.queue.push(ticket, { ...options, deadlineMs, sinceMs: nowMs })
        arm(line, fiber.context, nowMs)
        const { queued } = line
        emit(fiber, () => ({ type: "bulkhead-queued", key, queued, ...callFields(ticket.call) }))
        return Effect.sync(() => giveBack(ticket))
      })
    )

  const turnAwayFor = (line: Line, victim: Place<Ticket>, nowMs: number): void => {
    turnAway(line, victim, "displaced", nowMs)
    line.queue.remove(victim)
  }

  /** For those whose finalizer gives the ticket back. */
  const enterLater = (ticket: Ticket, options: ProtectOptions): Effect.Effect<void, BulkheadFullError> => {
    const { key, partition = "" } = options
    const queueing = { priority: levelOf(options.priority), partition, deadlineMs: Infinity }
    const again: Effect.Effect<void, BulkheadFullError> = Effect.suspend(() =>
      enter(ticket, key) ? Effect.void : wait(ticket, key, queueing, Effect.void, again)
    )
    return wait(ticket, key, queueing, Effect.void, again)
  }

  /** The finalizer stands before the slot is asked for, so that no interruption can come between the two. */
  const protect = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: ProtectOptions
  ): Effect.Effect<A, E | Rejection, R> => {
    const { key } = options
    if (key === "") return emptyKey
    return Effect.suspend(() => {
      const ticket = new Ticket()
      return Effect.onExitPrimitive(
        Effect.suspend((): Effect.Effect<A, E | Rejection, R> =>
          enter(ticket, key) ? self : Effect.andThen(enterLater(ticket, options), self)
        ),
        () => {
          giveBack(ticket)
          return undefined
        }
      )
    })
  }

  const protectStream = <A, E, R>(
    self: Stream.Stream<A, E, R>,
    options: ProtectOptions
  ): Stream.Stream<A, E | Rejection, R> => {
    const { key } = options
    if (key === "") return Stream.fromEffect(emptyKey)
    return Stream.fromChannel(
      Channel.fromTransform((upstream, scope) => {
        const ticket = new Ticket()
        const release = (): undefined => giveBack(ticket) as undefined
        const open = Effect.suspend(() => Channel.toTransform(Stream.toChannel(self))(upstream, scope))
        const begin = Effect.suspend(() =>
          enter(ticket, key) ? open : Effect.andThen(enterLater(ticket, options), open)
        )
        return Effect.andThen(
          Scope.addFinalizer(scope, Effect.sync(release)),
          // The end of the stream gives the slot back at once, however long the scope around it lives on.
          Effect.map(begin, (pull) =>
            Effect.onExitPrimitive(pull, (exit) => (exit._tag === "Failure" ? release() : undefined))
          )
        )
      })
    )
  }

  /**
   * From taking a slot to the caller's hands there must be no point at which an interruption could come between and
   * lose it. A value of `sync` and one that ends a callback are handed on in the step that makes them; anything after
   * that (`suspend`, `map`, a finalizer) would be such a point. So a full line is told by throwing.
   */
  const admit: Admit = (call) => {
    if (call.target === "") return emptyKey
    let isFull = false
    const enterNow = Effect.sync((): Settle => {
      const ticket = new Ticket()
      isFull = !enter(ticket, call.target)
      if (isFull) throw lineIsFull
      return () => giveBack(ticket)
    })
    const waitInstead = (cause: Cause.Cause<never>): Effect.Effect<Settle, BulkheadFullError> => {
      if (!isFull) return Effect.failCause(cause)
      const ticket = new Ticket()
      ticket.call = call
      const priority = levelOf(call.context.priority)
      const partition = settings.partition(call)
      const options = { priority, partition, deadlineMs: call.deadlineMs }
      const settle: Settle = () => giveBack(ticket)
      return wait(ticket, call.target, options, Effect.succeed(settle), answer)
    }
    const answer: Effect.Effect<Settle, BulkheadFullError> = Effect.catchCause(enterNow, waitInstead)
    return answer
  }

  // --- looking and changing ---

  const snapshot = (key: string): Snapshot => {
    const line = lines.get(key)
    return {
      key,
      limit: limitOf(key),
      active: line?.active ?? 0,
      queued: line?.queued ?? 0,
      partitions: line === undefined || line.queued === 0 ? new Map<string, number>() : line.queue.partitions()
    }
  }

  const resize = (to: number, key: string | undefined): void => {
    if (key === undefined) limit = to
    else byHand.set(key, to)
    for (const line of key === undefined ? lines.values() : [lines.get(key)]) {
      if (line === undefined) continue
      line.limit = limitOf(line.key)
      grant(line)
    }
  }

  return { admit, protect, protectStream, resize, snapshot, keys: () => Array.from(lines.keys()) }
}
