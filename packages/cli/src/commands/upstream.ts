/** `breakwater upstream`: the misbehaving server, to try clients against. */
import { Upstream } from "@breakwater/testing"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { Ended, report } from "../Failure.ts"
import { onInterrupt } from "../ExitCode.ts"
import type { Style } from "../render/Style.ts"
import { table } from "../render/Table.ts"
import { stderr, stdout } from "../Terminal.ts"

/** What the server can do, for a reader. */
const faultTable = (url: string, style: Style, width: number): string => {
  const rows = Upstream.faults.map(({ model, parameter, what }) => [
    style.cyan(parameter === undefined ? model : `${model}:N`),
    parameter === undefined ? what : `${what}; N: ${parameter}`
  ])
  return `
${style.bold("Each model misbehaves in one way")} (any other name is good, and any key will do):

${table(rows, { indent: "  ", width })}

Any model takes ?after=N (good for its first N calls) and ?times=N (faulty N times), as in silence?after=2.

  OpenAI's wire     ${url}/v1/chat/completions
  Anthropic's wire  ${url}/v1/messages
  what came in      ${url}/_control/stats

Ctrl-C ends it. Try:

  ${style.bold(`npx breakwater chat "Hello" --base-url ${url}/v1 --model cut-stream --fallback good --stream-policy continue -v`)}
`
}

interface Input {
  readonly port: number
  readonly host: string
  readonly wordDelay: number
}

const serve = (input: Input) =>
  Effect.gen(function* () {
    const server = yield* Upstream.make(input)
    const out = stdout()
    onInterrupt(0)
    out.write(`listening on ${server.url}\n`)
    out.write(faultTable(server.url, out.style, out.width))
    return yield* Effect.never
  })

const run = (input: Input): Effect.Effect<void, Ended> =>
  Effect.scoped(serve(input)).pipe(
    Effect.catch((error) => {
      const { message, tag } = report(error)
      stderr().write(
        `${stderr().style.red("error")} ${tag}: ${message.replace(/^(port|wordDelay) is/, (_, name) =>
          name === "port" ? "--port is" : "--word-delay is"
        )}\n`
      )
      return Effect.fail(new Ended({ code: 1 }))
    })
  )

export const upstream = Command.make(
  "upstream",
  {
    port: Flag.Int("port").pipe(
      Flag.withMetavar("number"),
      Flag.withDescription("Where to listen; 0, the default, is any free port"),
      Flag.withDefault(0)
    ),
    host: Flag.String("host").pipe(
      Flag.withMetavar("address"),
      Flag.withDescription("The address to listen on (default: 127.0.0.1)"),
      Flag.withDefault("127.0.0.1")
    ),
    wordDelay: Flag.Finite("word-delay").pipe(
      Flag.withMetavar("ms"),
      Flag.withDescription("Milliseconds a word of an answer takes (default: 0)"),
      Flag.withDefault(0)
    )
  },
  run
).pipe(
  Command.withDescription(
    "Run a server that speaks OpenAI's and Anthropic's wire and misbehaves on demand: the model's name says how, " +
      "and the list of them is printed at the start. It needs no key and answers with invented words."
  ),
  Command.withShortDescription("Run a server that misbehaves on demand"),
  Command.withExamples([
    { command: "breakwater upstream --port 8080", description: "On a fixed port" },
    { command: "breakwater upstream --word-delay 30", description: "With answers that take their time" }
  ])
)
