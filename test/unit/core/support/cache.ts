/** Calls and answers for the tests of the caches. */
import type { Call, Cache, CacheStore, Event } from "@breakwater/core"
import { LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export const target = "openai/gpt"

export interface CallParts {
  readonly prompt?: string
  readonly tenant?: string
  readonly request?: Partial<Cache.CacheCall["request"]>
  readonly controls?: Cache.CacheControls
  readonly rest?: Partial<Cache.CacheCall>
}

export const callOf = ({
  controls,
  prompt = "Hello",
  request,
  rest,
  tenant = "acme"
}: CallParts = {}): Cache.CacheCall => ({
  context: { tenant },
  target,
  request: { model: "gpt", messages: [{ role: "user", content: prompt }], temperature: 0, ...request },
  requestId: "mine",
  ...(controls === undefined ? {} : { controls }),
  ...rest
})

const attempt: Call.AttemptRecord = {
  attempt: 1,
  target,
  outcome: "success",
  startedAt: 0,
  tookMs: 5,
  waitedMs: 0
}

export const responseOf = (text: string, rest: Partial<Call.LLMResponse> = {}): Call.LLMResponse => ({
  content: [{ type: "text", text }],
  finishReason: "stop",
  usage: { inputTokens: 10, outputTokens: 5 },
  id: "r1",
  limits: { requests: { remaining: 3 } },
  text,
  requestId: "leader",
  target,
  attempts: [attempt],
  ...rest
})

export const partsOf = (...texts: ReadonlyArray<string>): ReadonlyArray<Call.LLMStreamPart> => [
  { type: "target", target, attempt: 1, continues: false },
  { type: "response-metadata", id: "r1", model: "gpt-1", limits: { requests: { remaining: 3 } } },
  ...texts.map((delta) => ({ type: "text-delta", delta }) as const),
  {
    type: "finish",
    reason: "stop",
    usage: { inputTokens: 10, outputTokens: texts.length },
    requestId: "leader",
    target,
    attempts: [attempt]
  }
]

/** An effect that counts its runs. */
export const counted = <A, E>(effect: Effect.Effect<A, E>) => {
  const state = { runs: 0, interrupted: 0 }
  const run = Effect.suspend(() => {
    state.runs++
    return Effect.onInterrupt(effect, () => Effect.sync(() => state.interrupted++))
  })
  return { state, run }
}

/** A stream that counts how often it is opened, closed, and how far it is read. */
export const countedStream = <A, E>(stream: Stream.Stream<A, E>) => {
  const state = { opened: 0, closed: 0, parts: 0 }
  const run = Stream.suspend(() => {
    state.opened++
    return stream
  }).pipe(
    Stream.tap(() => Effect.sync(() => state.parts++)),
    Stream.ensuring(Effect.sync(() => state.closed++))
  )
  return { state, run }
}

export const textOf = (parts: Iterable<Call.LLMStreamPart>): string => {
  let text = ""
  for (const part of parts) if (part.type === "text-delta") text += part.delta
  return text
}

export const finishOf = (parts: Iterable<Call.LLMStreamPart>): Call.CompletePart | undefined => {
  let finish: Call.CompletePart | undefined
  for (const part of parts) if (part.type === "finish") finish = part
  return finish
}

export const down = new LLMError.ServerError({ message: "down" })

export const storeDown = (operation: string) =>
  new LLMError.StoreError({ message: "store down", store: "test", operation })

/** A store that answers only through effects, as one over a network does. */
export const farStore = (
  near: CacheStore.CacheStoreService,
  change: Partial<CacheStore.CacheStoreService> = {}
): CacheStore.CacheStoreService => {
  const { local: _, ...rest } = near
  return { ...rest, name: "far", ...change }
}

/** The types of events, with their reasons. */
export const recorder = () => {
  const events: Array<Event.PolicyEvent> = []
  return {
    events,
    record: (event: Event.PolicyEvent) => {
      events.push(event)
    },
    told: () => events.map((event) => ("reason" in event ? `${event.type}:${event.reason}` : event.type))
  }
}
