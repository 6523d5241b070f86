/**
 * A hedged stream: attempts are raced to their first content; then there is only the winner's stream.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { HedgeService } from "../Hedge.ts"
import { type Loser, race } from "./Race.ts"

export interface StreamOptions<A, E> {
  readonly key: string
  /** Whether an element is content: the first one commits its attempt. Default: every element is. */
  readonly isContent?: (element: A) => boolean
  readonly allow?: () => boolean
  readonly again?: (error: NoInfer<E>) => boolean
  /** Called when a loser is gone, so that it can be billed. */
  readonly onLoser?: (loser: Omit<Loser<unknown, unknown>, "exit">) => void
}

type Parts<A> = readonly [A, ...Array<A>]

/** An attempt that has committed. */
interface Committed<A, E, R> {
  readonly prefix: Array<A>
  /** The rest; `undefined` when it has ended already. */
  readonly rest: Pull.Pull<Parts<A>, E, void, R> | undefined
  readonly scope: Scope.Closeable
}

const isParts = <A>(elements: Array<A>): elements is [A, ...Array<A>] => elements.length > 0

export const hedgedStream = <A, E, R>(
  hedge: HedgeService,
  make: (attempt: number) => Stream.Stream<A, E, R>,
  options: StreamOptions<A, E>
): Stream.Stream<A, E, R> =>
  Stream.fromChannel(
    Channel.fromTransform<Parts<A>, E, void, unknown, unknown, unknown, never, R, never>((upstream, scope) => {
      const isContent = options.isContent ?? (() => true)
      const open = new Set<Scope.Closeable>()
      const close = (attempt: Scope.Closeable, exit: Exit.Exit<unknown, unknown>) =>
        Effect.suspend(() => {
          open.delete(attempt)
          return Scope.close(attempt, exit)
        })

      /** Pulls up to the first content. An attempt that ends without one has nothing more to wait for: it commits too. */
      const commit = (
        attempt: Scope.Closeable,
        pull: Pull.Pull<Parts<A>, E, void, R>
      ): Effect.Effect<Committed<A, E, R>, E, R> => {
        const prefix: Array<A> = []
        const step: Effect.Effect<Committed<A, E, R>, E, R> = Pull.matchEffect(pull, {
          onSuccess: (parts) => {
            for (const part of parts) prefix.push(part)
            return parts.some(isContent) ? Effect.succeed({ prefix, rest: pull, scope: attempt }) : step
          },
          onDone: () => Effect.succeed({ prefix, rest: undefined, scope: attempt }),
          onFailure: (cause) => Effect.failCause(cause)
        })
        return step
      }

      const attempt = (n: number): Effect.Effect<Committed<A, E, R>, E, R> =>
        Effect.suspend(() => {
          const own = Scope.makeUnsafe()
          open.add(own)
          const begin = Channel.toTransform(Stream.toChannel(make(n)))(
            upstream as Pull.Pull<unknown, unknown, unknown>,
            own
          )
          return Effect.onExit(
            Effect.flatMap(begin, (pull) => commit(own, pull as Pull.Pull<Parts<A>, E, void, R>)),
            (exit) => (exit._tag === "Failure" ? close(own, exit) : Effect.void)
          )
        })

      let winner: Committed<A, E, R> | undefined
      const first: Pull.Pull<Parts<A>, E, void, R> = Effect.flatMap(
        race(
          hedge,
          attempt,
          {
            key: options.key,
            allow: options.allow,
            again: options.again,
            onLoser: ({ attempt, tookMs }) => options.onLoser?.({ attempt, tookMs })
          },
          (late) => close(late.scope, Exit.void)
        ),
        (committed) => {
          winner = committed
          return isParts(committed.prefix) ? Effect.succeed(committed.prefix) : Cause.done()
        }
      )
      const next = Effect.suspend((): Pull.Pull<Parts<A>, E, void, R> =>
        winner === undefined ? first : (winner.rest ?? Cause.done())
      )
      const closeAll = (exit: Exit.Exit<unknown, unknown>) =>
        Effect.forEach(Array.from(open), (each) => close(each, exit), { discard: true })
      return Effect.as(Scope.addFinalizerExit(scope, closeAll), next)
    })
  ) as Stream.Stream<A, E, R>
