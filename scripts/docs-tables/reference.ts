/** Tables of what is no option: pages, errors, events, metrics, spans, faults. */
import { LLMError, Metrics } from "@breakwater/core"
import { Upstream } from "@breakwater/testing"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
// The table that the plan itself reads; the package does not export it.
import { disposition, dispositions } from "../../packages/core/src/errors/disposition.ts"
import { workspaceRoot } from "../files.ts"
import { code, list, table, yes } from "./format.ts"
import { commentsOf, eventsOf, sourceOf } from "./source.ts"

const said = (what: string, texts: Readonly<Record<string, string>>, name: string, comment = ""): string => {
  const text = texts[name] ?? comment
  if (text === "") throw new Error(`${what} ${name} has no description; give it one in scripts/docs-tables`)
  return text
}

// --- pages --------------------------------------------------------------------------------------------------------

/** The first sentence of a page. */
const beginning = (text: string): string => {
  const paragraph = text.split(/\n{2,}/).find((each) => !/^(?:#|```|<!--|\||- )/.test(each)) ?? ""
  return /^[^]*?[.:](?=\s|$)/.exec(paragraph)?.[0].replace(/\s+/g, " ").replace(/:$/, ".") ?? ""
}

/** The pages of a folder under `docs`: their titles and how they begin. */
export const pages = (folder = ""): string =>
  table(
    ["page", "about"],
    readdirSync(join(workspaceRoot, "docs", folder))
      .filter((name) => name.endsWith(".md") && name !== "README.md")
      .sort()
      .map((name) => {
        const text = readFileSync(join(workspaceRoot, "docs", folder, name), "utf8")
        const title = /^# (.*)/.exec(text)?.[1] ?? name
        return [`[${title}](${folder === "" ? "" : `${folder}/`}${name})`, beginning(text)]
      })
  )

/** The example programs, and the first paragraph of each. */
export const examples = (): string =>
  table(
    ["program", "about"],
    readdirSync(join(workspaceRoot, "examples"))
      .filter((name) => name.endsWith(".ts"))
      .sort()
      .map((name) => {
        const lines = readFileSync(join(workspaceRoot, "examples", name), "utf8").split("\n")
        const end = lines.findIndex((line) => !line.startsWith("// "))
        const about = lines.slice(0, end).map((line) => line.slice(3))
        return [`[${name}](../examples/${name})`, about.join(" ").replace(/:$/, ".")]
      })
  )

// --- errors -------------------------------------------------------------------------------------------------------

const origin = new Set(Object.keys(LLMError.ServerError.fields))

/** What every error carries. */
export const errorOrigin = (): string => {
  const texts: Readonly<Record<string, string>> = {
    message: "a sentence a person can act on",
    provider: "who was asked",
    model: "for which model",
    status: "the HTTP status of the provider's answer",
    requestId: "the provider's id of the failed request",
    attempt: "which attempt of the call it was, from 1",
    retryAfter: "how long to wait, as the provider or the policy said",
    shouldRetry: "the provider's explicit word, which overrules the table below"
  }
  const fields = [...origin].filter((field) => field !== "_tag")
  return table(
    ["field", "what it is"],
    fields.map((field) => [code(field), said("field", texts, field)])
  )
}

/** Every error: when, what it carries of its own, and what becomes of the call. */
export const errors = (): string => {
  const comments = commentsOf("core/src/errors/LLMError.ts", "class")
  const rows = LLMError.LLMError.members.flatMap((member) => {
    const tag = member.identifier.split("/").at(-1) as LLMError.LLMErrorTag
    const carried = list(Object.keys(member.fields).filter((field) => !origin.has(field)))
    const row = ({ breaker, failover, retry }: typeof dispositions.ServerError) => [retry, yes(failover), breaker]
    const own = dispositions[tag]
    const rows = [[code(tag), said("error", {}, tag, comments.get(tag)), carried, ...row(own)]]
    if (tag === "RequestTimeoutError") {
      const refined = disposition({ _tag: tag, phase: "connect" } as LLMError.RequestTimeoutError)
      rows.push([`${code(tag)}, phase ${code("connect")}`, "The target could not be reached.", "", ...row(refined)])
    }
    return rows
  })
  return table(["error", "when", "carries", "retry", "failover", "breaker"], rows)
}

// --- what is seen -------------------------------------------------------------------------------------------------

const eventTexts = {
  "request-started": "A call passed its checks and begins.",
  "attempt-started": "A provider call is about to be made; policies may still turn it away.",
  "attempt-succeeded": "A provider call ended well.",
  "attempt-failed": "A provider call failed, or was turned away by a policy.",
  "retry-scheduled": "The same target will be asked again, after a delay.",
  "failed-over": "Another target is asked instead.",
  "stream-continued": "A broken stream is gone on with by another attempt.",
  "request-finished": "A call is over, however it ended."
}

/** Every event type. */
export const events = (): string => {
  const union = /export type PolicyEvent =([^]*?)\n\n/.exec(sourceOf("core/src/domain/Event.ts"))?.[1] ?? ""
  const members = new Set(union.match(/\w+/g))
  const known = eventsOf("core/src/domain/Event.ts")
  const unknown = [...members].filter((name) => !known.some((event) => event.name === name))
  if (members.size === 0 || unknown.length > 0) throw new Error(`no interface for the events ${unknown.join(", ")}`)
  return table(
    ["type", "when", "fields"],
    known
      .filter(({ name }) => members.has(name))
      .map(({ fields, text, type }) => [code(type), said("event", eventTexts, type, text), list(fields)])
  )
}

const metricsTable = (metrics: ReadonlyArray<Metrics.Definition>): string =>
  table(
    ["metric", "kind", "what it is", "labels"],
    metrics.map(({ description, kind, labels, name }) => [code(name), kind, description, list(labels)])
  )

/** Every metric. */
export const metrics = (): string => metricsTable(Metrics.definitions)

/** Every metric of the option `classic`. */
export const classicMetrics = (): string => metricsTable(Metrics.classicDefinitions)

const attributeTexts: Readonly<Record<string, string>> = {
  "gen_ai.operation.name": "`chat` or `embeddings`",
  "gen_ai.provider.name": "on the call: of its first target",
  "gen_ai.request.model": "on the call: of its first target",
  "breakwater.request.id": "the id of the call",
  "breakwater.operation": "`generate`, `stream` or `embed`",
  "breakwater.attempts": "how many attempts were made",
  "breakwater.target": "`provider/model` of the last attempt",
  "breakwater.attempt": "counted from 1 over all targets",
  "breakwater.attempt.kind": "`retry`, `failover` or `hedge`; not on the first",
  "breakwater.content.truncated": "content capture: something was left out",
  "breakwater.provider.request.id": "the provider's id of a failed request",
  "gen_ai.response.id": "the provider's id of the answer",
  "gen_ai.response.model": "the model that answered",
  "gen_ai.response.finish_reasons": "why the answer ended",
  "gen_ai.response.time_to_first_chunk": "seconds to the first content; streams only",
  "error.type": "the error's `_tag`",
  "http.response.status_code": "of a failed attempt",
  "gen_ai.request.stream": "`true` for streams",
  "gen_ai.system_instructions": "content capture: the system messages at the beginning",
  "gen_ai.input.messages": "content capture: the rest of the prompt",
  "gen_ai.output.messages": "content capture: the answer",
  "gen_ai.embeddings.dimension.count": "as asked",
  "gen_ai.request.temperature": "as asked",
  "gen_ai.request.top_p": "as asked",
  "gen_ai.request.top_k": "as asked",
  "gen_ai.request.max_tokens": "as asked",
  "gen_ai.request.stop_sequences": "as asked",
  "gen_ai.request.seed": "as asked",
  "gen_ai.request.presence_penalty": "as asked",
  "gen_ai.request.frequency_penalty": "as asked",
  "gen_ai.output.type": "`text` or `json`, as asked",
  "gen_ai.usage.input_tokens": "tokens of the prompt",
  "gen_ai.usage.output_tokens": "tokens of the answer",
  "gen_ai.usage.cache_read.input_tokens": "of them, read from the provider's cache",
  "gen_ai.usage.cache_creation.input_tokens": "of them, written to the provider's cache",
  "gen_ai.usage.reasoning.output_tokens": "of them, spent on reasoning"
}

/** Every attribute of the spans, and which span has it. */
export const spans = (): string => {
  const source = sourceOf("core/src/observe/Spans.ts")
  const on = new Map<string, Set<string>>()
  for (const [, setter, name] of source.matchAll(/\b(request\.attribute|span\.attribute|set)\(\s*"([^"]+)"/g)) {
    const spans = on.get(name!) ?? new Set()
    on.set(name!, spans.add(setter === "request.attribute" ? "call" : "attempt"))
  }
  return table(
    ["attribute", "on", "what it is"],
    [...on].map(([name, spans]) => [
      code(name),
      [...spans].sort().reverse().join(", "),
      said("attribute", attributeTexts, name)
    ])
  )
}

/** The models of the misbehaving upstream. */
export const faults = (): string =>
  table(
    ["model", "what it does", "a number after its name"],
    Upstream.faults.map(({ model, parameter, what }) => [code(model), what, parameter ?? ""])
  )
