/**
 * Parts that outlive a reload: what is made under a key is made once, and lent to every engine that asks for the same
 * key, until the last of them is closed. So a reload that changes nothing of a part loses nothing of what it knows.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

interface Entry {
  readonly value: unknown
  readonly scope: Scope.Closeable
  users: number
}

/** A shelf of parts. Engines are built one after another: two that make the same part at once would make it twice. */
export interface Kept {
  readonly keep: <A, E>(key: string, make: Effect.Effect<A, E, Scope.Scope>) => Effect.Effect<A, E, Scope.Scope>
}

/** An empty shelf. */
export const make = (): Kept => {
  const entries = new Map<string, Entry>()
  const release = (key: string, entry: Entry, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (--entry.users > 0) return Effect.void
      entries.delete(key)
      return Scope.close(entry.scope, exit)
    })
  return {
    keep: <A, E>(key: string, made: Effect.Effect<A, E, Scope.Scope>) =>
      Effect.acquireRelease(
        Effect.suspend((): Effect.Effect<Entry, E> => {
          const known = entries.get(key)
          if (known !== undefined) {
            known.users++
            return Effect.succeed(known)
          }
          return Effect.flatMap(Scope.make(), (scope) =>
            made.pipe(
              Scope.provide(scope),
              Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
              Effect.map((value) => {
                const entry: Entry = { value, scope, users: 1 }
                entries.set(key, entry)
                return entry
              })
            )
          )
        }),
        (entry, exit) => release(key, entry, exit)
      ).pipe(Effect.map(({ value }) => value as A))
  }
}

/** A part of a key: the same for the same options, whatever the order of their fields. */
export const keyOf = (name: string, options: unknown): string =>
  `${name} ${JSON.stringify(options, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value
  )}`
