/** What fields of a configuration are made of. */
import * as Schema from "effect/Schema"

export const Name = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][\w.-]{0,63}$/u))
export const Text = Schema.String.check(Schema.isMinLength(1))
export const whole = (min: number, max: number) => Schema.Int.check(Schema.isBetween({ minimum: min, maximum: max }))
export const between = (min: number, max: number) =>
  Schema.Finite.check(Schema.isBetween({ minimum: min, maximum: max }))
export const flag = Schema.Boolean
export const Off = Schema.Literal(false)

/** A field that may be left out, with what it is and what holds without it: for the JSON schema, and for the manual. */
export const opt = <S extends Schema.Top>(schema: S, description: string, value?: string | number | boolean) =>
  Schema.optionalKey(schema.annotate(value === undefined ? { description } : { description, default: value as never }))

const units: { readonly [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const spanOf = (text: string): number | undefined => {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)?$/.exec(text.trim())
  if (match === null) return undefined
  const millis = Number(match[1]) * units[match[2] ?? "s"]!
  return millis >= 1 ? millis : undefined
}

const upTo = (days: number, example: string) =>
  Schema.Union([
    Schema.String.check(
      Schema.makeFilter((text: string) => {
        const millis = spanOf(text)
        return (millis !== undefined && millis <= days * 86_400_000) || `it must be a duration such as ${example}`
      })
    ),
    between(0.001, days * 86_400)
  ])

/** `500ms`, `30s`, `2m`, `1h`; a number is seconds. At most a day. */
export const Duration = upTo(1, "500ms, 30s or 2m")
/** The same up to a year: `30d`. */
export const Span = upTo(366, "1h or 30d")

/** Milliseconds of a duration that was checked. */
export const millisOf = (value: string | number): number =>
  typeof value === "number" ? value * 1_000 : (spanOf(value) ?? 0)

/** A text, or the name of the environment variable that holds it. */
export const Secret = Schema.Union([Text, Schema.Struct({ env: Text })])
export type Secret = typeof Secret.Type

/** An amount in dollars: `"12.50"`. */
export const Dollars = Schema.Union([
  Schema.String.check(
    Schema.makeFilter(
      (text: string) =>
        (/^\$?\d{1,12}(?:\.\d{1,9})?$/.test(text.trim()) && /[1-9]/.test(text)) ||
        'it must be an amount of dollars above 0, such as "12.50"'
    )
  )
])
