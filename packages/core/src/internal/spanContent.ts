/**
 * Prompts and answers as attributes of spans, by the OpenTelemetry conventions for generative AI: messages of parts, as
 * JSON. Every text goes through the program's redaction, and all of them together are cut to a size.
 */
import type { Message, MessagePart } from "../domain/Message.ts"
import type { ContentPart, FinishReason, StreamPart } from "../domain/Response.ts"
import { finishReason } from "./genAi.ts"

/** Where a text stands. */
export interface ContentPlace {
  readonly direction: "system" | "input" | "output"
  readonly role: "system" | "user" | "assistant" | "tool"
  /** Parameters and results of tools come as JSON. */
  readonly kind: "text" | "reasoning" | "tool-params" | "tool-result" | "uri"
}

export interface ContentSettings {
  readonly redact: ((text: string, place: ContentPlace) => string) | undefined
  readonly maxCharacters: number
}

/** One attribute, and whether something of it was left out. */
export interface Captured {
  readonly json: string | undefined
  readonly truncated: boolean
}

type Part = Readonly<Record<string, unknown>>

/** So much more is read than is kept, so that a redaction sees the whole of what would be cut in the middle. */
const ahead = 1_000

/** Room for so many characters. */
class Room {
  truncated = false
  private left: number
  private readonly redact: ContentSettings["redact"]

  constructor({ maxCharacters, redact }: ContentSettings) {
    this.left = maxCharacters
    this.redact = redact
  }

  get full(): boolean {
    return this.left <= 0
  }

  text(text: string, place: ContentPlace): string {
    const cut = text.length > this.left + ahead ? text.slice(0, this.left + ahead) : text
    const safe = this.redact === undefined ? cut : redacted(this.redact, cut, place)
    const kept = safe.length > this.left ? safe.slice(0, this.left) : safe
    this.left -= kept.length
    if (kept.length === safe.length && cut.length === text.length) return kept
    this.truncated = true
    return `${kept.toWellFormed()}…`
  }
}

/** A redaction that fails must not let the text through. */
const redacted = (redact: NonNullable<ContentSettings["redact"]>, text: string, place: ContentPlace): string => {
  try {
    const safe: unknown = redact(text, place)
    return typeof safe === "string" ? safe : "[redaction failed]"
  } catch {
    return "[redaction failed]"
  }
}

const jsonOf = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? "null"
  } catch {
    return "[not JSON]"
  }
}

/** The value as it is, or its JSON where that was redacted or cut. */
const valueOf = (value: unknown, room: Room, place: ContentPlace): unknown => {
  const json = jsonOf(value)
  const kept = room.text(json, place)
  return kept === json ? value : kept
}

const modalityOf = (mediaType: string): string => mediaType.split("/")[0] ?? "file"

/** A file is told by its kind and size; of one elsewhere, by its address. */
const filePart = (mediaType: string, data: unknown, room: Room, place: Omit<ContentPlace, "kind">): Part => {
  const common = { modality: modalityOf(mediaType), mime_type: mediaType }
  const address = data instanceof URL ? data.href : typeof data === "string" && /^https?:/.test(data) ? data : undefined
  if (address !== undefined) return { type: "uri", ...common, uri: room.text(address, { ...place, kind: "uri" }) }
  const size = typeof data === "string" ? data.length : data instanceof Uint8Array ? data.byteLength : 0
  room.truncated = true
  return { type: "blob", ...common, content: `[${size} left out]` }
}

const partOf = (part: MessagePart | ContentPart, room: Room, place: Omit<ContentPlace, "kind">): Part => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return { type: part.type, content: room.text(part.text, { ...place, kind: part.type }) }
    case "tool-call": {
      const params = valueOf(part.params, room, { ...place, kind: "tool-params" })
      return { type: "tool_call", id: part.id, name: part.name, arguments: params }
    }
    case "tool-result": {
      const result = valueOf(part.result, room, { ...place, kind: "tool-result" })
      return { type: "tool_call_response", id: part.id, response: result }
    }
    case "file":
      return filePart(part.mediaType, part.data, room, place)
    default:
      return { type: part.type }
  }
}

const partsOf = (message: Message, room: Room, direction: ContentPlace["direction"]): ReadonlyArray<Part> => {
  const place = { direction, role: message.role } as const
  const content: string | ReadonlyArray<MessagePart> = message.content
  return typeof content === "string"
    ? [{ type: "text", content: room.text(content, { ...place, kind: "text" }) }]
    : content.map((part) => partOf(part, room, place))
}

/** `gen_ai.system_instructions`: the system messages that the conversation begins with. */
export const systemInstructions = (messages: ReadonlyArray<Message>, settings: ContentSettings): Captured => {
  const room = new Room(settings)
  const end = messages.findIndex((message) => message.role !== "system")
  const system = end < 0 ? messages : messages.slice(0, end)
  const parts = system.flatMap((message) => partsOf(message, room, "system"))
  return { json: parts.length === 0 ? undefined : JSON.stringify(parts), truncated: room.truncated }
}

/** `gen_ai.input.messages`: the rest of the conversation. Where there is no room for all of it, the latest messages stay. */
export const inputMessages = (messages: ReadonlyArray<Message>, settings: ContentSettings): Captured => {
  const room = new Room(settings)
  const begin = messages.findIndex((message) => message.role !== "system")
  const kept: Array<Part> = []
  for (let at = messages.length - 1; begin >= 0 && at >= begin; at--) {
    if (room.full) {
      room.truncated = true
      break
    }
    kept.unshift({ role: messages[at]!.role, parts: partsOf(messages[at]!, room, "input") })
  }
  return { json: kept.length === 0 ? undefined : JSON.stringify(kept), truncated: room.truncated }
}

/** `gen_ai.output.messages`: the one message of the answer. */
const outputMessages = (
  content: ReadonlyArray<ContentPart>,
  reason: FinishReason | undefined,
  settings: ContentSettings
): Captured => {
  const room = new Room(settings)
  const parts: Array<Part> = []
  for (const part of content) {
    if (room.full) {
      room.truncated = true
      break
    }
    parts.push(partOf(part, room, { direction: "output", role: "assistant" }))
  }
  const json =
    parts.length === 0 ? undefined : JSON.stringify([{ role: "assistant", parts, finish_reason: finishReason(reason) }])
  return { json, truncated: room.truncated }
}

/** An answer as it comes in, in no more memory than is to be kept. */
export class Output {
  private readonly settings: ContentSettings
  private readonly content: Array<{ -readonly [K in keyof ContentPart]: ContentPart[K] } & { text?: string }> = []
  private characters = 0

  constructor(settings: ContentSettings) {
    this.settings = settings
  }

  readonly add = (parts: ReadonlyArray<StreamPart>): void => {
    for (const part of parts) {
      if (part.type === "text-delta") this.text("text", part.delta)
      else if (part.type === "reasoning-delta") this.text("reasoning", part.delta)
      else if (part.type === "tool-call" || part.type === "file") this.content.push({ ...part })
    }
  }

  /** The attribute: of what came in, or of a whole answer. */
  end(whole: ReadonlyArray<ContentPart> | undefined, reason: FinishReason | undefined): Captured {
    return outputMessages(whole ?? (this.content as ReadonlyArray<ContentPart>), reason, this.settings)
  }

  private text(type: "text" | "reasoning", delta: string): void {
    // Past what is kept, only enough to know that there was more.
    if (delta.length === 0 || this.characters > this.settings.maxCharacters + ahead) return
    this.characters += delta.length
    const last = this.content[this.content.length - 1]
    if (last?.type === type) last.text += delta
    else this.content.push({ type, text: delta })
  }
}
