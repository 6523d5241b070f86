/** A value that satisfies a JSON schema: what the good model answers where a schema is asked for. */

type Schema = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const formats: Readonly<Record<string, string>> = {
  "date-time": "2026-01-02T03:04:05Z",
  date: "2026-01-02",
  time: "03:04:05Z",
  email: "ada@example.com",
  uuid: "123e4567-e89b-12d3-a456-426614174000",
  uri: "https://example.com/"
}

const text = (schema: Schema, name: string): string => {
  const format = typeof schema["format"] === "string" ? formats[schema["format"]] : undefined
  if (format !== undefined) return format
  const min = typeof schema["minLength"] === "number" ? schema["minLength"] : 0
  const max = typeof schema["maxLength"] === "number" ? schema["maxLength"] : Infinity
  const value = name.length > 0 ? name : "example"
  return value.padEnd(min, "x").slice(0, max)
}

const number = (schema: Schema, whole: boolean): number => {
  const step = typeof schema["multipleOf"] === "number" ? schema["multipleOf"] : whole ? 1 : undefined
  const min = schema["minimum"] ?? schema["exclusiveMinimum"]
  const max = schema["maximum"] ?? schema["exclusiveMaximum"]
  const nudge = step ?? 0.5
  let value = typeof min === "number" ? min : typeof max === "number" ? Math.min(1, max) : 1
  if (step !== undefined) value = Math.ceil(value / step) * step
  if (value === schema["exclusiveMinimum"]) value += nudge
  if (value === schema["exclusiveMaximum"]) value -= nudge
  return value
}

const resolve = (root: Schema, pointer: string): unknown =>
  pointer
    .split("/")
    .slice(1)
    .reduce<unknown>(
      (at, key) => (isObject(at) ? at[decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~")] : undefined),
      root
    )

const build = (schema: unknown, root: Schema, name: string, depth: number): unknown => {
  if (!isObject(schema) || depth > 8) return name.length > 0 ? name : null
  const again = (next: unknown, as = name) => build(next, root, as, depth + 1)
  if (typeof schema["$ref"] === "string") return again(resolve(root, schema["$ref"]))
  if ("const" in schema) return schema["const"]
  if (Array.isArray(schema["enum"])) return schema["enum"][0]
  for (const key of ["anyOf", "oneOf"]) {
    const choices = schema[key]
    if (Array.isArray(choices)) return again(choices[0])
  }
  if (Array.isArray(schema["allOf"])) {
    const parts = schema["allOf"].map((part) => again(part))
    return parts.every(isObject) ? Object.assign({}, ...parts) : parts[0]
  }
  const type = Array.isArray(schema["type"]) ? schema["type"][0] : schema["type"]
  if (type === "object" || isObject(schema["properties"])) {
    const properties = isObject(schema["properties"]) ? schema["properties"] : {}
    return Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, again(value, key)]))
  }
  switch (type) {
    case "array": {
      const count = typeof schema["minItems"] === "number" ? Math.max(1, schema["minItems"]) : 1
      return Array.from({ length: count }, () => again(schema["items"]))
    }
    case "integer":
      return number(schema, true)
    case "number":
      return number(schema, false)
    case "boolean":
      return true
    case "null":
      return null
    default:
      return text(schema, name)
  }
}

export const exampleOf = (schema: unknown): unknown => build(schema, isObject(schema) ? schema : {}, "", 0)
