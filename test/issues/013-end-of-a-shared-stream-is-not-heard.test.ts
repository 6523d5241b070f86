/**
 * A reader of a shared stream that gave way between looking for the next chunk and waiting for it did not hear that the
 * stream had ended meanwhile, and waited for ever.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import { assert, it } from "vitest"
import { SharedStreams } from "../../packages/core/src/internal/sharedStreams.ts"

const turns = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Reads a stream whose end comes while its reader gives way before its step of that number; says whether it was reached. */
const endedBefore = async (step: number): Promise<boolean> => {
  let steps = 0
  let told = false
  let end: (() => void) | undefined
  let sent = false
  const source = Stream.fromPull<string, never, never, never, never>(
    Effect.succeed(
      Effect.suspend(() => {
        const first = !sent
        sent = true
        if (first) return Effect.succeed<readonly [string]>(["last"])
        return Effect.callback<never, Cause.Done>((resume) => {
          end = () => resume(Cause.done())
        })
      })
    )
  )
  const shared = new SharedStreams<string, never>()
  const read = shared.share("key", {
    run: source,
    follow: (chunk) => chunk,
    again: () => false,
    owner: { deadlineMs: Infinity, account: "" },
    isLast: () => true,
    bytesOf: () => 1,
    maxBytes: 100,
    after: () => undefined,
    keep: true,
    limitMs: Infinity,
    onLimit: () => undefined as never
  })
  const base = new Scheduler.MixedScheduler()
  let root: Fiber.Fiber<ReadonlyArray<string>> | undefined
  const scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => {
      if (fiber !== root || ++steps !== step || end === undefined) return false
      told = true
      end()
      return true
    },
    makeDispatcher: () => base.makeDispatcher()
  }
  // It reads slowly, so that the source waits for its end by then.
  const slow = Effect.andThen(Effect.yieldNow, Stream.runCollect(Stream.tap(read, () => Effect.promise(turns))))
  root = Effect.runFork(slow, { scheduler })
  await turns()
  await turns()
  if (!told) {
    await Effect.runPromise(Fiber.interrupt(root))
    return steps >= step
  }
  await turns()
  assert.deepInclude(root.pollUnsafe(), { _tag: "Success", value: ["last"] }, `not heard before step ${step}`)
  assert.strictEqual(shared.size, 0)
  return true
}

it("the end of a shared stream is heard whenever it comes", async () => {
  let step = 1
  while (await endedBefore(step)) step++
  assert.isAbove(step, 20)
})
