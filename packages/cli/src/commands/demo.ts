/** `breakwater demo`: prompts against a provider that fails, with and without Breakwater. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Prompts from "../demo/Prompts.ts"
import * as Report from "../demo/Report.ts"
import { play, playAllBare, type Watcher } from "../demo/Run.ts"
import * as Stage from "../demo/Stage.ts"
import { opening, watcher } from "../demo/Transcript.ts"
import { Ended, reportCause } from "../Failure.ts"
import { type Channel, stderr, stdout } from "../Terminal.ts"
import { jsonLine } from "../render/Style.ts"

interface Input {
  readonly prompts: Option.Option<string>
  readonly json: boolean
}

const silent: Watcher = { begins: () => {}, text: () => {}, event: () => {}, ends: () => {} }

const nowMs = Effect.map(Clock.Clock, (clock) => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)

/** How long a word takes: to be read while it streams, where somebody reads. */
const wordDelayMs = (out: Channel, json: boolean): number => (json || !out.isTerminal ? 2 : 15)

const perform = (input: Input, out: Channel) =>
  Effect.gen(function* () {
    const prompts = yield* Prompts.load(Option.getOrUndefined(input.prompts))
    const baseUrl = Option.getOrUndefined(yield* Config.option(Config.NonEmptyString("LLM_BASE_URL")))
    const stage = yield* Stage.choose(wordDelayMs(out, input.json), baseUrl)
    if (!input.json) out.write(opening(stage, prompts.length, out))
    const started = yield* nowMs
    // The bare calls go to upstreams of their own, beside the play, and take none of its time.
    const bare = stage.bare === undefined ? undefined : yield* Effect.forkScoped(playAllBare(stage, prompts))
    const shown = input.json ? silent : watcher(stage, prompts.length, out)
    const played = yield* Effect.forEach(prompts, (prompt, index) => play(stage, index, prompt, shown))
    const tookMs = (yield* nowMs) - started
    return { stage, played, tookMs, bare: bare === undefined ? undefined : yield* Fiber.join(bare) }
  })

const run = (input: Input): Effect.Effect<void, Ended, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const out = stdout()
    const exit = yield* Effect.exit(Effect.scoped(perform(input, out)))
    if (Exit.isFailure(exit)) {
      const error = reportCause(exit.cause)
      if (error === undefined) return yield* Effect.interrupt
      if (input.json) out.write(jsonLine({ error }))
      else stderr().write(`${stderr().style.red("error")} ${error.tag}: ${error.message}\n`)
      return yield* Effect.fail(new Ended({ code: 1 }))
    }
    const result = exit.value
    out.write(input.json ? jsonLine(Report.json(result)) : Report.summary(result, out.style))
    if (result.played.some((each) => !each.answered)) return yield* Effect.fail(new Ended({ code: 1 }))
  })

export const demo = Command.make(
  "demo",
  {
    prompts: Flag.String("prompts").pipe(
      Flag.withMetavar("file"),
      Flag.withDescription("A file of prompts, one a line (default: examples/prompts.txt)"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print one JSON object, and nothing else"),
      Flag.withDefault(false)
    )
  },
  run
).pipe(
  Command.withDescription(
    "Send prompts through a provider that fails in a different way each time, show attempt by attempt what is done " +
      "about it, and compare with the same prompts sent without Breakwater. Needs no key: a server in this process " +
      "misbehaves over real HTTP. With a key (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …) or LLM_BASE_URL in the " +
      "environment it talks to that provider instead. The exit code is 0 if every prompt was answered."
  ),
  Command.withShortDescription("See what goes wrong with providers, and what is done about it"),
  Command.withExamples([
    { command: "breakwater demo", description: "Half a minute, no key needed" },
    { command: "breakwater demo --prompts my-prompts.txt --json", description: "One's own prompts, for a program" }
  ])
)
