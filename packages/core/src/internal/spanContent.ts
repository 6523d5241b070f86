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

  /** `goesOn`: there was more of the text than is here. */
  text(text: string, place: ContentPlace, goesOn = false): string {
    const cut = text.length > this.left + ahead ? text.slice(0, this.left + ahead) : text
    const isCut = goesOn || cut.length < text.length
    const safe = this.redact === undefined ? cut : redacted(this.redact, cut, place)
    // At a cut there may be half of what a redaction looks for. It moves to the front by what is taken out before it.
    const whole = isCut && this.redact !== undefined ? safe.slice(0, Math.max(0, safe.length - ahead)) : safe
    const kept = whole.length > this.left ? whole.slice(0, this.left) : whole
    this.left -= kept.length
    if (kept.length === safe.length && !isCut) return kept
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

const jsonOf = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value) ?? "null"
  } catch {
    return undefined
  }
}

/** The value as it is, or its JSON where that was redacted or cut. */
const valueOf = (value: unknown, room: Room, place: ContentPlace): unknown => {
  const json = jsonOf(value)
  if (json === undefined) return "[not JSON]"
  const kept = room.text(json, place)
  return kept === json ? value : kept
}

const modalityOf = (mediaType: string): string => mediaType.split("/")[0] ?? "file"

const isText = (data: unknown): data is string | URL => typeof data === "string" || data instanceof URL

/** Where a file is. The address of one that is all in its address is the file. */
const addressOf = (data: unknown): string | undefined => {
  if (data instanceof URL) return data.protocol === "data:" ? undefined : data.href
  return typeof data === "string" && /^https?:/.test(data) ? data : undefined
}

/** A file is told by its kind and size; of one elsewhere, by its address. */
const filePart = (mediaType: string, data: unknown, room: Room, place: Omit<ContentPlace, "kind">): Part => {
  const common = { modality: modalityOf(mediaType), mime_type: mediaType }
  const address = addressOf(data)
  if (address !== undefined) return { type: "uri", ...common, uri: room.text(address, { ...place, kind: "uri" }) }
  const size = data instanceof Uint8Array ? data.byteLength : isText(data) ? String(data).length : 0
  room.truncated = true
  return { type: "blob", ...common, content: `[${size} left out]` }
}

const partOf = (
  part: MessagePart | ContentPart,
  room: Room,
  place: Omit<ContentPlace, "kind">,
  goesOn = false
): Part => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return { type: part.type, content: room.text(part.text, { ...place, kind: part.type }, goesOn) }
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
    kept.push({ role: messages[at]!.role, parts: partsOf(messages[at]!, room, "input") })
  }
  return { json: kept.length === 0 ? undefined : JSON.stringify(kept.reverse()), truncated: room.truncated }
}

/** `gen_ai.output.messages`: the one message of the answer. `cutAt` is the part of which, or behind which, there was more. */
const outputMessages = (
  content: ReadonlyArray<ContentPart>,
  reason: FinishReason | undefined,
  settings: ContentSettings,
  cutAt: number | undefined
): Captured => {
  const room = new Room(settings)
  room.truncated = cutAt !== undefined
  const parts: Array<Part> = []
  for (const [index, part] of content.entries()) {
    if (room.full) {
      room.truncated = true
      break
    }
    parts.push(partOf(part, room, { direction: "output", role: "assistant" }, index === cutAt))
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
  private cutAt: number | undefined

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
    const { content, cutAt, settings } = this
    return whole === undefined
      ? outputMessages(content as ReadonlyArray<ContentPart>, reason, settings, cutAt)
      : outputMessages(whole, reason, settings, undefined)
  }

  private text(type: "text" | "reasoning", delta: string): void {
    // Past what is kept, only enough to know that there was more.
    if (delta.length === 0) return
    if (this.characters > this.settings.maxCharacters + ahead) {
      this.cutAt ??= this.content.length - 1
      return
    }
    this.characters += delta.length
    const last = this.content[this.content.length - 1]
    if (last?.type === type) last.text += delta
    else this.content.push({ type, text: delta })
  }
}
