/** The body of a request: read up to its limit, parsed once, and never nested too deep. */
import * as Effect from "effect/Effect"
import type { Exchange } from "./Exchange.ts"
import { bodyOf } from "../wire/openai/Decode.ts"
import type { Fields } from "./Fields.ts"
import { isProblem, type Problem, problem } from "./Problem.ts"

const tooLarge = (limit: number): Problem => problem("too-large", `The body is larger than ${limit} bytes.`)

const unfinished = problem("invalid-request", "The body ended before its announced length.")

/** How deep JSON text is nested, counted without parsing it; stops above `limit`. */
export const isDeeper = (bytes: Buffer, limit: number): boolean => {
  let depth = 0
  let inText = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (inText) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) inText = false
    } else if (byte === 0x22) inText = true
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return false
}

const read = ({ req, settings }: Exchange): Effect.Effect<Buffer, Problem> =>
  Effect.callback((resume) => {
    const limit = settings.bodyBytes
    if (Number(req.headers["content-length"] ?? 0) > limit) {
      resume(Effect.fail(tooLarge(limit)))
      return
    }
    let only: Buffer | undefined
    let chunks: Array<Buffer> | undefined
    let size = 0
    let over = false
    const stop = () => {
      over = true
      req.off("data", onData)
    }
    const fail = (problem: Problem) => {
      if (over) return
      stop()
      resume(Effect.fail(problem))
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > limit) fail(tooLarge(limit))
      else if (only === undefined) only = chunk
      else (chunks ??= [only]).push(chunk)
    }
    req.on("data", onData)
    // These stay: taking listeners off costs more than to ask whether it is over.
    req.once("end", () => {
      if (over) return
      over = true
      resume(Effect.succeed(chunks === undefined ? (only ?? Buffer.alloc(0)) : Buffer.concat(chunks, size)))
    })
    req.once("close", () => fail(unfinished))
    return Effect.sync(stop)
  })

const utf8 = new TextDecoder("utf-8", { fatal: true })

const parse = (bytes: Buffer, depth: number): Fields | Problem => {
  if (bytes.length === 0) return problem("invalid-request", "The body is empty; it must be a JSON object.")
  if (isDeeper(bytes, depth)) return problem("invalid-request", `The body is nested deeper than ${depth} levels.`)
  try {
    return bodyOf(JSON.parse(utf8.decode(bytes)))
  } catch (error) {
    return problem(
      "invalid-request",
      error instanceof SyntaxError ? "The body is not valid JSON." : "The body is not valid UTF-8."
    )
  }
}

/** The body as an object. */
export const readJson = (exchange: Exchange): Effect.Effect<Fields, Problem> => {
  const { "content-encoding": encoding = "identity", "content-type": type } = exchange.req.headers
  if (encoding !== "identity") {
    return Effect.fail(problem("unsupported-media-type", "Compressed bodies are not supported."))
  }
  if (type !== undefined && !/\bjson\b/i.test(type)) {
    return Effect.fail(problem("unsupported-media-type", "The body must be application/json."))
  }
  return Effect.flatMap(read(exchange), (bytes) => {
    const body = parse(bytes, exchange.settings.depth)
    return isProblem(body) ? Effect.fail(body) : Effect.succeed(body)
  })
}
