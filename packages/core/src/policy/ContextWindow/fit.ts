/**
 * Fits a request into a window: counts what needs to be counted, and drops what does not fit.
 */
import * as Effect from "effect/Effect"
import type { Message } from "../../domain/Message.ts"
import type { ProviderRequest } from "../../domain/Request.ts"
import { ContextLengthError, withoutStack } from "../../errors/LLMError.ts"
import { besides, ofMessage, unitsOf } from "../../internal/messageTokens.ts"
import { characterCut } from "../../internal/textCuts.ts"
import { estimate, profileOf } from "../../internal/tokenEstimate.ts"
import { type Question, trim, type Trimming } from "../../internal/trimming.ts"
import { type Indices, outline } from "../../internal/turns.ts"
import { type Counter, countMessageWith, countWith, type TokenizerService } from "../Tokenizer.ts"
import { compacted, unitsOfMessages } from "./compacting.ts"
import type { Resolved } from "./options.ts"

/** What was done to a request. */
export interface FitResult {
  readonly request: ProviderRequest
  /** The window it was fitted to; `undefined` where none is known, and the request is as it was. */
  readonly window: number | undefined
  /** Tokens of the prompt that is left. */
  readonly inputTokens: number
  /** How they were counted; `bound`: the prompt is so short that it fits whatever its text, and has at most so many. */
  readonly method: "exact" | "estimated" | "bound"
  /** Tokens kept free for the answer. */
  readonly reserved: number
  /** What is missing from the prompt now. The tokens are estimated. */
  readonly dropped: { readonly messages: number; readonly tokens: number }
  /** Characters that the compaction saved. */
  readonly compactedCharacters: number
  /** `failed`: there should have been a summary of what was dropped, and there is none. */
  readonly summary: "none" | "added" | "failed"
}

/** Whether anything was changed. */
export const changed = (result: FitResult): boolean =>
  result.dropped.messages > 0 || result.compactedCharacters > 0 || result.summary === "added"

/** No UTF-16 unit is more than three bytes, and no token less than one: so many tokens a unit at most. */
const mostTokensOfUnit = 3

/** Everything about one fitting. */
interface Job {
  readonly request: ProviderRequest
  readonly settings: Resolved
  readonly counter: Counter
  readonly window: number
  /** Tokens of what is not a message. */
  readonly around: number
  readonly exact: boolean
  readonly compactedCharacters: number
}

/** What may go into the prompt beside an answer of this length. */
const roomFor = (job: Job, answer: number): number => {
  const room = job.window - answer
  return Math.floor(job.exact ? room : room * (1 - job.settings.margin)) - job.around
}

const reserveOf = (settings: Resolved, request: ProviderRequest, window: number, maxOutput: number): number =>
  Math.min(
    maxOutput,
    request.maxTokens ?? (settings.reserve < 1 ? Math.floor(window * settings.reserve) : settings.reserve)
  )

/** More than the request can have, found without reading it. */
const boundOf = (request: ProviderRequest): number => {
  const around = besides(request)
  let tokens = around.fixed + unitsOf(around) * mostTokensOfUnit
  for (const message of request.messages) {
    const part = ofMessage(message)
    tokens += part.fixed + unitsOf(part) * mostTokensOfUnit
  }
  return tokens
}

export const tooLong = (model: string, window: number, requested: number, why: string): ContextLengthError =>
  withoutStack(
    () =>
      new ContextLengthError({
        message: `${why}; ${model} takes ${window} tokens, and this needs about ${requested}`,
        model,
        maxTokens: window,
        requestedTokens: requested
      })
  )

// --- what is kept -------------------------------------------------------------------------------------------------

interface Kept {
  readonly indices: Indices
  readonly tokens: number
}

type Step = IteratorResult<Question, Indices | undefined>

/** Units counted before other fibers get their turn: some ten milliseconds. */
const turnUnits = 65_536

/** Runs a trimming, counting the messages it asks for; `sizes` remembers them. */
const measured = (job: Job, trimming: Trimming, sizes: Map<number, number>): Effect.Effect<Kept | undefined> => {
  let counted = 0
  const ask = ({ index, limit }: Question): Effect.Effect<Kept | undefined> => {
    const message = job.request.messages[index]!
    counted += Math.min(turnUnits, unitsOf(ofMessage(message)))
    const work = Effect.flatMap(countMessageWith(job.counter, message, Math.max(0, limit)), (tokens) => {
      if (tokens <= limit) sizes.set(index, tokens)
      return answer(trimming.next(tokens))
    })
    if (counted < turnUnits) return work
    counted = 0
    return Effect.andThen(Effect.yieldNow, work)
  }
  const answer = (step: Step): Effect.Effect<Kept | undefined> => {
    while (step.done !== true) {
      const known = sizes.get(step.value.index)
      if (known === undefined) return ask(step.value)
      step = trimming.next(known)
    }
    const indices = step.value
    return Effect.succeed(
      indices === undefined
        ? undefined
        : { indices, tokens: indices.reduce((total, index) => total + sizes.get(index)!, job.around) }
    )
  }
  return Effect.suspend(() => answer(trimming.next()))
}

const keep = (
  job: Job,
  budget: number,
  sizes: Map<number, number>,
  onlyRequired = false
): Effect.Effect<Kept | undefined> => {
  const { keepTurns, strategy } = job.settings
  const rules = { budget, keepTurns, keepFirst: strategy === "dropMiddle", onlyRequired }
  return measured(job, trim(outline(job.request.messages), rules), sizes)
}

// --- what is missing ------------------------------------------------------------------------------------------------

/** Roughly the tokens of messages; of long ones only the beginning is looked at. */
const roughly = (job: Job, indices: Indices, sizes: ReadonlyMap<number, number>): number => {
  const by = profileOf(job.request.model)
  let tokens = 0
  for (const index of indices) {
    const known = sizes.get(index)
    if (known !== undefined) {
      tokens += known
      continue
    }
    const part = ofMessage(job.request.messages[index]!)
    tokens += part.fixed
    for (const text of part.texts) tokens += sampled(text, by) * job.counter.ratio
  }
  return Math.ceil(tokens)
}

const sample = 4_000

/** The estimate of a text, from its beginning if it is long. */
const sampled = (text: string, by: ReturnType<typeof profileOf>): number =>
  text.length <= sample ? estimate(text, by) : estimate(text.slice(0, sample), by) * (text.length / sample)

const others = (job: Job, kept: Indices): Indices => {
  const set = new Set(kept)
  return job.request.messages.flatMap((_, index) => (set.has(index) ? [] : [index]))
}

/** Below this many tokens a summary says nothing, and is not paid for. */
const leastSummary = 16

// --- summaries ------------------------------------------------------------------------------------------------------

/** The text, cut so that the message has at most so many tokens; `undefined` if nothing is left of it. */
const within = (job: Job, heading: string, text: string, limit: number): Effect.Effect<Message | undefined> => {
  const message: Message = { role: "system", content: `${heading}\n${text}` }
  return Effect.flatMap(countMessageWith(job.counter, message), (tokens) => {
    if (tokens <= limit) return Effect.succeed(message)
    const length = characterCut(text, Math.floor(text.length * Math.min(0.9, limit / tokens)))
    return length === 0 ? Effect.succeed(undefined) : within(job, heading, text.slice(0, length), limit)
  })
}

const summarised = (job: Job, dropped: Indices, limit: number): Effect.Effect<Message | undefined> => {
  const { heading, summarise } = job.settings.summary!
  const task = Effect.suspend(() =>
    summarise({
      dropped: dropped.map((index) => job.request.messages[index]!),
      model: job.request.model,
      maxTokens: limit
    })
  )
  return Effect.matchEffect(task, {
    onFailure: () => Effect.succeed(undefined),
    onSuccess: (text) =>
      text.trim().length === 0 ? Effect.succeed(undefined) : within(job, heading, text.trim(), limit)
  })
}

/** The messages that stay, with the summary before the first that is not a system message. */
const withSummary = (job: Job, kept: Indices, summary: Message | undefined): ReadonlyArray<Message> => {
  const messages = kept.map((index) => job.request.messages[index]!)
  if (summary === undefined) return messages
  const at = messages.findIndex((message) => message.role !== "system")
  return [...messages.slice(0, at), summary, ...messages.slice(at)]
}

// --- the whole ------------------------------------------------------------------------------------------------------

const done = (
  job: Job,
  answer: number,
  request: ProviderRequest,
  rest: Pick<FitResult, "inputTokens" | "dropped" | "summary">
): FitResult => ({
  request,
  window: job.window,
  method: job.exact ? "exact" : "estimated",
  reserved: answer,
  compactedCharacters: job.compactedCharacters,
  ...rest
})

const drop = (job: Job, answer: number, kept: Kept, sizes: Map<number, number>): Effect.Effect<FitResult> => {
  const finish = (kept: Kept, summary: Message | undefined, tokens: number, wanted: boolean): FitResult => {
    const dropped = others(job, kept.indices)
    return done(
      job,
      answer,
      { ...job.request, messages: withSummary(job, kept.indices, summary) },
      {
        inputTokens: kept.tokens + tokens,
        dropped: { messages: dropped.length, tokens: roughly(job, dropped, sizes) },
        summary: summary !== undefined ? "added" : wanted ? "failed" : "none"
      }
    )
  }
  const { summary } = job.settings
  if (summary === undefined) return Effect.succeed(finish(kept, undefined, 0, false))
  const room = roomFor(job, answer)
  const limit = Math.min(summary.maxTokens, Math.floor(room / 4))
  // The summary wants room of its own; where that would cost what must stay, it gets what is left.
  return Effect.flatMap(keep(job, room - limit, sizes), (less) => {
    const stays = less ?? kept
    const left = Math.min(limit, room + job.around - stays.tokens)
    if (left < leastSummary) return Effect.succeed(finish(kept, undefined, 0, true))
    return Effect.flatMap(summarised(job, others(job, stays.indices), left), (message) =>
      message === undefined
        ? Effect.succeed(finish(kept, undefined, 0, true))
        : Effect.map(countMessageWith(job.counter, message), (tokens) => finish(stays, message, tokens, true))
    )
  })
}

const fitted = (job: Job, answer: number): Effect.Effect<FitResult, ContextLengthError> => {
  const { messages, model } = job.request
  const sizes = new Map<number, number>()
  const fail = (why: string, answer: number): Effect.Effect<never, ContextLengthError> =>
    Effect.suspend(() => {
      const all = messages.map((_, index) => index)
      // What is said must not contradict what was found: a rough count may come out below the window.
      const requested = Math.max(roughly(job, all, sizes) + job.around + answer, job.window + 1)
      return Effect.fail(tooLong(model, job.window, requested, why))
    })
  const none: FitResult["dropped"] = { messages: 0, tokens: 0 }
  return Effect.flatMap(
    keep(job, roomFor(job, answer), sizes),
    (kept): Effect.Effect<FitResult, ContextLengthError> => {
      if (kept !== undefined && kept.indices.length === messages.length) {
        return Effect.succeed(
          done(job, answer, job.request, { inputTokens: kept.tokens, dropped: none, summary: "none" })
        )
      }
      const drops = job.settings.strategy !== "fail"
      if (kept !== undefined && drops) return drop(job, answer, kept, sizes)
      const least = Math.min(answer, job.settings.minAnswer)
      return Effect.flatMap(keep(job, roomFor(job, least), sizes, drops), (kept) => {
        if (kept === undefined) return fail("Not even what must stay of the prompt fits", least)
        const whole = kept.indices.length === messages.length
        if (!whole && !drops) return fail("The prompt does not fit, and nothing may be dropped", least)
        // All the room that the prompt leaves, which is less than was asked for.
        const shorter = Math.max(least, least + roomFor(job, least) + job.around - kept.tokens)
        const request = job.request.maxTokens === undefined ? job.request : { ...job.request, maxTokens: shorter }
        return whole
          ? Effect.succeed(done(job, shorter, request, { inputTokens: kept.tokens, dropped: none, summary: "none" }))
          : drop({ ...job, request }, shorter, kept, sizes)
      })
    }
  )
}

/** Fits a request into a window of so many tokens. */
export const fit = (
  settings: Resolved,
  tokenizer: TokenizerService,
  original: ProviderRequest,
  window: number,
  maxOutput: number
): Effect.Effect<FitResult, ContextLengthError> => {
  const from = (request: ProviderRequest): Effect.Effect<FitResult, ContextLengthError> => {
    const answer = reserveOf(settings, request, window, maxOutput)
    const compactedCharacters = request === original ? 0 : unitsOfMessages(original) - unitsOfMessages(request)
    const bound = boundOf(request)
    // The largest correction of an estimate is a factor of two, and so is the room for it.
    if (bound * 2 <= (window - answer) * (1 - settings.margin)) {
      return Effect.succeed({
        request,
        window,
        inputTokens: bound,
        method: "bound",
        reserved: answer,
        dropped: { messages: 0, tokens: 0 },
        compactedCharacters,
        summary: "none"
      })
    }
    return Effect.flatMap(tokenizer.counter(request.model), (counter) => {
      const around = besides(request)
      const exact =
        counter.method === "exact" && around.exact && request.messages.every((message) => ofMessage(message).exact)
      return Effect.flatMap(countWith(counter, around), (around) =>
        fitted({ request, settings, counter, window, around, exact, compactedCharacters }, answer)
      )
    })
  }
  return settings.compaction === undefined
    ? Effect.suspend(() => from(original))
    : Effect.flatMap(compacted(original, settings.compaction), from)
}
