/**
 * Reads `text/event-stream`. The browser's own EventSource cannot send a key, so the stream is read with fetch, and its
 * text with this.
 */

export interface ServerEvent {
  readonly event: string
  readonly data: string
}

/** A message that is longer than this is no message of the gateway's. */
const longest = 8 * 1024 * 1024

/** Takes pieces of text as they come and answers with the events that are whole by then. */
export class EventParser {
  private rest = ""

  push(piece: string): ReadonlyArray<ServerEvent> {
    this.rest += piece
    // A carriage return at the end may be half of a line's end.
    const held = this.rest.endsWith("\r") ? 1 : 0
    const text = this.rest
      .slice(0, this.rest.length - held)
      .replaceAll("\r\n", "\n")
      .replaceAll("\r", "\n")
    const blocks = text.split("\n\n")
    this.rest = blocks.pop()! + (held === 1 ? "\r" : "")
    if (this.rest.length > longest) throw new Error("The stream's message is too long.")
    return blocks.flatMap(parsed)
  }
}

const parsed = (block: string): ReadonlyArray<ServerEvent> => {
  let event = "message"
  const data: Array<string> = []
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":")
    if (colon === 0 || line === "") continue
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "")
    if (field === "event") event = value
    else if (field === "data") data.push(value)
  }
  return data.length === 0 ? [] : [{ event, data: data.join("\n") }]
}
