/** What the demonstration shows while it plays. */
import type { Event } from "@breakwater/core"
import { harmless, oneLine } from "../render/Style.ts"
import { table } from "../render/Table.ts"
import { time } from "../render/Time.ts"
import { Flow } from "../render/Wrap.ts"
import type { Channel } from "../Terminal.ts"
import { sceneOf } from "./Faults.ts"
import type { Played, Watcher } from "./Run.ts"
import type { Stage } from "./Stage.ts"

const margin = "      "

/** The first lines. */
export const opening = (stage: Stage, prompts: number, out: Channel): string => {
  const { bold, cyan, dim } = out.style
  const rows = [
    [dim("prompts"), String(prompts)],
    [dim("targets"), stage.targets.map(cyan).join(" → ")],
    [dim("limits"), stage.limits]
  ]
  return `${bold("breakwater demo")} ${dim("·")} ${stage.headline}\n\n${table(rows, { indent: "  ", width: out.width })}\n\n`
}

/** Writes the play, line by line, as it happens. */
export const watcher = (stage: Stage, count: number, out: Channel): Watcher => {
  const { bold, cyan, dim, green, red, yellow } = out.style
  let flow = new Flow(margin, out.width)
  /** Why the next attempt is made. */
  let why = "asks"
  const line = (text: string): void => out.write(`${flow.end()}${text}\n`)
  const step = (sign: string, text: string): void => line(`    ${sign} ${text}`)

  /** In two lines: the message is what one learns from. */
  const failed = ({ error, tookMs }: Event.AttemptFailed): void => {
    step(red("✗"), red(`${error._tag} after ${time(tookMs)}`))
    line(`${margin}${dim(oneLine(error.message, out.width - margin.length))}`)
  }

  const event = (each: Event.PolicyEvent): void => {
    switch (each.type) {
      case "attempt-started":
        step(dim("→"), `${why} ${cyan(each.target)}`)
        why = "asks"
        return
      case "attempt-failed":
        return failed(each)
      case "retry-scheduled":
        why = "asks again:"
        return step(
          yellow("…"),
          yellow(`waits ${time(each.delayMs)}${each.error.retryAfter === undefined ? "" : ", as the provider asked"}`)
        )
      case "failed-over":
        why = `${yellow("switches to")}`
        return
      case "stream-continued":
        return step(
          yellow("↻"),
          yellow(
            `goes on after ${each.characters} characters, ${each.method === "prefill" ? "from where it broke" : "in the same words"}`
          )
        )
      case "malformed-event":
        return step(yellow("!"), yellow("leaves out a piece that cannot be read"))
      default:
        return
    }
  }

  return {
    begins: (index, prompt) => {
      flow = new Flow(margin, out.width)
      why = "asks"
      const number = `${index + 1}/${count}`.padStart(5)
      line(`${dim(number)} ${bold(oneLine(prompt, out.width - 6))}`)
      if (stage.mode === "upstream") line(`${margin}${dim(`the provider: ${sceneOf(index).what}`)}`)
    },
    text: (delta) => out.write(flow.push(harmless(delta))),
    event,
    ends: (played) => {
      step(played.answered ? green("✓") : red("✗"), `${ending(played, out)}\n`)
    }
  }
}

const ending = ({ answered, attempts, error, lostMs, target, tookMs }: Played, out: Channel): string => {
  const { dim, green, red } = out.style
  if (!answered)
    return red(`no answer: ${error === undefined ? "" : oneLine(`${error.tag}: ${error.message}`, out.width - 20)}`)
  const lost = lostMs < 1 ? "" : ` (${time(lostMs)} lost)`
  return (
    green(`${target ?? ""} answered`) +
    dim(` · ${attempts.length} ${attempts.length === 1 ? "attempt" : "attempts"} · ${time(tookMs)}${lost}`)
  )
}
