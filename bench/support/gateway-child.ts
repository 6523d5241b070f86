/**
 * The other processes of the gateway's benchmark: `upstream`, `proxy URL`, `gateway URL`. Each prints its port and runs
 * until its standard input ends.
 */
import * as Http from "node:http"
import type * as Net from "node:net"

const pieces = 50

const event = (json: unknown): string => `data: ${JSON.stringify(json)}\n\n`
const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_790_000_000, model: "m" }
const usage = { prompt_tokens: 12, completion_tokens: pieces, total_tokens: pieces + 12 }
const whole = JSON.stringify({
  ...head,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "word ".repeat(pieces) }, finish_reason: "stop" }],
  usage
})
const chunk = event({ ...head, choices: [{ index: 0, delta: { content: "word " }, finish_reason: null }] })
const last = `${event({ ...head, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}${event({ ...head, choices: [], usage })}data: [DONE]\n\n`

/** Answers at once; streams in pieces that each leave for themselves. */
const upstream = (): Http.Server =>
  Http.createServer((req, res) => {
    let body = ""
    req.on("data", (data: Buffer) => (body += data.toString()))
    req.on("end", () => {
      if (!body.includes('"stream":true')) {
        res.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(whole) })
        res.end(whole)
        return
      }
      res.writeHead(200, { "content-type": "text/event-stream" })
      let left = pieces
      const next = (): void => {
        if (left-- === 0) {
          res.end(last)
          return
        }
        res.write(chunk)
        setImmediate(next)
      }
      next()
    })
  })

/** What a gateway cannot be faster than: bytes in, bytes out. */
const proxy = (target: string): Http.Server => {
  const agent = new Http.Agent({ keepAlive: true, maxSockets: 256 })
  const { hostname, port } = new URL(target)
  return Http.createServer((req, res) => {
    const out = Http.request(
      { agent, hostname, port, path: req.url, method: req.method, headers: req.headers },
      (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(res)
      }
    )
    out.on("error", () => res.destroy())
    req.pipe(out)
  })
}

const listening = (server: Http.Server): void => {
  server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as Net.AddressInfo).port}\n`))
}

/** Loaded by its own process only, so that the others are as small as they are. */
const gateway = async (target: string): Promise<void> => {
  const { Gateway } = await import("@breakwater/gateway")
  const Effect = await import("effect/Effect")
  const config = {
    providers: {
      p: { type: "openai-compatible", baseUrl: `${target}/v1`, apiKey: "x" },
      q: { type: "openai-compatible", baseUrl: `${target}/v1`, apiKey: "x" }
    }
  }
  const program = Effect.flatMap(Gateway.make(config), ({ port }) => {
    process.stdout.write(`${port}\n`)
    return Effect.never
  })
  Effect.runFork(Effect.scoped(program))
}

const [role, target = ""] = process.argv.slice(2)
process.stdin.resume().on("end", () => process.exit(0))
if (role === "upstream") listening(upstream())
else if (role === "proxy") listening(proxy(target))
else await gateway(target)
