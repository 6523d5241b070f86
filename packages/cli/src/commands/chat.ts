/** `breakwater chat`: asks, streams the answer, and shows what the policies did. */
import {
  Budget,
  type Cache,
  type Call,
  CallContext,
  Events,
  Ledger,
  LLM,
  Message,
  Money,
  type Usage
} from "@breakwater/core"
import { Catalog, HttpPool } from "@breakwater/providers"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type AttemptJson, attemptsJson } from "../Attempts.ts"
import { type Caching, cacheFlags, controlsOf, layerCache } from "../CacheFile.ts"
import { Ended, type Report, report, reportCause, SettingError } from "../Failure.ts"
import { eventLine } from "../render/Events.ts"
import { harmless, jsonLine } from "../render/Style.ts"
import { time } from "../render/Time.ts"
import { flags, type Given, load, withFlags } from "../Settings.ts"
import { contextOf, layerSpending, type Spending, spendingFlags, withAdvice } from "../Spending.ts"
import { readStdin, stderr, stdout } from "../Terminal.ts"

/** What `--json` prints. */
interface ChatJson {
  readonly text: string
  readonly model: string | null
  readonly target: string | null
  readonly attempts: ReadonlyArray<AttemptJson>
  readonly usage: Usage.Usage | null
  /** Dollars, over all attempts whose cost is known; null where none is. */
  readonly cost: string | null
  /** Where the answer was kept, if no attempt of this call made it. */
  readonly cached: Cache.Cached | null
  /** Dollars that the answer had cost when it was made, if it came from the cache and that is known. */
  readonly saved?: string
  /** Dollars left of `--budget`. */
  readonly remaining?: string
  readonly error?: Report
}

interface Input {
  readonly prompt: Option.Option<string>
  readonly system: Option.Option<string>
  readonly verbose: boolean
  readonly json: boolean
  readonly spending: Spending
  readonly caching: Caching
  readonly given: Given
}

/** Whether an attempt may have cost something that nobody has said. A refusal is not billed. */
const mayCost = ({ costNanos, outcome, sent, usage }: Call.AttemptRecord): boolean =>
  costNanos === undefined && sent !== false && (usage !== undefined || outcome !== "failure")

/** What is known of a call so far. */
class Answer {
  text = ""
  model: string | null = null
  target: string | null = null
  usage: Usage.Usage | null = null
  attempts: ReadonlyArray<Call.AttemptRecord> = []
  cached: Cache.Cached | null = null
  /** Of the budget, in nano-dollars. */
  remaining: Money.NanoDollars | undefined

  /** What the answer had cost when it was made, in nano-dollars, if a cache gave it. */
  saved: Money.NanoDollars | undefined

  /** Done when the cache has kept the answer, or could not. */
  readonly kept = Deferred.makeUnsafe<boolean>()

  /** Attempts whose cost nobody knows, once the answer has come. */
  unknown: number | undefined

  /** Nano-dollars of the attempts whose cost is known; `undefined` where none is. */
  get cost(): Money.NanoDollars | undefined {
    if (this.cached !== null) return 0n
    const known = this.attempts.flatMap(({ costNanos }) => (costNanos === undefined ? [] : [costNanos]))
    return known.length === 0 ? undefined : known.reduce((sum, each) => sum + each, 0n)
  }

  /** What it cost, in a line. */
  get costLine(): string {
    const { cached, cost } = this
    const unknown = this.unknown ?? this.attempts.filter(mayCost).length
    const known = cost === undefined ? (unknown === 0 ? "cost nothing" : "cost unknown") : `cost ${Money.format(cost)}`
    const partly = cost === undefined || unknown === 0 ? "" : ` and that of ${unknown} more, unknown`
    const left = this.remaining === undefined ? "" : `, ${Money.format(this.remaining)} of the budget left`
    if (cached === null) return `${known}${partly}${left}; not from a cache`
    const saved = this.saved === undefined ? "" : `, which saved ${Money.format(this.saved)}`
    return `${known}${partly}${left}; from the cache (${cached.source}, ${time(cached.ageMs)} old)${saved}`
  }

  take(part: Call.LLMStreamPart): void {
    if (part.type === "text-delta") this.text += part.delta
    else if (part.type === "response-metadata" && part.model !== undefined) this.model = part.model
    else if (part.type === "target") this.target = part.target
    else if (part.type === "finish") {
      this.target = part.target
      this.usage = part.usage
      this.cached = part.cached ?? null
      this.saved = part.savedNanos
      this.unknown = part.cost?.unknownAttempts
    }
  }

  json(error: Report | undefined): ChatJson {
    const answered = error === undefined
    return {
      text: this.text,
      model: answered ? (this.model ?? this.target?.slice(this.target.indexOf("/") + 1) ?? null) : this.model,
      target: answered ? this.target : null,
      attempts: attemptsJson(this.attempts),
      usage: this.usage,
      cost: this.cost === undefined ? null : Money.toDecimal(this.cost),
      cached: this.cached,
      ...(this.saved === undefined ? {} : { saved: Money.toDecimal(this.saved) }),
      ...(this.remaining === undefined ? {} : { remaining: Money.toDecimal(this.remaining) }),
      ...(error === undefined ? {} : { error })
    }
  }
}

const readPrompt = (prompt: Option.Option<string>): Effect.Effect<string, SettingError> =>
  Effect.gen(function* () {
    if (Option.isNone(prompt)) {
      return yield* Effect.fail(
        new SettingError({ message: 'PROMPT is missing; as in breakwater chat "Hello", or - to read it from stdin' })
      )
    }
    const text = prompt.value === "-" ? (yield* readStdin).trim() : prompt.value
    return text.trim() === ""
      ? yield* Effect.fail(
          new SettingError({ message: `PROMPT is empty${prompt.value === "-" ? ": nothing came from stdin" : ""}` })
        )
      : text
  })

/** Reads what is left of the budget, and has the ledger written. An answer that was paid for is not lost to a full disk. */
const settle = (answer: Answer): Effect.Effect<void, never, Budget.Budget | Ledger.Ledger> =>
  Effect.gen(function* () {
    const budget = yield* Budget.Budget
    const accounts = yield* Effect.orElseSucceed(budget.snapshot(CallContext.single), () => [])
    answer.remaining = accounts[0]?.remaining
    const ledger = yield* Ledger.Ledger
    yield* Effect.catch(ledger.flush, (error) =>
      Effect.sync(() => {
        const err = stderr()
        err.write(`${err.style.yellow("warning")} the ledger was not written: ${report(error).message}\n`)
      })
    )
  })

/** The longest time that the end of the command waits for the cache. */
const keepWithin = "1 second"

const waitForCache = ({ cache }: Caching, answer: Answer): Effect.Effect<void> =>
  Option.isNone(cache) || answer.cached !== null
    ? Effect.void
    : Effect.map(Effect.timeoutOption(Deferred.await(answer.kept), keepWithin), (kept) => {
        if (Option.getOrElse(kept, () => false)) return
        const err = stderr()
        err.write(`${err.style.yellow("warning")} the answer was not kept in ${cache.value}\n`)
      })

const ask = (input: Input, answer: Answer, onText: (text: string) => void) =>
  Effect.gen(function* () {
    const { options, preset } = yield* load()
    if (options.targets.length === 0) {
      return yield* Effect.fail(
        new SettingError({ message: "--model or LLM_MODEL is missing; as in --model openai/gpt-4.1-mini" })
      )
    }
    const question = yield* readPrompt(input.prompt)
    const prompt = Option.isSome(input.system)
      ? [Message.system(input.system.value), Message.user(question)]
      : [Message.user(question)]
    const layer = LLM.layer(options).pipe(
      Layer.provide(layerCache(input.caching)),
      Layer.provideMerge(layerSpending(input.spending)),
      Layer.provide([LLM.layerPolicies(preset), Catalog.layerConfig]),
      Layer.provide(HttpPool.layer())
    )
    const call = Stream.runForEach(
      LLM.stream({ prompt, context: contextOf(input.spending), cache: controlsOf(input.caching) }),
      (part) =>
        Effect.sync(() => {
          answer.take(part)
          if (part.type === "text-delta") onText(part.delta)
        })
    )
    // An answer does not wait for its cache; the end of the process would not wait either.
    const asked = Effect.andThen(
      call,
      Effect.suspend(() => waitForCache(input.caching, answer))
    )
    yield* Effect.provide(Effect.ensuring(asked, settle(answer)), layer)
  }).pipe(Effect.mapError(withAdvice), withFlags(input.given))

const run = (input: Input): Effect.Effect<void, Ended> =>
  Effect.gen(function* () {
    const out = stdout()
    const err = stderr()
    const answer = new Answer()
    let atLineStart = true
    const onText = (text: string): void => {
      if (input.json || text === "") return
      // A model's text must not move the cursor of a terminal; in a pipe it is handed on as it is.
      out.write(out.isTerminal ? harmless(text) : text)
      atLineStart = text.endsWith("\n")
    }
    const endLine = (): void => {
      if (!atLineStart) out.write("\n")
      atLineStart = true
    }
    const listen = Events.listen((event) => {
      if (event.type === "request-finished") answer.attempts = event.attempts
      if (event.type === "cache-stored") Deferred.doneUnsafe(answer.kept, Exit.succeed(true))
      if (event.type === "cache-store-failed" && event.operation === "set") {
        Deferred.doneUnsafe(answer.kept, Exit.succeed(false))
      }
      const line = input.verbose ? eventLine(event, err.style) : undefined
      if (line === undefined) return
      // Where both are the same terminal, an event does not begin in the middle of the answer's line.
      if (out.isTerminal && err.isTerminal) endLine()
      err.write(`${err.style.dim("│")} ${line}\n`)
    })
    const exit = yield* Effect.exit(listen(ask(input, answer, onText)))
    endLine()
    const error = Exit.isFailure(exit) ? reportCause(exit.cause) : undefined
    if (Exit.isFailure(exit) && error === undefined) return yield* Effect.interrupt
    // What was never sent cost nothing, and the error says why. Who keeps answers is told where this one came from.
    const asked = input.verbose || (answer.cached !== null && !input.json)
    if (asked && (error === undefined || answer.attempts.length > 0)) {
      err.write(`${err.style.dim("│")} ${err.style.dim(answer.costLine)}\n`)
    }
    if (input.json) out.write(jsonLine(answer.json(error)))
    else if (error !== undefined) err.write(`${err.style.red("error")} ${error.tag}: ${error.message}\n`)
    if (error !== undefined) return yield* Effect.fail(new Ended({ code: 1 }))
  })

export const chat = Command.make(
  "chat",
  {
    prompt: Argument.String("prompt").pipe(
      Argument.withDescription("What to ask; - reads it from stdin"),
      Argument.optional
    ),
    system: Flag.String("system").pipe(
      Flag.withMetavar("text"),
      Flag.withDescription("The system message"),
      Flag.optional
    ),
    verbose: Flag.Boolean("verbose").pipe(
      Flag.withAlias("v"),
      Flag.withDescription("Show on stderr what the policies do, attempt by attempt"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print one JSON object with the answer, its attempts and the error, if any"),
      Flag.withDefault(false)
    ),
    spending: spendingFlags,
    caching: cacheFlags,
    given: flags
  },
  run
).pipe(
  Command.withDescription(
    "Ask a model and stream its answer. Settings come from flags, then from LLM_* variables, then from the preset. " +
      "The exit code is 0 if there is an answer, 1 if not, 130 after Ctrl-C."
  ),
  Command.withShortDescription("Ask a model and stream its answer"),
  Command.withExamples([
    {
      command: 'breakwater chat "Why is the sea salty?" --model openai/gpt-4.1-mini',
      description: "With OPENAI_API_KEY set"
    },
    {
      command: 'breakwater chat "Hello" -m openai/gpt-4.1-mini --fallback anthropic/claude-haiku-4-5 --verbose',
      description: "Another provider if the first one fails, and what happened"
    },
    {
      command: 'breakwater chat "Hello" --base-url http://localhost:1234/v1 --model qwen3',
      description: "A local server"
    },
    {
      command: 'breakwater chat "Hello" -m openai/gpt-4.1-mini --budget 0.50 --ledger ledger.db -v',
      description: "For half a dollar at most, and written down for breakwater report"
    },
    {
      command: 'breakwater chat "Hello" -m openai/gpt-4.1-mini --cache answers.db -v',
      description: "The second time from the file, at no cost"
    },
    { command: 'git diff | breakwater chat - --system "Review this." --json', description: "From stdin, for a script" }
  ])
)
