/** The fields of a gateway's configuration, from the schema that checks it. */
import { GatewayConfig } from "@breakwater/gateway"
import { code, table } from "./format.ts"

type Node = { readonly [key: string]: unknown }

const texts = (node: Node): ReadonlyArray<string> =>
  ((node["enum"] ?? []) as ReadonlyArray<unknown>).filter((each): each is string => typeof each === "string")

/** What stands under names of one's own. */
const named = (node: Node): ReadonlyArray<Node> => [
  ...(typeof node["additionalProperties"] === "object" ? [node["additionalProperties"] as Node] : []),
  ...Object.values((node["patternProperties"] ?? {}) as Record<string, Node>)
]

/** The objects that a field may hold, by itself, as an element of a list or under a name. */
const inside = (node: Node, path: string): ReadonlyArray<readonly [path: string, node: Node]> => [
  ...(node["properties"] === undefined ? [] : [[path, node] as const]),
  ...((node["anyOf"] ?? []) as ReadonlyArray<Node>).flatMap((each) => inside(each, path)),
  ...(typeof node["items"] === "object" ? inside(node["items"] as Node, `${path}[]`) : []),
  ...named(node).flatMap((each) => inside(each, `${path}.NAME`))
]

const shown = (value: unknown): string =>
  value === undefined
    ? ""
    : typeof value === "number"
      ? value.toLocaleString("en")
      : code(typeof value === "string" ? value : JSON.stringify(value))

const rowsOf = (node: Node, path: string, leave: ReadonlySet<string>): ReadonlyArray<ReadonlyArray<string>> =>
  Object.entries((node["properties"] ?? {}) as Record<string, Node>).flatMap(([name, each]) => {
    const at = path === "" ? name : `${path}.${name}`
    const what = each["description"]
    if (typeof what !== "string" || leave.has(at)) return []
    const allowed = texts(each)
    const row = [
      code(at),
      allowed.length === 0 ? what : `${what}: ${allowed.map(code).join(", ")}`,
      shown(each["default"])
    ]
    return [row, ...inside(each, at).flatMap(([inner, object]) => rowsOf(object, inner, leave))]
  })

/** Said once, for the defaults. */
const sameAsDefaults = (names: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(names.map((name) => `routes.NAME.${name}`))

/** The table; fields of routes that are those of the defaults are left out. */
export const fields = (): string => {
  const schema = GatewayConfig.jsonSchema() as { readonly properties: Readonly<Record<string, Node>> }
  const { alerts, ...properties } = schema.properties
  const policies = Object.keys((properties["defaults"] as { readonly properties: object }).properties)
  const rows = [...rowsOf({ properties }, "", sameAsDefaults(policies))]
  if (typeof alerts?.["description"] === "string")
    rows.push([code("alerts"), `${alerts["description"]}: [alerts](alerts.md)`, ""])
  return table(["field", "what", "default"], rows)
}
