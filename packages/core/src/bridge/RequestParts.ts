/**
 * Tools and schemas of a request in the forms that `effect/ai` wants.
 */
import * as AiError from "effect/ai/AiError"
import * as AiTool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import type { JsonObject } from "../domain/Json.ts"
import type { ToolDefinition } from "../domain/Tool.ts"

/** A tool that takes and gives anything, and needs nothing. */
type InertTool = AiTool.Tool<
  string,
  {
    readonly parameters: typeof Schema.Unknown
    readonly success: typeof Schema.Unknown
    readonly failure: typeof Schema.Never
    readonly failureMode: "error"
  }
>

/** Tools that are declared and never run. */
export type InertToolkit = Toolkit.WithHandler<Record<string, InertTool>>

const dynamicTool = (tool: ToolDefinition): InertTool => {
  const dynamic = AiTool.dynamic(tool.name, {
    description: tool.description,
    parameters: tool.parameters as JsonSchema.JsonSchema
  })
  return tool.strict === undefined ? dynamic : dynamic.annotate(AiTool.Strict, tool.strict)
}

/**
 * A toolkit that declares tools and runs none. Its handler is asked only for calls that a user has approved
 * and that nobody has run: those are the business of whoever holds the real toolkit.
 */
export const inertToolkit = (definitions: ReadonlyArray<ToolDefinition>): InertToolkit => {
  const tools: Record<string, InertTool> = {}
  for (const definition of definitions) tools[definition.name] = dynamicTool(definition)
  const handle = (name: string) =>
    Effect.fail(
      AiError.make({
        module: "Breakwater",
        method: "inertToolkit",
        reason: new AiError.ToolkitRequiredError({
          pendingApprovals: [name],
          description: "Approved tool calls must be run before the next model turn."
        })
      })
    )
  return { tools, handle } as unknown as InertToolkit
}

/** The schema of an object, and how a value of it is written. */
export interface ObjectSchema {
  readonly schema: Schema.Codec<unknown, Record<string, unknown>>
  readonly encode: (value: unknown) => string
}

// An object that names its fields is closed: models with strict answers take no other.
const close = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema =>
  schema["properties"] !== undefined &&
  (schema["additionalProperties"] === undefined || schema["additionalProperties"] === true)
    ? { ...schema, additionalProperties: false }
    : schema

const known = new WeakMap<JsonObject, ObjectSchema>()

/**
 * Reads a JSON schema. Throws for keywords that `Schema` cannot express (`not`, `if`). Patterns are not
 * checked: they come from whoever sent the request, and one may take for ever.
 */
export const schemaOf = (json: JsonObject): ObjectSchema => {
  let found = known.get(json)
  if (found === undefined) {
    const schema = SchemaRepresentation.fromJsonSchemaDocument(
      JsonSchema.fromSchemaDraft2020_12(json as JsonSchema.JsonSchema),
      { patterns: "ignore", onEnter: close }
    ) as unknown as ObjectSchema["schema"]
    const encode = Schema.encodeUnknownSync(schema)
    found = { schema, encode: (value) => JSON.stringify(encode(value)) }
    known.set(json, found)
  }
  return found
}
