/** Tables of alerts: the kinds of rules and their fields, the burn rates, the causes of incidents. */
import { Rules } from "@breakwater/alerts"
import { code, list, table } from "./format.ts"
import { sourceOf } from "./source.ts"

const file = "alerts/src/Rules.ts"

interface Kind {
  readonly kind: string
  readonly text: string
  readonly own: ReadonlyArray<readonly [name: string, text: string, optional: boolean]>
  readonly over: boolean
}

const fieldsIn = (body: string): Kind["own"] =>
  [...body.matchAll(/(?:\/\*\* ([^]*?) \*\/\s*)?^ {2}(\w+): (Schema\.optionalKey)?/gm)]
    .filter(([, , name]) => name !== "kind")
    .map(([, text = "", name, optional]) => [name!, text, optional !== undefined])

/** Every kind of rule, as its Schema is written. */
const kinds = (): ReadonlyArray<Kind> =>
  [
    ...sourceOf(file).matchAll(
      /\/\*\* ([^\n]*) \*\/\nexport const \w+ = Schema\.Struct\(\{\n {2}kind: Schema\.Literal\("([\w-]+)"\),\n([^]*?)\n\}\)/g
    )
  ].map(([, text, kind, body]) => ({
    kind: kind!,
    text: text!,
    own: fieldsIn(body!),
    over: /\.\.\.over\b/.test(body!)
  }))

const shared = (name: string): Kind["own"] =>
  fieldsIn(new RegExp(String.raw`const ${name} = \{\n([^]*?)\n\}`).exec(sourceOf(file))?.[1] ?? "")

const rows = (kind: string, fields: Kind["own"]): ReadonlyArray<ReadonlyArray<string>> =>
  fields.map(([name, text, optional]) => {
    const said = text === "" && name === "name" ? "What the alert is called; unique." : text
    return [kind, code(name), optional ? "" : "yes", said]
  })

/** What each kind of rule watches. */
export const ruleKinds = (): string => {
  const all = kinds()
  if (all.length !== Rules.Rule.members.length) throw new Error("a kind of rule has no description")
  return table(
    ["kind", "what it is"],
    all.map(({ kind, text }) => [code(kind), text])
  )
}

/** Every field of every kind. */
export const ruleFields = (): string => {
  const all = kinds()
  const over = all.filter((kind) => kind.over).map(({ kind }) => kind)
  return table(
    ["of", "field", "must be given", "what it is"],
    [
      ...rows("every rule", shared("common")),
      ...rows(list(over), shared("over")),
      ...all.flatMap(({ kind, own }) => rows(code(kind), own))
    ]
  )
}

/** The windows of an objective. */
export const burnWindows = (): string =>
  table(
    ["long window", "short window", "burn rate", "severity", "of a 30-day error budget, spent"],
    Rules.defaultBurnWindows.map(({ burnRate, long, severity, short }) => [
      long,
      short,
      String(burnRate),
      severity,
      `${Math.round((burnRate * Rules.millisOf(long)! * 100) / (30 * 86_400_000))} %`
    ])
  )
