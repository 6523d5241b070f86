/**
 * One structured line for each call, through Effect's loggers.
 *
 * **When to use**
 *
 * Use it to find out afterwards what happened to a call: who asked, who answered, after how many attempts, how long it
 * took and what it cost.
 *
 * **Details**
 *
 * - A call that succeeded or was interrupted is logged at `Info`; one that failed at `Warn` where the caller or a limit
 *   brought it about, and at `Error` where somebody has to look after it.
 * - Each retry and failover is a line at `Debug`; so is a call that took longer than `slowerThan`, attempt by attempt.
 * - Circuits, stores, budgets and pauses that change are lines, too, unless `policies` is false.
 * - Lines hold no prompt, no answer and no key: of an error its tag and its sentence, and that only where it repeats
 *   nothing of the answer. Names and ids from outside are cut at 200 characters, sentences at 500, and are free of
 *   control characters.
 *
 * **Gotchas**
 *
 * The message of a line is an object. `Logger.consoleJson` writes it as one line of JSON; loggers for people show it as
 * they show objects. Loggers run in the fiber of the call: one that writes to the network should be batched.
 *
 * **Example** (A line of JSON for each call)
 *
 * ```ts
 * import { LLM, LLMProvider, Logs } from "@breakwater/core"
 * import { ScriptedProvider } from "@breakwater/testing"
 * import { Effect, Layer, Logger } from "effect"
 *
 * const lines: Array<string> = []
 * const logger = Logger.map(Logger.formatJson, (line) => {
 *   lines.push(line)
 * })
 * const llm = LLM.layerPreset("interactive", { targets: ["demo/any"] }).pipe(
 *   Layer.provide(LLMProvider.layer(ScriptedProvider.layer({ name: "demo", script: ["Hello!"] })))
 * )
 *
 * await Effect.runPromise(
 *   Effect.provide(LLM.generateText("Hello?"), Layer.mergeAll(llm, Logs.layer(), Logger.layer([logger])))
 * )
 *
 * JSON.parse(lines[0]!).message.outcome // => "success"
 * ```
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as References from "effect/References"
import { EventSink, type PolicyEvent, type RequestFinished } from "../domain/Event.ts"
import { joined } from "../internal/emit.ts"
import { type Level, levelOf, type LogRecord } from "../internal/logError.ts"
import { policyRecord } from "../internal/logPolicy.ts"
import { requestRecord, retryRecord, slowRecord } from "../internal/logRecord.ts"
import { inRange, millisOf, positiveDuration, validate } from "../internal/options.ts"

/** What is logged. */
export interface Options {
  /** The share of successful calls that get a line, from 0 to 1; the line then says it as `sampled`. Default 1. */
  readonly successes?: number
  /** Calls that take longer get another line at `Debug`, attempt by attempt. Default: none do. */
  readonly slowerThan?: Duration.Input
  /** Whether changes of circuits, stores, budgets and pauses are logged. Default true. */
  readonly policies?: boolean
}

/** The default of every option that has one. */
export const defaults = { successes: 1, policies: true } as const

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Hands a record to the loggers of the fiber. */
const write = (fiber: AnyFiber, level: Level, record: LogRecord): void => {
  const date = new Date(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())
  for (const logger of fiber.getRef(Logger.CurrentLoggers)) {
    logger.log({ message: [record], logLevel: level, cause: Cause.empty, fiber, date })
  }
}

/** Writes lines; plain code, called for every event. */
class Writer {
  private readonly home: AnyFiber
  private readonly successes: number
  private readonly slowMs: number
  private readonly policies: boolean

  constructor(home: AnyFiber, options: Options) {
    this.home = home
    this.successes = options.successes ?? defaults.successes
    this.slowMs = options.slowerThan === undefined ? Infinity : (millisOf(options.slowerThan) ?? Infinity)
    this.policies = options.policies ?? defaults.policies
  }

  readonly hear = (event: PolicyEvent): void => {
    switch (event.type) {
      case "request-finished":
        return this.finished(event)
      case "retry-scheduled":
      case "failed-over":
        return this.log("Debug", () => retryRecord(event))
      default: {
        const line = this.policies ? policyRecord(event) : undefined
        if (line !== undefined) this.log(line.level, () => line.record)
      }
    }
  }

  private finished(event: RequestFinished): void {
    if (event.tookMs > this.slowMs) this.log("Debug", () => slowRecord(event))
    const sampled = event.outcome === "success" && this.successes < 1
    if (sampled && this.fiber().getRef(Random.Random).nextDoubleUnsafe() >= this.successes) return
    const level = event.error === undefined ? "Info" : levelOf(event.error)
    this.log(level, () => {
      const record = requestRecord(event)
      if (sampled) record["sampled"] = this.successes
      return record
    })
  }

  /** The fiber of the call. An event that comes from no fiber, such as a timer's, is logged as the Layer's own. */
  private fiber(): AnyFiber {
    return Fiber.getCurrent() ?? this.home
  }

  private log(level: Level, record: () => LogRecord): void {
    const fiber = this.fiber()
    if (LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), level)) return
    write(fiber, level, record())
  }
}

/**
 * Logs the calls of everything that is given this Layer, with the loggers in force there. Another listener that is
 * already in place goes on hearing the events.
 *
 * Fails with a `ConfigError` naming the first wrong option.
 */
export const layer = (options: Options = {}): Layer.Layer<never, Config.ConfigError> =>
  Layer.effect(
    EventSink,
    Effect.gen(function* () {
      yield* validate([
        options.successes === undefined ? undefined : inRange("successes", options.successes, 0, 1),
        options.slowerThan === undefined ? undefined : positiveDuration("slowerThan", options.slowerThan)
      ])
      const outer = yield* EventSink
      const home = yield* Effect.withFiber<AnyFiber>((fiber) => Effect.succeed(fiber))
      return joined(new Writer(home, options).hear, outer)
    })
  )

/** {@link layer} with its options from the environment. */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
