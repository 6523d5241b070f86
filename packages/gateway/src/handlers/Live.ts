/** `GET /admin/events`: what the policies do as they do it, and every two seconds where things stand. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Engine } from "../config/Build.ts"
import type { ClientGone, Exchange } from "../internal/Exchange.ts"
import type { LiveHub, Reader } from "../internal/LiveHub.ts"
import { type Problem, problem } from "../internal/Problem.ts"

const snapshotEveryMs = 2_000
const heartbeatEveryMs = 15_000
/** Events are gathered this long, so that a busy gateway writes few large pieces. */
const gather = "50 millis"
/** How often the stream looks whether it should end. */
const look = "250 millis"

const tooMany = problem("overloaded", "Too many readers follow the events.", { retryAfterMs: 5_000 })

/** What the stream needs of its surroundings. */
export interface LiveOptions {
  readonly hub: LiveHub
  /** The body of `/admin/snapshot`. */
  readonly snapshot: (engine: Engine) => Effect.Effect<string>
  /** Whether a reader may stay: the server is not stopping, and the configuration is still in force. */
  readonly mayStay: (exchange: Exchange) => boolean
  /** A stream that lasts for hours is no request that a shutdown waits for, or that takes up room. */
  readonly detach: (exchange: Exchange) => void
}

const ready = (reader: Reader): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const takeBack = reader.onReady(() => resume(Effect.void))
    return Effect.sync(takeBack)
  })

const written = ({ dropped, events }: ReturnType<Reader["take"]>): string => {
  const lost = dropped === 0 ? "" : `event: dropped\ndata: {"count":${dropped}}\n\n`
  return lost + events.map((event) => `event: policy\ndata: ${event}\n\n`).join("")
}

const follow = (exchange: Exchange, reader: Reader, options: LiveOptions): Effect.Effect<void, ClientGone> =>
  Effect.gen(function* () {
    let snapshotAt = 0
    let heartbeatAt = 0
    while (options.mayStay(exchange)) {
      const nowMs = Number(yield* Clock.monotonicTimeNanos) / 1_000_000
      let text = written(reader.take())
      if (nowMs >= snapshotAt) {
        snapshotAt = nowMs + snapshotEveryMs
        text += `event: snapshot\ndata: ${yield* options.snapshot(exchange.engine)}\n\n`
      }
      if (nowMs >= heartbeatAt) {
        heartbeatAt = nowMs + heartbeatEveryMs
        text += ": still here\n\n"
      }
      if (text !== "") yield* exchange.write(text)
      yield* Effect.timeoutOrElse(ready(reader), { duration: look, orElse: () => Effect.void })
      yield* Effect.sleep(gather)
    }
  })

/** The stream. It ends when the configuration changes, and the reader comes again. */
export const events =
  (options: LiveOptions) =>
  (exchange: Exchange): Effect.Effect<void, Problem | ClientGone> => {
    // Who asks for the headers alone would wait for the end of a stream that has none.
    if (exchange.req.method === "HEAD") return exchange.send(200, "", "text/event-stream; charset=utf-8")
    return Effect.acquireUseRelease(
      Effect.suspend(() => {
        const reader = options.hub.join()
        return reader === undefined ? Effect.fail(tooMany) : Effect.succeed(reader)
      }),
      (reader) =>
        Effect.suspend(() => {
          options.detach(exchange)
          exchange.begin()
          return Effect.andThen(
            follow(exchange, reader, options),
            Effect.sync(() => exchange.end())
          )
        }),
      (reader) => Effect.sync(() => options.hub.leave(reader))
    )
  }
