/**
 * One call through the pipeline, over a provider whose answer is there at once.
 */
import { Event, LLM } from "@breakwater/core"
import { generateText } from "ai"
import * as cockatiel from "cockatiel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { bareEffect, barePromise, type Benchmark, ofEffect, ofPromise, type Work } from "./harness.ts"
import { chainWholeModel, languageModel, prompt, presetService, provider, sdkModel, service } from "./support/fakes.ts"

/** A tracer that makes spans and keeps none. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

const benchmark: Benchmark = Effect.gen(function* () {
  const bare = provider(1)
  const request = { model: "model", messages: [{ role: "user" as const, content: prompt }] }
  const llm = yield* service(bare)
  const unlimited = yield* service(bare, {
    timeouts: { attempt: Duration.infinity, total: Duration.infinity },
    retryBudget: "off"
  })
  const preset = yield* presetService(bare)
  const call = Effect.orDie(llm.generate({ prompt }))
  const events: Array<Event.PolicyEvent> = []
  const listened = Effect.provideService(call, Event.EventSink, (event) => {
    events[0] = event
  })
  const traced = Effect.withTracer(call, tracer)
  const model = yield* languageModel(1)
  const sdk = sdkModel()
  const sdkRequest = { prompt: [{ role: "user" as const, content: [{ type: "text" as const, text: prompt }] }] }
  const cock = cockatiel.wrap(
    cockatiel.retry(cockatiel.handleAll, { maxAttempts: 2, backoff: new cockatiel.ExponentialBackoff() }),
    cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: 30_000,
      breaker: new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 60_000, minimumRps: 1 })
    }),
    cockatiel.bulkhead(1_000),
    cockatiel.timeout(60_000, cockatiel.TimeoutStrategy.Aggressive)
  )
  const chain = chainWholeModel()
  const work: Work = {
    work: "pipeline, one call",
    subjects: [
      { subject: bareEffect, peer: false, run: ofEffect(() => Effect.orDie(bare.generate(request))) },
      {
        subject: "breakwater",
        peer: false,
        bare: bareEffect,
        run: ofEffect(() => Effect.orDie(llm.generate({ prompt })))
      },
      {
        subject: "breakwater, no timeouts, no retry budget",
        peer: false,
        bare: bareEffect,
        run: ofEffect(() => Effect.orDie(unlimited.generate({ prompt })))
      },
      {
        subject: "breakwater, preset interactive",
        peer: false,
        bare: bareEffect,
        run: ofEffect(() => Effect.orDie(preset.generate({ prompt })))
      },
      {
        subject: "breakwater, LLM taken from the context",
        peer: false,
        bare: bareEffect,
        run: ofEffect(() => Effect.provideService(Effect.orDie(LLM.generate({ prompt })), LLM.LLM, llm))
      },
      { subject: "breakwater, events listened to", peer: false, bare: bareEffect, run: ofEffect(() => listened) },
      { subject: "breakwater, traced", peer: false, bare: bareEffect, run: ofEffect(() => traced) },
      {
        subject: "effect LanguageModel",
        peer: true,
        bare: bareEffect,
        run: ofEffect(() => Effect.orDie(model.generateText({ prompt })))
      },
      { subject: barePromise, peer: true, run: ofPromise(async () => await sdk.doGenerate(sdkRequest)) },
      {
        subject: "cockatiel, wrap of four",
        peer: true,
        bare: barePromise,
        run: ofPromise(() => cock.execute(() => sdk.doGenerate(sdkRequest)))
      },
      {
        subject: "ai generateText",
        peer: true,
        bare: barePromise,
        run: ofPromise(() => generateText({ model: sdk, prompt }))
      },
      { subject: "langchain invoke", peer: true, bare: barePromise, run: ofPromise(() => chain.invoke(prompt)) }
    ]
  }
  return [work]
})

export default benchmark
