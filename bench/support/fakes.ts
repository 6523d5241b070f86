/**
 * The same fake model for everybody: its answer is there at once, so that what is measured is the library around it.
 */
import { LLM, LLMProvider, Pipeline, type Response } from "@breakwater/core"
import { AIMessage, AIMessageChunk } from "@langchain/core/messages"
import { FakeStreamingChatModel } from "@langchain/core/utils/testing"
import { MockLanguageModelV4 } from "ai/test"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as AiResponse from "effect/ai/Response"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"

export const prompt = "What is the airspeed velocity of an unladen swallow?"
const text = "It depends: an African or a European swallow?"
const word = " swallow"

/** Parts of a streamed answer, its end included. */
export const partCount = 1_000

// --- ours ---------------------------------------------------------------------------------------------------------

const usage = { inputTokens: 12, outputTokens: 10 }

const turn: Response.Turn = {
  content: [{ type: "text", text }],
  finishReason: "stop",
  usage,
  id: "response-1",
  model: "fake-2026"
}

const whole = Effect.succeed(turn)

const delta: Response.StreamPart = { type: "text-delta", delta: word }
const finish: Response.StreamPart = { type: "finish", reason: "stop", usage }
const parts: ReadonlyArray<Response.StreamPart> = [...Array.from({ length: partCount - 1 }, () => delta), finish]

/** A list in pieces, each of them one pull. */
const inPulls = <A>(list: ReadonlyArray<A>, size: number): Stream.Stream<A> => {
  const pieces: Array<Effect.Effect<readonly [A, ...Array<A>]>> = []
  for (let at = 0; at < list.length; at += size) {
    pieces.push(Effect.succeed(list.slice(at, at + size) as unknown as readonly [A, ...Array<A>]))
  }
  const done = Cause.done()
  return Stream.fromPull(
    Effect.sync((): Pull.Pull<readonly [A, ...Array<A>]> => {
      let at = 0
      return Effect.suspend((): Pull.Pull<readonly [A, ...Array<A>]> => pieces[at++] ?? done)
    })
  )
}

/** A provider that answers at once; its stream gives so many parts a pull. */
export const provider = (partsPerPull: number): LLMProvider.Provider => {
  const stream = inPulls(parts, partsPerPull)
  return {
    name: "fake",
    capabilities: () => ({}),
    generate: () => whole,
    stream: () => stream,
    embed: () => Effect.succeed({ vectors: [[1]], usage })
  }
}

/** The same, but that whatever it gives has to be waited for. */
export const waitingProvider = (partsPerPull: number): LLMProvider.Provider => {
  const ready = provider(partsPerPull)
  return {
    ...ready,
    generate: (request) => Effect.andThen(Effect.yieldNow, ready.generate(request)),
    stream: (request) => Stream.mapArrayEffect(ready.stream(request), (parts) => Effect.as(Effect.yieldNow, parts))
  }
}

/** The service over a fake with its own settings, and no policy that is a Layer. */
export const service = (fake: LLMProvider.Provider, options: Partial<Pipeline.PipelineOptions> = {}) =>
  Pipeline.make({ targets: ["fake/model"], ...options }).pipe(
    Effect.provide(Layer.merge(LLM.layerNoPolicies, LLMProvider.layerOf(fake)))
  )

/** The service as a preset makes it: with a breaker, a quota and whatever else is on in it. */
export const presetService = (fake: LLMProvider.Provider) =>
  Effect.map(
    Layer.build(
      LLM.layerPreset("interactive", { targets: ["fake/model"] }).pipe(Layer.provide(LLMProvider.layerOf(fake)))
    ),
    (context) => Context.get(context, LLM.LLM)
  )

// --- effect/ai ----------------------------------------------------------------------------------------------------

const aiFinish: AiResponse.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 12 }, outputTokens: { total: 10 } }
}

const aiParts: ReadonlyArray<AiResponse.StreamPartEncoded> = [
  { type: "text-start", id: "t" },
  ...Array.from({ length: partCount - 3 }, () => ({ type: "text-delta" as const, id: "t", delta: word })),
  { type: "text-end", id: "t" },
  aiFinish
]

export const languageModel = (partsPerPull: number) =>
  LanguageModel.make({
    generateText: () => Effect.succeed([{ type: "text", text }, aiFinish]),
    streamText: () => inPulls(aiParts, partsPerPull)
  })

// --- ai (Vercel) --------------------------------------------------------------------------------------------------

const sdkUsage = {
  inputTokens: { total: 12, noCache: 12, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 10, text: 10, reasoning: undefined }
}
const sdkReason = { unified: "stop", raw: "stop" } as const

type SdkStream = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>["stream"]
type SdkPart = SdkStream extends ReadableStream<infer Part> ? Part : never

const sdkParts: ReadonlyArray<SdkPart> = [
  { type: "stream-start", warnings: [] },
  { type: "text-start", id: "t" },
  ...Array.from({ length: partCount - 4 }, (): SdkPart => ({ type: "text-delta", id: "t", delta: word })),
  { type: "text-end", id: "t" },
  { type: "finish", finishReason: sdkReason, usage: sdkUsage }
]

const sdkStream = (): SdkStream => {
  let at = 0
  return new ReadableStream<SdkPart>({
    pull: (controller) => {
      if (at < sdkParts.length) controller.enqueue(sdkParts[at++]!)
      else controller.close()
    }
  })
}

export const sdkModel = (): MockLanguageModelV4 => {
  const model: MockLanguageModelV4 = new MockLanguageModelV4({
    doGenerate: () => {
      // The mock keeps every call it has seen.
      model.doGenerateCalls.length = 0
      return Promise.resolve({
        content: [{ type: "text", text }],
        finishReason: sdkReason,
        usage: sdkUsage,
        warnings: []
      })
    },
    doStream: () => {
      model.doStreamCalls.length = 0
      return Promise.resolve({ stream: sdkStream() })
    }
  })
  return model
}

export const sdkBareStream = async (): Promise<number> => {
  let count = 0
  for await (const _ of sdkStream()) count++
  return count
}

// --- LangChain ----------------------------------------------------------------------------------------------------

export const chainModel = (): FakeStreamingChatModel =>
  new FakeStreamingChatModel({
    responses: [new AIMessage(text)],
    chunks: Array.from({ length: partCount }, () => new AIMessageChunk(word))
  })

/** Whole answers come from a model without chunks, so that it has no stream to take them from. */
export const chainWholeModel = (): FakeStreamingChatModel =>
  new FakeStreamingChatModel({ responses: [new AIMessage(text)] })
