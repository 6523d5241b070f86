/**
 * A stream of 1,000 parts through the pipeline, over a provider whose parts are there at once: what one part costs.
 */
import type { LLM } from "@breakwater/core"
import { streamText } from "ai"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { bareEffect, barePromise, type Benchmark, ofEffect, ofPromise, type Work } from "./harness.ts"
import {
  chainModel,
  languageModel,
  partCount,
  prompt,
  provider,
  sdkBareStream,
  sdkModel,
  service,
  waitingProvider
} from "./support/fakes.ts"

const request = { model: "model", messages: [{ role: "user" as const, content: prompt }] }

const drain = (stream: Stream.Stream<unknown, unknown>): Effect.Effect<unknown> => Effect.orDie(Stream.runDrain(stream))

const count = async (parts: AsyncIterable<unknown>): Promise<number> => {
  let total = 0
  for await (const _ of parts) total++
  return total
}

const works = (partsPerPull: number, llm: LLM.LLMService, unlimited: LLM.LLMService) =>
  Effect.map(languageModel(partsPerPull), (model): Work => {
    const bare = provider(partsPerPull)
    return {
      work: `stream, ${partsPerPull === 1 ? "one part" : `${partsPerPull} parts`} a pull`,
      unit: "part",
      unitsPerRun: partCount,
      subjects: [
        { subject: bareEffect, peer: false, run: ofEffect(() => drain(bare.stream(request))) },
        { subject: "breakwater", peer: false, bare: bareEffect, run: ofEffect(() => drain(llm.stream({ prompt }))) },
        {
          subject: "breakwater, no timeouts",
          peer: false,
          bare: bareEffect,
          run: ofEffect(() => drain(unlimited.stream({ prompt })))
        },
        {
          subject: "effect LanguageModel",
          peer: true,
          bare: bareEffect,
          run: ofEffect(() => drain(model.streamText({ prompt })))
        }
      ]
    }
  })

/** The same, but that every pull gives way to the event loop before it brings its part. */
const waited = Effect.map(service(waitingProvider(1)), (llm): Work => {
  const bare = waitingProvider(1)
  return {
    work: "stream, one part a pull, each waited for",
    unit: "part",
    unitsPerRun: partCount,
    subjects: [
      { subject: bareEffect, peer: false, run: ofEffect(() => drain(bare.stream(request))) },
      { subject: "breakwater", peer: false, bare: bareEffect, run: ofEffect(() => drain(llm.stream({ prompt }))) }
    ]
  }
})

const benchmark: Benchmark = Effect.gen(function* () {
  const none = Duration.infinity
  const timeouts = { firstToken: none, idle: none, attempt: none, total: none }
  const each: Array<Work> = []
  for (const partsPerPull of [1, 20]) {
    const llm = yield* service(provider(partsPerPull))
    const unlimited = yield* service(provider(partsPerPull), { timeouts })
    each.push(yield* works(partsPerPull, llm, unlimited))
  }
  each.push(yield* waited)
  const sdk = sdkModel()
  const chain = chainModel()
  const promises: Work = {
    work: "stream, libraries of promises",
    unit: "part",
    unitsPerRun: partCount,
    subjects: [
      { subject: barePromise, peer: true, run: ofPromise(sdkBareStream) },
      {
        subject: "ai streamText",
        peer: true,
        bare: barePromise,
        run: ofPromise(() => count(streamText({ model: sdk, prompt }).fullStream))
      },
      {
        subject: "langchain stream",
        peer: true,
        bare: barePromise,
        run: ofPromise(async () => count(await chain.stream(prompt)))
      }
    ]
  }
  return [...each, promises]
})

export default benchmark
