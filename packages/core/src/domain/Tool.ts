/**
 * Tools as a provider sees them: a name and a JSON schema. They are declared, never run, at this level,
 * so that a retry can never run a tool twice.
 */
import * as AiTool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import type { JsonObject } from "./Json.ts"

/** A tool the model may call. `parameters` is a JSON schema of type object. */
export interface ToolDefinition {
  readonly name: string
  readonly description?: string
  readonly parameters: JsonObject
  readonly strict?: boolean
}

/** How the model may choose: freely, not at all, any one, this one, or among these. */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | { readonly tool: string }
  | { readonly mode?: "auto" | "required"; readonly oneOf: ReadonlyArray<string> }

/** What a caller may pass as tools: definitions, `effect/ai` tools, or a toolkit. */
export type ToolsInput = ReadonlyArray<ToolDefinition | AiTool.Any> | Toolkit.Any

const isDefinition = (tool: ToolDefinition | AiTool.Any): tool is ToolDefinition => !("parametersSchema" in tool)

/** Converts an `effect/ai` tool into a definition. */
export const fromAiTool = (tool: AiTool.Any): ToolDefinition => {
  const description = AiTool.getDescription(tool)
  const strict = AiTool.getStrictMode(tool)
  return {
    name: tool.name,
    parameters: AiTool.getJsonSchema(tool) as JsonObject,
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict })
  }
}

/** Turns any accepted tools into definitions. */
export const fromInput = (input: ToolsInput): ReadonlyArray<ToolDefinition> => {
  const list = Array.isArray(input)
    ? (input as ReadonlyArray<ToolDefinition | AiTool.Any>)
    : (Object.values((input as Toolkit.Any).tools) as ReadonlyArray<AiTool.Any>)
  return list.map((tool) => (isDefinition(tool) ? tool : fromAiTool(tool)))
}
