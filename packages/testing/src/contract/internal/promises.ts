/** What a provider owes, each promise as a check of a subject. */
import { LLMError, type Request, Response } from "@breakwater/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { textOfParts } from "../../internal/parts.ts"
import { ContractViolation, type Subject } from "./model.ts"

export type Check = Effect.Effect<void, ContractViolation>

export const violation = (message: string, cause?: unknown): ContractViolation =>
  new ContractViolation({ message, ...(cause === undefined ? {} : { cause }) })

const owes = (holds: boolean, message: () => string): Check =>
  Effect.suspend(() => (holds ? Effect.void : Effect.fail(violation(message()))))

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 400) ?? String(value)

const succeeds = <A>(what: string, effect: Effect.Effect<A, LLMError.AttemptError>) =>
  Effect.mapError(effect, (error) => violation(`${what} failed with ${error._tag}: ${error.message}`, error))

const fails = <A>(what: string, effect: Effect.Effect<A, LLMError.AttemptError>) =>
  Effect.mapError(Effect.flip(effect), (answer) => violation(`${what} succeeded with ${shown(answer)}`))

/** Real time, in small steps: connections close when they do. */
const eventually = (what: string, condition: Effect.Effect<boolean>): Check => {
  const look = (left: number): Check =>
    Effect.flatMap(condition, (holds) => {
      if (holds) return Effect.void
      return left === 0
        ? Effect.fail(violation(`${what}: not within two seconds`))
        : Effect.andThen(Effect.sleep(5), look(left - 1))
    })
  return look(400)
}

export const ask = (subject: Subject): Request.ProviderRequest => ({
  model: subject.model,
  messages: [{ role: "user", content: "What is a breakwater?" }],
  maxTokens: 500
})

const embedAsk = (subject: Subject): Request.ProviderEmbedRequest => ({
  model: subject.model,
  input: ["one", "two", "one"]
})

const textOfTurn = (turn: Response.Turn): string =>
  turn.content.map((part) => (part.type === "text" ? part.text : "")).join("")

/** Reads a stream, keeping what was handed on even if it fails. */
const read = (stream: Stream.Stream<Response.StreamPart, LLMError.AttemptError>) => {
  const parts: Array<Response.StreamPart> = []
  const run = Stream.runForEach(stream, (part) => Effect.sync(() => parts.push(part)))
  return { parts, run }
}

const isTurn = Schema.is(Response.Turn)
const isPart = Schema.is(Response.StreamPart)
const isAttemptError = Schema.is(LLMError.AttemptError)

const wellFinished = (parts: ReadonlyArray<Response.StreamPart>): Check => {
  const finishes = parts.filter((part) => part.type === "finish").length
  return owes(
    finishes === 1 && parts[parts.length - 1]?.type === "finish",
    () =>
      `a good stream ends with exactly one finish part; there were ${finishes}, and the last part was ${shown(parts.at(-1))}`
  )
}

const wellTyped = (subject: Subject, error: LLMError.AttemptError, tags: ReadonlyArray<string>): Check =>
  Effect.gen(function* () {
    yield* owes(isAttemptError(error), () => `not an AttemptError: ${String(error)}`)
    yield* owes(tags.includes(error._tag), () => `${error._tag} (${error.message}) instead of ${tags.join(" or ")}`)
    yield* owes(
      error.provider === subject.provider.name && error.model === subject.model,
      () =>
        `${error._tag} comes from ${error.provider}/${error.model} instead of ${subject.provider.name}/${subject.model}`
    )
    yield* owes(error.message.length > 0, () => `${error._tag} says nothing`)
  })

const sends = <A, E>(subject: Subject, count: number, what: string, effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const before = yield* subject.sent
    const result = yield* effect
    const after = yield* subject.sent
    yield* owes(after - before === count, () => `${what} sent ${after - before} requests instead of ${count}`)
    return result
  })

export const answersWhole = (subject: Subject): Check =>
  Effect.gen(function* () {
    const turn = yield* succeeds("generate", subject.provider.generate(ask(subject)))
    yield* owes(isTurn(turn), () => `not a turn: ${shown(turn)}`)
    yield* owes(textOfTurn(turn).length > 0, () => "the turn has no text")
    yield* owes(turn.finishReason === "stop", () => `finish reason ${turn.finishReason} instead of stop`)
    yield* owes(turn.usage.inputTokens > 0 && turn.usage.outputTokens > 0, () => `usage ${shown(turn.usage)}`)
  })

export const answersStreamed = (subject: Subject): Check =>
  Effect.gen(function* () {
    const turn = yield* succeeds("generate", subject.provider.generate(ask(subject)))
    const { parts, run } = read(subject.provider.stream(ask(subject)))
    yield* succeeds("stream", run)
    const wrong = parts.find((part) => !isPart(part))
    yield* owes(wrong === undefined, () => `not a stream part: ${shown(wrong)}`)
    yield* wellFinished(parts)
    yield* owes(
      textOfParts(parts) === textOfTurn(turn),
      () => `the stream says ${shown(textOfParts(parts))}, generate says ${shown(textOfTurn(turn))}`
    )
    const finish = parts.find((part) => part.type === "finish")
    yield* owes(finish !== undefined && finish.usage.outputTokens > 0, () => `usage ${shown(finish)}`)
  })

export const embeds = (subject: Subject): Check =>
  Effect.gen(function* () {
    const { vectors } = yield* succeeds("embed", subject.provider.embed(embedAsk(subject)))
    yield* owes(vectors.length === 3, () => `${vectors.length} vectors for 3 texts`)
    yield* owes(
      vectors.every((vector) => vector.length === vectors[0]?.length && vector.every(Number.isFinite)),
      () => "the vectors are not of one length, or hold something that is no number"
    )
    yield* owes(
      shown(vectors[0]) === shown(vectors[2]) && shown(vectors[0]) !== shown(vectors[1]),
      () => "the vectors are not in the order of the texts"
    )
  })

export const isLazy = (subject: Subject): Check =>
  sends(
    subject,
    0,
    "building effects without running them",
    Effect.gen(function* () {
      subject.provider.generate(ask(subject))
      subject.provider.stream(ask(subject))
      subject.provider.embed(embedAsk(subject))
      yield* Effect.sleep(20)
    })
  )

export const sendsOnce =
  (embedding: boolean) =>
  (subject: Subject): Check =>
    Effect.gen(function* () {
      const generate = succeeds("generate", subject.provider.generate(ask(subject)))
      const stream = succeeds("stream", Stream.runDrain(subject.provider.stream(ask(subject))))
      yield* sends(subject, 1, "generate", generate)
      yield* sends(subject, 1, "the same effect again", generate)
      yield* sends(subject, 1, "stream", stream)
      yield* sends(subject, 1, "the same stream again", stream)
      if (embedding) yield* sends(subject, 1, "embed", succeeds("embed", subject.provider.embed(embedAsk(subject))))
    })

export const runsApart = (subject: Subject): Check =>
  Effect.gen(function* () {
    const stream = subject.provider.stream(ask(subject))
    const runs = [read(stream), read(stream), read(stream)]
    yield* succeeds(
      "stream",
      Effect.all(
        runs.map((each) => each.run),
        { concurrency: "unbounded", discard: true }
      )
    )
    for (const { parts } of runs) {
      yield* wellFinished(parts)
      yield* owes(
        textOfParts(parts) === textOfParts(runs[0]?.parts ?? []),
        () => "streams run at once got different text"
      )
    }
  })

export const failsTyped =
  (tags: ReadonlyArray<string>) =>
  (subject: Subject): Check =>
    Effect.gen(function* () {
      const whole = yield* sends(subject, 1, "generate", fails("generate", subject.provider.generate(ask(subject))))
      yield* wellTyped(subject, whole, tags)
      const { parts, run } = read(subject.provider.stream(ask(subject)))
      const streamed = yield* sends(subject, 1, "stream", fails("stream", run))
      yield* wellTyped(subject, streamed, tags)
      yield* owes(!parts.some(Response.isContent), () => `content before ${streamed._tag}`)
    })

export const breaksTyped = (subject: Subject): Check =>
  Effect.gen(function* () {
    const { parts, run } = read(subject.provider.stream(ask(subject)))
    const error = yield* fails("stream", run)
    yield* wellTyped(subject, error, ["StreamInterruptedError"])
    yield* owes(!parts.some((part) => part.type === "finish"), () => "a broken stream had a finish part")
    const text = textOfParts(parts)
    yield* owes(text.length > 0, () => "nothing was handed on before the break")
    yield* owes(
      error._tag === "StreamInterruptedError" && error.partialText === text,
      () =>
        `handed on ${shown(text)}, but the error says ${shown((error as LLMError.StreamInterruptedError).partialText)}`
    )
  })

export const wholeBreaksTyped = (subject: Subject): Check =>
  Effect.gen(function* () {
    const error = yield* fails("generate", subject.provider.generate(ask(subject)))
    yield* wellTyped(subject, error, ["TransportError", "StreamInterruptedError"])
  })

export const closes = (
  subject: Subject,
  effect: Effect.Effect<unknown, LLMError.AttemptError>,
  underWay: () => boolean = () => true
): Check =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* eventually(
      "the request arrives",
      Effect.map(subject.open, (open) => open === 1 && underWay())
    )
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    yield* owes(
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause),
      () => `an interrupted call ended with ${shown(exit)}`
    )
    yield* eventually(
      "interruption closes the connection",
      Effect.map(subject.open, (open) => open === 0)
    )
  })

export const leavesEarly = (subject: Subject): Check =>
  Effect.gen(function* () {
    const some = Stream.takeUntil(subject.provider.stream(ask(subject)), Response.isContent)
    yield* succeeds("the beginning of a stream", Stream.runDrain(some))
    yield* eventually(
      "leaving a stream closes the connection",
      Effect.map(subject.open, (open) => open === 0)
    )
  })

export const interruptsStalled = (subject: Subject): Check =>
  Effect.gen(function* () {
    const { parts, run } = read(subject.provider.stream(ask(subject)))
    yield* closes(subject, run, () => parts.some(Response.isContent))
    yield* owes(!parts.some((part) => part.type === "finish"), () => "a stalled stream had a finish part")
  })
