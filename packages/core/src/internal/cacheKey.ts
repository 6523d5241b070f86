/**
 * The keys of the caches. Whose they are is part of the key: none can be built without a tenant and a namespace.
 */
import type { CacheCall } from "../domain/Cache.ts"
import type { Message, UserMessage } from "../domain/Message.ts"
import { canonicalWithout } from "./canonical.ts"
import { sha256 } from "./sha256.ts"

/** The key of an entry. */
export interface CacheKey {
  readonly tenant: string
  readonly namespace: string
  /** SHA-256 over everything that makes the answer, the tenant and the namespace too; 43 characters of base64url. */
  readonly digest: string
}

/** Counts up when keys are built differently, so that old entries are not found any more. */
const version = 1

const keyOf = (
  kind: string,
  call: CacheCall,
  namespace: string,
  request: CacheCall["request"]
): CacheKey | undefined => {
  // Who asks does not change the answer; whoever wants entries by user names them in the namespace.
  const text = canonicalWithout(request, "user")
  if (text === undefined) return undefined
  const { tenant } = call.context
  const { target } = call
  const digest = sha256(
    `${kind}${version};${tenant.length}:${tenant}${namespace.length}:${namespace}${target.length}:${target}${text}`
  )
  return { tenant, namespace, digest }
}

/** The key of a request; `undefined` for one without a finite text. */
export const exactKey = (call: CacheCall, namespace: string): CacheKey | undefined =>
  keyOf("exact", call, namespace, call.request)

/** A question, and what else was asked. */
export interface Question {
  readonly text: string
  /** The key of everything but the text. */
  readonly partition: CacheKey
}

/** A user message without its texts; what else it holds stays. */
const withoutText = (message: UserMessage): UserMessage =>
  typeof message.content === "string"
    ? { ...message, content: [] }
    : { ...message, content: message.content.filter((part) => part.type !== "text") }

const textOfUser = (message: UserMessage): string =>
  typeof message.content === "string"
    ? message.content
    : message.content.map((part) => (part.type === "text" ? part.text : "")).join("")

/** Takes the last user message out of a request; `undefined` if the conversation does not end with one. */
export const questionOf = (call: CacheCall, namespace: string): Question | undefined => {
  const { messages } = call.request
  const last: Message | undefined = messages[messages.length - 1]
  if (last === undefined || last.role !== "user") return undefined
  const text = textOfUser(last).trim()
  if (text.length === 0) return undefined
  const partition = keyOf("semantic", call, namespace, {
    ...call.request,
    messages: [...messages.slice(0, -1), withoutText(last)]
  })
  return partition === undefined ? undefined : { text, partition }
}
