/**
 * A server that repeats in its error what it was sent put the prompt into the message of the error, and, where the
 * status was 200, the API key into its excerpt.
 */
import { Events, LLM, LLMError, LLMProvider } from "@breakwater/core"
import { Anthropic, Gemini, HttpPool, OpenAI } from "@breakwater/providers"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { withoutEcho } from "../../packages/core/src/internal/echo.ts"
import { safeMessage } from "../../packages/providers/src/internal/SafeMessage.ts"

const secretKey = "zz-KEYMARK-0123456789abcdef"
const prompt = 'PROMPTMARK: the patient "Ada",\nborn 1815, has 😀 condition PROMPTTAIL'

type Reply = (body: string, headers: IncomingHttpHeaders) => readonly [status: number, type: string, text: string]
const json = (status: number, value: unknown) => [status, "application/json", JSON.stringify(value)] as const

const replies: Readonly<Record<string, Reply>> = {
  "a validation error with its input": (body) => json(422, { detail: [{ msg: "bad", input: JSON.parse(body) }] }),
  "the body in the message": (body) =>
    json(400, { error: { type: "invalid_request_error", message: `cannot read ${body}` } }),
  "the body as text": (body) => [500, "text/plain", `error handling ${body}`],
  "the headers": (_, headers) => json(500, { error: { message: `headers ${JSON.stringify(headers)}` } }),
  "everything in a 200": (body, headers) => json(200, { headers, data: body }),
  "a web page": (body, headers) => [200, "text/html", `<html>${JSON.stringify(headers)}${body}`],
  "events that cannot be read": (body, headers) => [
    200,
    "text/event-stream",
    `data: {${body}\n\ndata: {${body}\n\ndata: {${JSON.stringify(headers)}\n\n`
  ],
  "an error in a stream": (body, headers) => [
    200,
    "text/event-stream",
    `event: error\ndata: ${JSON.stringify({ type: "error", error: { type: "api_error", message: `${body.slice(0, 220)} ${JSON.stringify(headers)}` } })}\n\n`
  ]
}

const providers = { openai: OpenAI, anthropic: Anthropic, gemini: Gemini }

const written = (error: LLMError.LLMError): ReadonlyArray<string> => [
  String(error),
  error.message,
  error.stack ?? "",
  inspect(error, { depth: 10, showHidden: true }),
  JSON.stringify(error),
  JSON.stringify(Schema.encodeSync(Schema.toCodecJson(LLMError.LLMError))(error))
]

describe("what a server repeats", () => {
  it.live.each(Object.keys(providers) as ReadonlyArray<keyof typeof providers>)("is in no error of %s", (name) =>
    Effect.gen(function* () {
      let reply: Reply = () => json(500, {})
      const server = createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const [status, type, text] = reply(Buffer.concat(chunks).toString(), request.headers)
          response.writeHead(status, { "content-type": type }).end(text)
        })
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
        () => Effect.sync(() => server.closeAllConnections()).pipe(Effect.andThen(Effect.sync(() => server.close())))
      )
      const options = {
        apiKey: Redacted.make(secretKey),
        baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
      }
      const layer = LLM.layerPreset("interactive", { targets: [`${name}/m`], retry: { retries: 0 } }).pipe(
        Layer.provide(LLMProvider.layer(providers[name].layer(options))),
        Layer.provide(HttpPool.layer())
      )
      for (const [what, each] of Object.entries(replies)) {
        reply = each
        for (const call of [Effect.asVoid(LLM.generate({ prompt })), Stream.runDrain(LLM.stream({ prompt }))]) {
          const events: Array<unknown> = []
          const error = yield* Effect.flip(
            call.pipe(
              Events.listen((event) => events.push(event)),
              Effect.provide(layer)
            )
          )
          if (!LLMError.isLLMError(error)) return assert.fail(`no error of a call: ${String(error)}`)
          for (const text of [...written(error), JSON.stringify(events)]) {
            for (const secret of ["KEYMARK", "PROMPTMARK", "PROMPTTAIL"]) assert.notInclude(text, secret, what)
          }
        }
      }
    }).pipe(Effect.scoped)
  )

  it("is found through escapes, quotes and cuts", () => {
    const text = 'Äpfel "und"\nBirnen:\t1.000 Stück 😀 bitte'
    for (const form of [text, JSON.stringify(text), JSON.stringify(JSON.stringify(text)), text.replace(/\s+/g, " ")]) {
      assert.match(withoutEcho(`cannot read ${form} at 3`, [text]), /^cannot read ["\\]*\[prompt\]["\\]* at 3$/)
    }
    const ascii = JSON.stringify(text).replace(
      /[^\x20-\x7e]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
    )
    assert.match(withoutEcho(`cannot read ${ascii} at 3`, [text]), /^cannot read "\[prompt\]" at 3$/)
    assert.strictEqual(withoutEcho(`near: ${text.slice(3, 30)}...`, [`${text} and more`]).includes("Birnen"), false)
    assert.strictEqual(withoutEcho("cannot read hunter22!", ["hunter22"]), "cannot read [prompt]!")
  })

  it("leaves what is not repeated", () => {
    const message = "Unsupported parameter: 'max_tokens' is not supported with this model."
    assert.strictEqual(withoutEcho(message, ["What is the max_tokens of this model?", "model", ""]), message)
    assert.strictEqual(
      safeMessage("Unknown name skip_special_tokens in sketch"),
      "Unknown name skip_special_tokens in sketch"
    )
    assert.strictEqual(safeMessage("bad sk-proj-abc_DEF123 and AIzaSyA1234567"), "bad [key] and [key]")
  })

  it("is found in a prompt of megabytes without delay", () => {
    const long = "lorem ipsum dolor sit amet consectetur ".repeat(50_000)
    const startedAt = performance.now()
    assert.strictEqual(withoutEcho(`too long: ${long.slice(0, 299)}`, [long]), "too long: [prompt]")
    assert.isBelow(performance.now() - startedAt, 2_000)
  })
})
