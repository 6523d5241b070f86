/** What the gateway remembers of its requests, and tells of them as they happen: made from the policies' events. */
import { Event } from "@breakwater/core"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LiveHub } from "./internal/LiveHub.ts"
import { RecentRequests } from "./internal/RecentRequests.ts"

export interface Watching {
  readonly recent: RecentRequests
  readonly live: LiveHub
}

const make = (clock: Clock.Clock): Watching => ({
  recent: new RecentRequests(() => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000),
  live: new LiveHub(() => clock.currentTimeMillisUnsafe())
})

/** Who watches; a gateway that is put together without {@link layer} has an empty one. */
export const Watch = Context.Reference<Watching>("@breakwater/gateway/Watch", {
  defaultValue: () => ({ recent: new RecentRequests(() => 0), live: new LiveHub(() => 0) })
})

/** Listens to the events, beside whoever listens already. */
export const layer: Layer.Layer<never> = Layer.effectContext(
  Effect.gen(function* () {
    const watching = make(yield* Clock.Clock)
    const outer = yield* Event.EventSink
    const sink = (event: Event.PolicyEvent): void => {
      watching.recent.record(event)
      watching.live.publish(event)
      outer?.(event)
    }
    return Context.make(Watch, watching).pipe(Context.add(Event.EventSink, sink))
  })
)
