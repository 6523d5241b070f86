/**
 * Reading an object out of an answer, and asking again for one that does not fit.
 */
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { LLMResponse } from "../domain/Call.ts"
import { assistant, type Message, user } from "../domain/Message.ts"
import { StructuredOutputError } from "../errors/LLMError.ts"

const fence = /^\s*```(?:json)?\s*\n([\s\S]*?)\n?\s*```\s*$/i

/** The JSON of an answer: models that were not held to a schema like to put it into a fenced block. */
export const jsonOf = (text: string): string => fence.exec(text)?.[1] ?? text

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** What does not fit, a line for each place: `items[2].price: Expected number`. */
export const issuesOf = (error: Schema.SchemaError): ReadonlyArray<string> =>
  format(error.issue).issues.map((issue) => {
    const path = (issue.path ?? [])
      .map((step) => (typeof step === "object" ? step.key : step))
      .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
      .join("")
    return `${path === "" ? "answer" : path.replace(/^\./, "")}: ${issue.message}`
  })

/** The error for an answer that does not satisfy its schema. */
export const misfit = (response: LLMResponse, issues: ReadonlyArray<string>): StructuredOutputError => {
  const slash = response.target.indexOf("/")
  return new StructuredOutputError({
    message: `The answer does not satisfy the schema: ${issues.slice(0, 3).join("; ")}`,
    issues,
    rawText: response.text,
    usage: response.usage,
    provider: response.target.slice(0, slash),
    model: response.target.slice(slash + 1),
    requestId: response.requestId
  })
}

/** The conversation that asks for a better answer. */
export const repairOf = (
  messages: ReadonlyArray<Message>,
  text: string,
  issues: ReadonlyArray<string>
): ReadonlyArray<Message> => [
  ...messages,
  ...(text.trim() === "" ? [] : [assistant(text)]),
  user(`This answer does not satisfy the schema:\n${issues.join("\n")}\nAnswer again with the whole corrected JSON.`)
]
