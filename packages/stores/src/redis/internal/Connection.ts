/**
 * One connection to Redis that never makes anybody wait for long.
 *
 * A command that cannot be sent now fails now, and one that is not answered within the wait fails then. The
 * connection is made again in the background, with growing pauses; one that has gone silent is given up. Commands
 * are never queued while there is no connection, nor sent twice.
 */
import { LLMError } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { createClient, type RedisClientOptions } from "redis"
import { Deadlines } from "./Deadlines.ts"

export type Client = ReturnType<typeof createClient>

/** What is left to the client: where the server is, and how it knows us. */
export type ClientOptions = Pick<
  RedisClientOptions,
  "url" | "username" | "password" | "credentialsProvider" | "name" | "database" | "socket"
>

/** Checked settings of a connection. */
export interface Settings {
  readonly client: ClientOptions
  /** How long a command may take. */
  readonly waitMs: number
  /** How long it may take to connect. */
  readonly connectMs: number
  /** How often an idle subscription is checked. */
  readonly heartbeatMs: number
}

export interface Connection {
  readonly settings: Settings
  /**
   * Sends something and waits for the answer, or fails. `late` gets an answer that came when nobody waited for it
   * any more, and the client it came from.
   */
  readonly run: <A>(
    operation: string,
    send: (client: Client) => Promise<A>,
    late?: (answer: A, client: Client) => void
  ) => Effect.Effect<A, LLMError.StoreError>
}

/** The only name of this kind of store in errors and events. */
export const storeName = "redis"

const firstPauseMs = 50
const longestPauseMs = 2_000

export const storeError = (operation: string, message: string, cause?: unknown): LLMError.StoreError =>
  LLMError.withoutStack(
    () =>
      new LLMError.StoreError({
        message,
        store: storeName,
        operation,
        ...(cause === undefined ? undefined : { cause })
      })
  )

const messageOf = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.errors.length > 0) return messageOf(cause.errors[0])
  return cause instanceof Error && cause.message !== "" ? cause.message : String(cause)
}

const failed = (operation: string, cause: unknown): LLMError.StoreError =>
  storeError(operation, `Redis: ${messageOf(cause)}`, cause)

const quiet = (client: Client): void => {
  try {
    client.destroy()
  } catch {
    // It was gone already.
  }
}

const createOne = (settings: Settings): Client =>
  createClient({
    ...settings.client,
    disableOfflineQueue: true,
    // The client's own limit only concerns what it has not written yet, and costs a signal for each command.
    commandOptions: { timeout: 0 },
    socket: {
      ...settings.client.socket,
      connectTimeout: settings.connectMs,
      // A client that has lost its connection is not used again: its owner makes another one.
      reconnectStrategy: false
    }
  })

/**
 * A client with a connection of its own, which goes with the scope. `onLost` is told when the connection breaks.
 * Fails when there is none in time.
 */
export const session = (
  settings: Settings,
  operation: string,
  onLost: (error: LLMError.StoreError) => void
): Effect.Effect<Client, LLMError.StoreError, Scope.Scope> => {
  const connect = Effect.callback<Client, LLMError.StoreError>((resume) => {
    const client = createOne(settings)
    let connected = false
    client.on("error", (cause) => {
      if (connected) onLost(failed(operation, cause))
    })
    client.once("ready", () => {
      connected = true
    })
    const connecting = client.connect().then(
      () => resume(Effect.succeed(client)),
      (cause) => resume(Effect.fail(failed(operation, cause)))
    )
    // A socket that is still on its way cannot be destroyed yet, so it is also destroyed when it arrives.
    return Effect.sync(() => {
      quiet(client)
      void connecting.then(() => quiet(client))
    })
  })
  const bounded = Effect.timeoutOrElse(connect, {
    duration: settings.connectMs,
    orElse: () => Effect.fail(storeError(operation, `Redis: no connection within ${settings.connectMs} ms`))
  })
  return Effect.acquireRelease(bounded, (client) => Effect.sync(() => quiet(client)), { interruptible: true })
}

/** What is known of the connection at this moment. */
class Line {
  client: Client | undefined
  error = storeError("connect", "Redis: not connected yet")
  /** Commands on their way, and since when none of them was answered. */
  private pending = 0
  private silentSinceNanos = 0n
  private lose: ((error: LLMError.StoreError) => void) | undefined

  open(client: Client, lose: (error: LLMError.StoreError) => void): void {
    this.pending = 0
    this.lose = lose
    this.client = client
  }

  close(error: LLMError.StoreError): void {
    this.client = undefined
    this.lose = undefined
    this.error = error
  }

  sent(nowNanos: bigint): void {
    if (this.pending++ === 0) this.silentSinceNanos = nowNanos
  }

  answered(nowNanos: bigint): void {
    if (this.pending > 0) this.pending--
    this.silentSinceNanos = nowNanos
  }

  /** A command was not answered in time: after ten waits of silence the connection is given up. */
  overdue(client: Client, nowNanos: bigint, waitMs: number): void {
    const silentMs = Number(nowNanos - this.silentSinceNanos) / 1e6
    if (this.client === client && this.pending > 0 && silentMs > waitMs * 10) {
      this.lose?.(storeError("connect", `Redis: no answer for ${Math.round(silentMs)} ms`))
    }
  }
}

const send = <A>(
  line: Line,
  deadlines: Deadlines,
  operation: string,
  command: (client: Client) => Promise<A>,
  late: ((answer: A, client: Client) => void) | undefined
): Effect.Effect<A, LLMError.StoreError> =>
  Effect.callback<A, LLMError.StoreError>((resume) => {
    const client = line.client
    if (client === undefined) return resume(Effect.fail(storeError(operation, line.error.message)))
    const deadline = deadlines.add((nowNanos) => {
      line.overdue(client, nowNanos, deadlines.waitMs)
      resume(Effect.fail(storeError(operation, `Redis: no answer within ${deadlines.waitMs} ms`)))
    })
    line.sent(deadlines.now())
    command(client).then(
      (value) => {
        if (line.client === client) line.answered(deadlines.now())
        if (!deadline.waiting) return late?.(value, client)
        deadline.waiting = false
        resume(Effect.succeed(value))
      },
      (cause) => {
        if (line.client === client) line.answered(deadlines.now())
        deadline.waiting = false
        resume(Effect.fail(failed(operation, cause)))
      }
    )
    return Effect.sync(() => {
      deadline.waiting = false
    })
  })

/**
 * A connection for as long as the scope lasts. Answers when the first attempt to connect has ended, however it
 * ended: a server that is away now may come later.
 */
export const make = (settings: Settings): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    // Many processes that lost the same server do not come back in step.
    const spread = 0.5 + (yield* Random.next)
    const line = new Line()
    const deadlines = new Deadlines(settings.waitMs, clock, Effect.runForkWith(yield* Effect.context<never>()))
    yield* Effect.addFinalizer(() => Effect.sync(() => deadlines.close()))
    const tried = Deferred.makeUnsafe<void>()
    const one = (connected: () => void) =>
      Effect.scoped(
        Effect.gen(function* () {
          const lost = Deferred.makeUnsafe<never, LLMError.StoreError>()
          const lose = (error: LLMError.StoreError) => {
            line.close(error)
            Deferred.doneUnsafe(lost, Effect.fail(error))
          }
          const client = yield* session(settings, "connect", lose)
          line.open(client, lose)
          connected()
          yield* Effect.addFinalizer((exit) =>
            Effect.sync(() => line.close(Exit.isFailure(exit) ? line.error : storeError("connect", "Redis: closed")))
          )
          yield* Deferred.await(lost)
        })
      )
    const forEver = (pauseMs: number): Effect.Effect<never> =>
      Effect.suspend(() => {
        let next = Math.min(longestPauseMs, pauseMs * 2)
        const connected = () => {
          next = firstPauseMs
          Deferred.doneUnsafe(tried, Effect.void)
        }
        return Effect.catch(one(connected), (error) =>
          Effect.sync(() => {
            line.close(error)
            Deferred.doneUnsafe(tried, Effect.void)
          })
        ).pipe(Effect.andThen(Effect.sleep(pauseMs * spread)), Effect.andThen(Effect.suspend(() => forEver(next))))
      })
    yield* Effect.forkScoped(forEver(firstPauseMs))
    yield* Deferred.await(tried)
    return {
      settings,
      run: (operation, command, late) => send(line, deadlines, operation, command, late)
    }
  })
