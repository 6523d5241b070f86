/**
 * A fiber may give way between any two steps. A call that did so between looking for news and waiting for them did not
 * hear of what came meanwhile, and waited for ever; one that was interrupted between sending and the promise to close
 * left its connection open.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Scheduler from "effect/Scheduler"
import { assert, describe, it } from "vitest"
import type { HttpCall, Opened } from "../../packages/providers/src/internal/Link.ts"
import type { Wire, WireListener } from "../../packages/providers/src/internal/Wire.ts"
import * as WireLink from "../../packages/providers/src/internal/WireLink.ts"
import { sweep } from "../support/sweep.ts"

const call: HttpCall = {
  url: "http://provider.test/v1",
  headers: {},
  body: "{}",
  target: { provider: "test", model: "m" }
}

/** Answers in four turns of the event loop, and knows what is still open. */
const answering = () => {
  const state = { sent: 0, open: 0 }
  const wire: Wire = (_request, listener) => {
    state.sent++
    state.open++
    let over = false
    const close = () => {
      if (!over) state.open--
      over = true
    }
    const steps = [
      () => listener.onHead(200, {}),
      () => listener.onData(new Uint8Array(10)),
      () => listener.onData(new Uint8Array(20)),
      () => {
        close()
        listener.onEnd()
      }
    ]
    const next = () =>
      setImmediate(() => {
        const step = over ? undefined : steps.shift()
        step?.()
        if (steps.length > 0 && !over) next()
      })
    next()
    return { abort: close, pause: () => {}, resume: () => {} }
  }
  return { state, link: WireLink.make(wire) }
}

const bytesOf = ({ pull }: Opened) =>
  Effect.suspend(() => {
    let bytes = 0
    const loop: Effect.Effect<number, unknown> = Pull.matchEffect(pull, {
      onSuccess: (chunks) => {
        for (const chunk of chunks) bytes += chunk.length
        return loop
      },
      onDone: () => Effect.succeed(bytes),
      onFailure: (cause) => Effect.failCause(cause as Cause.Cause<never>)
    })
    return loop
  })

/** Runs a call whose answer comes at once before its step of that number; says whether there were as many steps. */
const answeredBefore = async (step: number, headFirst: boolean): Promise<boolean> => {
  let listener: WireListener | undefined
  let steps = 0
  let told = false
  const tell = () => {
    told = true
    if (!headFirst) listener!.onHead(200, {})
    listener!.onData(new Uint8Array(30))
    listener!.onEnd()
  }
  const { link } = {
    link: WireLink.make((_request, heard) => {
      listener = heard
      if (headFirst) setImmediate(() => heard.onHead(200, {}))
      return { abort: () => {}, pause: () => {}, resume: () => {} }
    })
  }
  const base = new Scheduler.MixedScheduler()
  const scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: () => {
      if (++steps === step && listener !== undefined) tell()
      return false
    },
    makeDispatcher: () => base.makeDispatcher()
  }
  const fiber = Effect.runFork(
    link.within(call, (opened) => bytesOf(opened) as Effect.Effect<number>),
    { scheduler }
  )
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  if (!told) {
    await Effect.runPromise(Fiber.interrupt(fiber))
    return steps >= step
  }
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, `nothing was heard before step ${step}`)
  assert.deepInclude(exit, { _tag: "Success", value: 30 })
  return true
}

describe("between any two steps", () => {
  it.each([false, true])("an answer that comes then is heard (after its head: %s)", async (headFirst) => {
    let step = 1
    while (await answeredBefore(step, headFirst)) step++
    assert.isAbove(step, 5)
  })

  for (const kind of ["within", "open"] as const) {
    it.each([undefined, 3, 4, 5])(
      `${kind} hears what comes, and leaves nothing open (yielding every %s)`,
      async (yieldEvery) => {
        let server = answering()
        const points = await sweep(
          () => {
            server = answering()
            const { link } = server
            return kind === "within"
              ? link.within(call, (opened) => bytesOf(opened) as Effect.Effect<number>)
              : Effect.scoped(Effect.flatMap(link.open(call), bytesOf))
          },
          ({ exit, point }) => {
            assert.strictEqual(server.state.open, 0, `open at point ${point}`)
            if (exit._tag === "Success") assert.strictEqual(exit.value, 30)
          },
          yieldEvery === undefined ? {} : { yieldEvery }
        )
        assert.isAbove(points, 10)
      },
      5_000
    )
  }
})
