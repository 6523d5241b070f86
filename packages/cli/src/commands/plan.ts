/** `breakwater plan`: the worst a call can cost, before it is made. */
import { Budget, type Call, LLM, LLMError, LLMProvider, Money, type Pricing } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
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

/** The published prices; loaded only for those who want them. */
const prices: Layer.Layer<Pricing.Pricing, Config.ConfigError> = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@breakwater/prices")),
    ({ Prices }) => Prices.layer()
  )
)

/** A budget that has room for nothing: its refusal says what a call could cost. */
const nothing = Budget.layer({ limits: [{ name: "plan", scope: "global", period: "lifetime", limit: 1n }] })

/** What stands for a prompt that is not given. */
const usualPrompt = "x".repeat(2_000)

/** What a call can cost at worst, in money. */
interface Worst {
  /** Nano-dollars; `undefined` where that is not known. */
  readonly cost: Money.NanoDollars | undefined
  /** Why it is not known. */
  readonly why: string
}

/** The reservation that a budget would make for a call. */
const worstOf = (prompt: string): Effect.Effect<Worst, never, LLM.LLM> =>
  LLM.generate({ prompt }).pipe(
    Effect.map((): Worst => ({ cost: undefined, why: "nothing says" })),
    Effect.catch((error) =>
      Effect.succeed<Worst>(
        error._tag === "BudgetExceededError"
          ? { cost: error.needed, why: "" }
          : {
              cost: error._tag === "UnpricedModelError" ? undefined : 0n,
              why: error.message.replace(/, so no budget.*/, "")
            }
      )
    )
  )

const describe = (given: Given, prompt: string) =>
  Effect.gen(function* () {
    const { options, preset, settings } = yield* load({ defaultProvider: "provider" })
    const named = settings.targets.length > 0
    const targets = named ? settings.targets : [`${settings.provider}/model`]
    const providers = LLMProvider.layerOf(...settings.providers.map(nameOnly))
    const llm = () => LLM.layer({ ...options, targets }).pipe(Layer.provide([LLM.layerPolicies(preset), providers]))
    const plan = yield* Effect.provide(LLM.describe(), llm())
    if (!named) return { plan, worst: { cost: undefined, why: "name a --model" } }
    const worst = yield* Effect.provide(worstOf(prompt), llm().pipe(Layer.provide(nothing), Layer.provide(prices)))
    return { plan, worst }
  }).pipe(withFlags(given))

interface Shown {
  readonly plan: Call.Description
  readonly worst: Worst
  readonly prompt: Option.Option<string>
}

/** Money for a reader. */
const costText = ({ cost, why }: Worst, prompt: Option.Option<string>): string => {
  if (cost === undefined) return `unknown: ${why}`
  const of = Option.isSome(prompt) ? "with this prompt" : "with a prompt of 2,000 characters"
  return `${Money.format(cost)} at most ${of}, all attempts together`
}

/** The description of a call as a table. */
const planTable = ({ plan, prompt, worst }: Shown, style: Style, width: number): string => {
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`
  const rows = [
    ["targets", plan.targets.join(" → ")],
    ["attempts", `${count(plan.maxAttempts, "provider call")} at most, ${plan.maxAttemptsPerTarget} at each target`],
    ["cost", costText(worst, prompt)],
    ["time", `${time(plan.maxDurationMs)} at most, of it ${time(plan.maxBackoffMs)} of backoff`],
    ["stream policy", plan.streamPolicy],
    ["strict", plan.strict ? "yes: the first target answers or nobody does" : "no"]
  ]
  const path = plan.path.map(({ setting, step }, index) => [`${String(index + 1).padStart(2)} ${step}`, setting])
  const first = Math.max(...[...rows, ...path].map((row) => row[0]!.length))
  const show = (all: ReadonlyArray<ReadonlyArray<string>>) =>
    table(
      all.map(([name, ...rest]) => [style.cyan(name!.padEnd(first)), ...rest]),
      { indent: "  ", width }
    )
  return `${style.bold("The worst case of one call")}\n${show(rows)}\n\n${style.bold("The path of the policies")}\n${show(path)}\n`
}

interface Input {
  readonly prompt: Option.Option<string>
  readonly json: boolean
  readonly given: Given
}

const run = ({ given, json, prompt }: Input): Effect.Effect<void, Ended> =>
  Effect.gen(function* () {
    const out = stdout()
    const text = Option.getOrElse(prompt, () => usualPrompt)
    const exit = yield* Effect.exit(describe(given, text))
    if (Exit.isSuccess(exit)) {
      const { plan, worst } = exit.value
      const maxCost = worst.cost === undefined ? null : Money.toDecimal(worst.cost)
      return out.write(
        json
          ? jsonLine({ ...plan, maxCost, promptCharacters: text.length })
          : planTable({ plan, worst, prompt }, out.style, out.width)
      )
    }
    const error = reportCause(exit.cause)
    if (error === undefined) return yield* Effect.interrupt
    if (json) out.write(jsonLine({ error }))
    else stderr().write(`${stderr().style.red("error")} ${error.tag}: ${error.message}\n`)
    return yield* Effect.fail(new Ended({ code: 1 }))
  })

export const plan = Command.make(
  "plan",
  {
    prompt: Argument.String("prompt").pipe(
      Argument.withDescription("What would be asked, for what it can cost; it is sent nowhere"),
      Argument.optional
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print it as one JSON object"), Flag.withDefault(false)),
    given: flags
  },
  run
).pipe(
  Command.withDescription(
    "Show the worst a call with these settings can cost: money, attempts, time, backoff, and the path of the policies. " +
      "Asks nobody and needs no key."
  ),
  Command.withShortDescription("Show the worst a call can cost"),
  Command.withExamples([
    { command: "breakwater plan --model openai/gpt-4.1-mini --max-tokens 500", description: "In money, too" },
    { command: "breakwater plan --preset batch", description: "A preset" },
    {
      command: "breakwater plan -m openai/gpt-4.1 --fallback anthropic/claude-haiku-4-5 --retries 1 --timeout 20s",
      description: "A chain of targets with limits of its own"
    }
  ])
)
