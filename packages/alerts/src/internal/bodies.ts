/** What webhooks say. */
import type { Notification } from "../Notifier.ts"
import { oneLine } from "./text.ts"

/** Lines of a timeline that go along, and characters of a message's block. */
const lines = 50
const blockCharacters = 2_900

/** For programs: the notification with its incident, the timeline cut to its last lines. */
export const jsonBody = ({ incident, ...rest }: Notification): string =>
  JSON.stringify({
    type: "breakwater.alert",
    version: 1,
    ...rest,
    ...(incident === undefined ? {} : { incident: { ...incident, timeline: incident.timeline.slice(-lines) } })
  })

/** The three characters that mean something in Slack's text. */
const escaped = (text: string): string =>
  oneLine(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** Cut to its size, neither within a character nor within what stands for one. */
const cut = (text: string): string =>
  text.length <= blockCharacters
    ? text
    : `${text.slice(0, blockCharacters - 1).replace(/&[a-z]{0,3}$|[\ud800-\udbff]$/, "")}…`

const marks = { firing: "🔴", reminder: "🟠", resolved: "🟢" } as const
const words = { firing: "fires", reminder: "fires still", resolved: "is resolved" } as const

/** For people: Slack's incoming webhooks, and those of chats that take the same. */
export const slackBody = ({ alert, incident, status }: Notification): string => {
  const title = cut(escaped(`${marks[status]} ${alert.id} ${words[status]}: ${alert.summary}`))
  const [cause] = incident?.causes ?? []
  const more = [
    `severity *${alert.severity}*`,
    ...(alert.runbook === undefined ? [] : [`runbook: ${escaped(alert.runbook)}`]),
    ...(cause === undefined || cause.name === "unknown"
      ? []
      : [
          `suspected: *${cause.name}*: ${escaped(cause.sentence)}`,
          ...cause.evidence.map((each) => `• ${escaped(each)}`)
        ]),
    ...(incident === undefined
      ? []
      : [`${incident.requests.failure} of ${incident.requests.success + incident.requests.failure} calls failed`])
  ].join("\n")
  const block = (text: string) => ({ type: "section", text: { type: "mrkdwn", text } })
  return JSON.stringify({ text: title, blocks: [block(`*${title}*`), block(cut(more))] })
}
