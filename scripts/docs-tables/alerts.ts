/** Tables of alerts: the kinds of rules and their fields, the burn rates, the causes of incidents. */
import { Rules } from "@breakwater/alerts"
import * as Schema from "effect/Schema"
import { code, list, table } from "./format.ts"
import { sourceOf } from "./source.ts"

const file = "alerts/src/Rules.ts"

interface Kind {
  readonly kind: string
  readonly text: string
  readonly fields: ReadonlyArray<readonly [name: string, text: string, optional: boolean]>
}

interface Described {
  readonly properties: Readonly<Record<string, { readonly description?: string }>>
  readonly required?: ReadonlyArray<string>
}

const shared = ["name", "severity", "for", "resolveAfter", "runbook"]
const measured = ["over", "target"]

/** Every kind of rule, as its Schema says, with its fields but `kind`. */
const kinds = (): ReadonlyArray<Kind> => {
  const texts = new Map(
    [
      ...sourceOf(file).matchAll(
        /\/\*\* ([^\n]*) \*\/\nexport const \w+ = Schema\.Struct\(\{\n {2}kind: Schema\.Literal\("([\w-]+)"\)/g
      )
    ].map(([, text, kind]) => [kind!, text!])
  )
  return Rules.Rule.members.map((member) => {
    const kind = member.fields.kind.literal
    const text = texts.get(kind)
    if (text === undefined) throw new Error(`the kind of rule ${kind} has no description`)
    const { properties, required = [] } = Schema.toJsonSchemaDocument(member).schema as unknown as Described
    const fields = Object.entries(properties).flatMap(([name, { description }]) => {
      if (description === undefined) throw new Error(`${name} of the rule ${kind} has no description`)
      return name === "kind" ? [] : [[name, `${description}.`, !required.includes(name)] as const]
    })
    return { kind, text, fields }
  })
}

const rows = (of: string, fields: Kind["fields"]): ReadonlyArray<ReadonlyArray<string>> =>
  fields.map(([name, text, optional]) => [of, code(name), optional ? "" : "yes", text])

/** What each kind of rule watches. */
export const ruleKinds = (): string =>
  table(
    ["kind", "what it is"],
    kinds().map(({ kind, text }) => [code(kind), text])
  )

/** Every field of every kind. */
export const ruleFields = (): string => {
  const all = kinds()
  const of = (fields: Kind["fields"], names: ReadonlyArray<string>) => fields.filter(([name]) => names.includes(name))
  const over = all.filter(({ fields }) => of(fields, measured).length > 0)
  return table(
    ["of", "field", "must be given", "what it is"],
    [
      ...rows("every rule", of(all[0]!.fields, shared)),
      ...rows(list(over.map(({ kind }) => kind)), of(over[0]!.fields, measured)),
      ...all.flatMap(({ fields, kind }) =>
        rows(
          code(kind),
          fields.filter(([name]) => !shared.includes(name) && !measured.includes(name))
        )
      )
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
