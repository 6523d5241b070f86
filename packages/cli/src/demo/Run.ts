/** Runs the prompts: through the service, one after the other, and beside it through a client without policies. */
import { type Call, type Event, Events } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { type Report, report } from "../Failure.ts"
import type { Stage } from "./Stage.ts"

/** How one prompt went with Breakwater. */
export interface Played {
  readonly prompt: string
  readonly fault: string | undefined
  readonly text: string
  readonly answered: boolean
  readonly target: string | undefined
  readonly attempts: ReadonlyArray<Call.AttemptRecord>
  readonly tookMs: number
  /** Failed attempts and waits. */
  readonly lostMs: number
  readonly error?: Report
}

/** How the same prompt went without it. */
export interface BarePlayed {
  readonly fault: string
  readonly answered: boolean
  readonly tookMs: number
  readonly error?: Report
}

/** Told of everything as it happens. */
export interface Watcher {
  readonly begins: (index: number, prompt: string) => void
  readonly text: (delta: string) => void
  readonly event: (event: Event.PolicyEvent) => void
  readonly ends: (played: Played) => void
}

const nowMs = Effect.map(Clock.Clock, (clock) => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)

/** How long the client without policies waits before its user gives up. */
const patienceMs = 8_000

const lostIn = (attempts: ReadonlyArray<Call.AttemptRecord>): number =>
  attempts.reduce((sum, each) => sum + each.waitedMs + (each.outcome === "failure" ? each.tookMs : 0), 0)

const errorOf = (exit: Exit.Exit<unknown, unknown>): { readonly error?: Report } =>
  Exit.isSuccess(exit) ? {} : { error: report(Cause.squash(exit.cause)) }

/** One prompt through the service. */
export const play = (stage: Stage, index: number, prompt: string, watcher: Watcher): Effect.Effect<Played> =>
  Effect.gen(function* () {
    const { fallbacks, model, scene } = stage.callFor(index)
    let text = ""
    let target: string | undefined
    let attempts: ReadonlyArray<Call.AttemptRecord> = []
    yield* stage.reset
    watcher.begins(index, prompt)
    const started = yield* nowMs
    const parts = stage.llm.stream({
      prompt,
      ...(model === undefined ? {} : { model }),
      ...(fallbacks === undefined ? {} : { fallbacks })
    })
    const exit = yield* Stream.runForEach(parts, (part) =>
      Effect.sync(() => {
        if (part.type === "text-delta") {
          text += part.delta
          watcher.text(part.delta)
        } else if (part.type === "finish") target = part.target
      })
    ).pipe(
      Events.listen((event) => {
        if (event.type === "request-finished") attempts = event.attempts
        watcher.event(event)
      }),
      Effect.exit
    )
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
    const played: Played = {
      prompt,
      fault: scene?.model,
      text,
      answered: Exit.isSuccess(exit),
      target,
      attempts,
      tookMs: (yield* nowMs) - started,
      lostMs: lostIn(attempts),
      ...errorOf(exit)
    }
    watcher.ends(played)
    return played
  })

class GaveUp extends Data.TaggedError("GaveUp")<{ readonly message: string }> {}

const gaveUp = () => Effect.fail(new GaveUp({ message: "nothing had ended when the user gave up" }))

/** One prompt through the bare provider: one call, and no limit but the patience of its user. */
const playBare = (stage: Stage, index: number, prompt: string): Effect.Effect<BarePlayed> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { model, provider } = yield* stage.bare!(index)
      const started = yield* nowMs
      const request = { model, messages: [{ role: "user" as const, content: prompt }] }
      const exit = yield* Stream.runDrain(provider.stream(request)).pipe(
        Effect.timeoutOrElse({ duration: patienceMs, orElse: gaveUp }),
        Effect.exit
      )
      return {
        fault: model,
        answered: Exit.isSuccess(exit),
        tookMs: (yield* nowMs) - started,
        ...errorOf(exit)
      }
    })
  ).pipe(Effect.orDie)

/** All prompts without Breakwater, four at a time. */
export const playAllBare = (stage: Stage, prompts: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<BarePlayed>> =>
  Effect.forEach(prompts, (prompt, index) => playBare(stage, index, prompt), { concurrency: 4 })
