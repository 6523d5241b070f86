/** `breakwater plan`: the worst a call can cost, before it is made. */
import { type Call, LLM, LLMError, LLMProvider } from "@breakwater/core"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Ended, reportCause } from "../Failure.ts"
import { jsonLine, type Style } from "../render/Style.ts"
import { table } from "../render/Table.ts"
import { time } from "../render/Time.ts"
import { flags, type Given, load, withFlags } from "../Settings.ts"
import { stderr, stdout } from "../Terminal.ts"

/** A provider that has a name, and is never asked. */
const nameOnly = (name: string): LLMProvider.Provider => {
  const refuse = Effect.fail(new LLMError.InvalidRequestError({ message: "a plan sends nothing" }))
  return {
    name,
    capabilities: () => ({}),
    generate: () => refuse,
    stream: () => Stream.fromEffect(refuse),
    embed: () => refuse
  }
}

const describe = (given: Given) =>
  Effect.gen(function* () {
    const { options, preset, settings } = yield* load({ defaultProvider: "provider" })
    const targets = settings.targets.length === 0 ? [`${settings.provider}/model`] : settings.targets
    const providers = LLMProvider.layerOf(...settings.providers.map(nameOnly))
    const layer = LLM.layer({ ...options, targets }).pipe(Layer.provide([LLM.layerPolicies(preset), providers]))
    return yield* Effect.provide(LLM.describe(), layer)
  }).pipe(withFlags(given))

/** The description of a call as a table. */
const planTable = (plan: Call.Description, style: Style, width: number): string => {
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`
  const rows = [
    ["targets", plan.targets.join(" → ")],
    ["attempts", `${count(plan.maxAttempts, "provider call")} at most, ${plan.maxAttemptsPerTarget} at each target`],
    ["time", `${time(plan.maxDurationMs)} at most, of it ${time(plan.maxBackoffMs)} of backoff`],
    ["stream policy", plan.streamPolicy],
    ["strict", plan.strict ? "yes: the first target answers or nobody does" : "no"]
  ]
  const path = plan.path.map(({ setting, step }, index) => [`${index + 1} ${step}`, setting])
  const first = Math.max(...[...rows, ...path].map((row) => row[0]!.length))
  const show = (all: ReadonlyArray<ReadonlyArray<string>>) =>
    table(
      all.map(([name, ...rest]) => [style.cyan(name!.padEnd(first)), ...rest]),
      { indent: "  ", width }
    )
  return `${style.bold("The worst case of one call")}\n${show(rows)}\n\n${style.bold("The path of the policies")}\n${show(path)}\n`
}

const run = (input: { readonly json: boolean; readonly given: Given }): Effect.Effect<void, Ended> =>
  Effect.gen(function* () {
    const out = stdout()
    const exit = yield* Effect.exit(describe(input.given))
    if (Exit.isSuccess(exit)) {
      return out.write(input.json ? jsonLine(exit.value) : planTable(exit.value, out.style, out.width))
    }
    const error = reportCause(exit.cause)
    if (error === undefined) return yield* Effect.interrupt
    if (input.json) out.write(jsonLine({ error }))
    else stderr().write(`${stderr().style.red("error")} ${error.tag}: ${error.message}\n`)
    return yield* Effect.fail(new Ended({ code: 1 }))
  })

export const plan = Command.make(
  "plan",
  {
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print it as one JSON object"), Flag.withDefault(false)),
    given: flags
  },
  run
).pipe(
  Command.withDescription(
    "Show the worst a call with these settings can cost: attempts, time, backoff, and the path of the policies. " +
      "Asks nobody and needs no key."
  ),
  Command.withShortDescription("Show the worst a call can cost"),
  Command.withExamples([
    { command: "breakwater plan --preset batch", description: "A preset" },
    {
      command: "breakwater plan -m openai/gpt-4.1 --fallback anthropic/claude-haiku-4-5 --retries 1 --timeout 20s",
      description: "A chain of targets with limits of its own"
    }
  ])
)
