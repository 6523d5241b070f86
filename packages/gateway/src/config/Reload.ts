/**
 * Engines that replace each other without dropping a request: each answers the requests it has begun, and is closed
 * after the last of them. Parts that a new configuration does not change go over with all they know. A configuration that
 * cannot be built changes nothing.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { watch } from "node:fs"
import { stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import type { EngineSource } from "../Server.ts"
import { build, type Engine } from "./Build.ts"
import { type Kept, make as makeKept } from "./build/Kept.ts"
import { ConfigurationError } from "./Load.ts"
import type { GatewayConfig } from "./Schema.ts"

interface Slot {
  readonly engine: Engine
  readonly scope: Scope.Closeable
  users: number
  retired: boolean
}

/** The engines of a gateway. */
export interface Engines extends EngineSource {
  /** Puts a configuration in force. On failure the old one stays. */
  readonly replace: (config: GatewayConfig) => Effect.Effect<void, ConfigurationError>
}

/** What breakers of the same route knew goes over: a reload must not open the gates to a target that is down. */
const carryOver = (from: Engine, to: Engine): Effect.Effect<void> =>
  Effect.forEach(
    from.breakers,
    ([route, breaker]) => {
      const next = to.breakers.get(route)
      return next === undefined || next === breaker ? Effect.void : Effect.flatMap(breaker.save, next.restore)
    },
    { discard: true }
  )

const unbuilt = "configuration: it could not be built"

const open = (config: GatewayConfig, kept: Kept): Effect.Effect<Slot, ConfigurationError> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const engine = yield* build(config, kept).pipe(
      Scope.provide(scope),
      // What nobody thought of must not end the one who follows the file.
      Effect.catchDefect(() => Effect.fail(new ConfigurationError({ message: unbuilt, issues: [unbuilt] }))),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
    return { engine, scope, users: 0, retired: false }
  })

/** Builds the first engine; the scope closes all of them. */
export const make = (config: GatewayConfig): Effect.Effect<Engines, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const slots = new Map<Engine, Slot>()
    const run = yield* FiberSet.makeRuntime()
    const kept = makeKept()
    const turns = yield* Semaphore.make(1)
    let current = yield* open(config, kept)
    slots.set(current.engine, current)
    yield* Effect.addFinalizer((exit) =>
      Effect.forEach([...slots.values()], (slot) => Scope.close(slot.scope, exit), { discard: true })
    )
    const close = (slot: Slot): void => {
      slots.delete(slot.engine)
      run(Scope.close(slot.scope, Exit.void))
    }
    return {
      current: () => current.engine,
      acquire: () => {
        current.users++
        return current.engine
      },
      release: (engine) => {
        const slot = slots.get(engine)
        if (slot === undefined) return
        slot.users--
        if (slot.retired && slot.users === 0) close(slot)
      },
      replace: (next) =>
        Effect.uninterruptible(
          Effect.gen(function* () {
            const slot = yield* open(next, kept)
            yield* carryOver(current.engine, slot.engine)
            const old = current
            slots.set(slot.engine, slot)
            current = slot
            old.retired = true
            if (old.users === 0) close(old)
          })
        ).pipe(turns.withPermits(1))
    }
  })

/** How long a file must be quiet before it is read: editors write in several steps. */
const settle = "100 millis"
/** How often files are looked at that nobody tells of: behind a link, on a network, in a folder that was replaced. */
const look = "2 seconds"

/** What tells a file from what it was: links are followed, so that one that points elsewhere is another file. */
const stampOf = (file: string): Effect.Effect<string> =>
  Effect.promise(() =>
    stat(file, { bigint: true }).then(
      ({ dev, ino, mtimeNs, size }) => `${file} ${dev} ${ino} ${mtimeNs} ${size}`,
      () => `${file} is not there`
    )
  )

const stampsOf = (files: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.map(Effect.forEach(files, stampOf), (stamps) => stamps.join("\n"))

const watchFolder = (folder: string, notify: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      try {
        // Everything in it and not the file alone: what is replaced, or stands behind a link, goes by other names.
        return watch(folder, notify).on("error", () => {})
      } catch {
        return undefined
      }
    }),
    (watcher) => Effect.sync(() => watcher?.close())
  )

/** Runs an effect whenever one of the files becomes another, or on `SIGHUP`, until the scope ends. */
export const onChange = (
  files: () => ReadonlyArray<string>,
  reload: Effect.Effect<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const changes = yield* Queue.sliding<void>(1)
    const notify = () => void Queue.offerUnsafe(changes, undefined)
    let asked = false
    const hangUp = () => {
      asked = true
      notify()
    }
    for (const folder of new Set(files().map((file) => dirname(resolve(file))))) yield* watchFolder(folder, notify)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("SIGHUP", hangUp)),
      () => Effect.sync(() => process.off("SIGHUP", hangUp))
    )
    let known = yield* stampsOf(files())
    const turn = Effect.gen(function* () {
      yield* Effect.timeoutOrElse(Queue.take(changes), { duration: look, orElse: () => Effect.void })
      if (!asked && (yield* stampsOf(files())) === known) return
      yield* Effect.sleep(settle)
      yield* Queue.clear(changes)
      asked = false
      known = yield* stampsOf(files())
      yield* reload
      // The new configuration may name other files: they are as they were read.
      if (known.split("\n").length !== files().length) known = yield* stampsOf(files())
    })
    yield* Effect.forkScoped(Effect.forever(turn))
  })
