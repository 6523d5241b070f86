/** Standard output and error: what may be written where, how wide, and whether in colours. */
import * as Effect from "effect/Effect"
import { hideSecrets } from "./Secrets.ts"
import { colours, plain, type Style } from "./render/Style.ts"

export interface Channel {
  readonly write: (text: string) => void
  readonly isTerminal: boolean
  /** Columns, between 40 and 100; 80 where nobody says. */
  readonly width: number
  readonly style: Style
}

const channel = (stream: NodeJS.WriteStream): Channel => {
  const isTerminal = stream.isTTY === true
  return {
    write: (text) => {
      stream.write(hideSecrets(text))
    },
    isTerminal,
    width: Math.min(100, Math.max(40, stream.columns || 80)),
    style: isTerminal && (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb" ? colours : plain
  }
}

export const stdout = (): Channel => channel(process.stdout)
export const stderr = (): Channel => channel(process.stderr)

/** Everything that comes in, as text. */
export const readStdin: Effect.Effect<string> = Effect.callback<string>((resume) => {
  const decoder = new TextDecoder()
  let text = ""
  const onData = (chunk: Buffer): void => {
    text += decoder.decode(chunk, { stream: true })
  }
  const done = (): void => resume(Effect.succeed(text + decoder.decode()))
  process.stdin.on("data", onData).once("end", done).once("error", done)
  return Effect.sync(() => {
    process.stdin.off("data", onData).off("end", done).off("error", done).destroy()
  })
})
