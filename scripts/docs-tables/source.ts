/** Reads what doc comments say from the text of a source file. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { workspaceRoot } from "../files.ts"

/** A field of an interface. */
export interface Field {
  readonly name: string
  /** Its doc comment on one line; empty without one. */
  readonly text: string
  readonly optional: boolean
}

const comment = String.raw`\/\*\*(?:(?!\*\/)[^])*\*\/`

/** A doc comment's text on one line, with its links as code. */
const textOf = (docComment: string | undefined): string =>
  (docComment ?? "")
    .replace(/^\/\*\*|\*\/$/g, "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""))
    .join(" ")
    .replace(/\{@link (?:\w+\.)?(\w+)\}/g, "`$1`")
    .replace(/\s+/g, " ")
    .trim()

/** A file of a package: `core/src/policy/Retry.ts`. */
export const sourceOf = (file: string): string => readFileSync(join(workspaceRoot, "packages", file), "utf8")

const depthAt = (text: string): number => (text.match(/\{/g)?.length ?? 0) - (text.match(/\}/g)?.length ?? 0)

/** What stands between the braces after a declaration; the braces of comments come in pairs. */
const bodyAfter = (source: string, start: RegExp): string | undefined => {
  const match = start.exec(source)
  if (match === null) return undefined
  const from = match.index + match[0].length
  for (let at = from, depth = 1; at < source.length; at++) {
    depth += source[at] === "{" ? 1 : source[at] === "}" ? -1 : 0
    if (depth === 0) return source.slice(from, at)
  }
  return undefined
}

const fieldsIn = (body: string): ReadonlyArray<Field> =>
  [...body.matchAll(new RegExp(String.raw`(?:(${comment})\s*)?readonly (\w+)(\??):`, "g"))]
    .filter((match) => depthAt(body.slice(0, match.index)) === 0)
    .map(([, text, name, optional]) => ({ name: name!, text: textOf(text), optional: optional === "?" }))

/** The fields of an interface, without those it inherits. Throws if the file has no such interface. */
export const fieldsOf = (file: string, name: string): ReadonlyArray<Field> => {
  const body = bodyAfter(sourceOf(file), new RegExp(String.raw`interface ${name}\b[^{]*\{`))
  if (body === undefined) throw new Error(`${file} has no interface ${name}`)
  return fieldsIn(body)
}

/** The doc comment of each exported declaration of a kind, by its name. */
export const commentsOf = (file: string, kind: "class" | "interface"): ReadonlyMap<string, string> =>
  new Map(
    [...sourceOf(file).matchAll(new RegExp(String.raw`(${comment})\nexport ${kind} (\w+)`, "g"))].map(
      ([, text, name]) => [name!, textOf(text)] as const
    )
  )

/** The doc comment of each member of an exported object that has one, by its name. */
export const membersOf = (file: string, name: string): ReadonlyMap<string, string> => {
  const body = bodyAfter(sourceOf(file), new RegExp(String.raw`export const ${name}\b[^{]*\{`)) ?? ""
  return new Map(
    [...body.matchAll(new RegExp(String.raw`(${comment})\s*(\w+):`, "g"))].map(
      ([, text, member]) => [member!, textOf(text)] as const
    )
  )
}

export interface EventType {
  readonly type: string
  readonly text: string
  readonly fields: ReadonlyArray<string>
}

/** Every interface of a file with a `readonly type: "…"`, its fields and inherited ones included. */
export const eventsOf = (file: string): ReadonlyArray<EventType & { readonly name: string }> => {
  const source = sourceOf(file)
  const texts = commentsOf(file, "interface")
  const bodies = new Map<string, { readonly parent: string | undefined; readonly body: string }>()
  for (const [, name, parent] of source.matchAll(/^(?:export )?interface (\w+)(?: extends (\w+))? \{/gm)) {
    bodies.set(name!, { parent, body: bodyAfter(source, new RegExp(String.raw`interface ${name}\b[^{]*\{`)) ?? "" })
  }
  const namesOf = (name: string | undefined): ReadonlyArray<string> => {
    const own = name === undefined ? undefined : bodies.get(name)
    return own === undefined ? [] : [...namesOf(own.parent), ...fieldsIn(own.body).map((field) => field.name)]
  }
  return [...bodies].flatMap(([name, { body }]) => {
    const type = /readonly type: "([^"]+)"/.exec(body)?.[1]
    const fields = namesOf(name).filter((field) => field !== "type")
    return type === undefined ? [] : [{ name, type, text: texts.get(name) ?? "", fields }]
  })
}
