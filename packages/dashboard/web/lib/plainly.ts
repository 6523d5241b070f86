/** Any JSON of the gateway's in a few words: for entries whose form this page does not know in advance. */

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The first of some fields that is there, as text. */
export const pick = (entry: Readonly<Record<string, unknown>>, ...names: ReadonlyArray<string>): string | undefined => {
  for (const name of names) {
    const value = entry[name]
    if (typeof value === "string" && value !== "") return value
    if (typeof value === "number" || typeof value === "boolean") return String(value)
  }
  return undefined
}

/** The first of some fields that is a time. */
export const pickTime = (
  entry: Readonly<Record<string, unknown>>,
  ...names: ReadonlyArray<string>
): number | undefined => {
  for (const name of names) {
    const value = entry[name]
    if (typeof value === "number") return value
    if (typeof value === "string") {
      const at = Date.parse(value)
      if (!Number.isNaN(at)) return at
    }
  }
  return undefined
}

const short = (value: unknown): string => {
  if (typeof value === "string") return value
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  if (Array.isArray(value))
    return value
      .map(short)
      .filter((each) => each !== "")
      .join(", ")
  if (isObject(value)) return details(value, new Set())
  return ""
}

/** The fields of an entry as `name value`, without those named. */
export const details = (entry: Readonly<Record<string, unknown>>, without: ReadonlySet<string>): string =>
  Object.entries(entry)
    .filter(([name]) => !without.has(name))
    .map(([name, value]) => [name, short(value)] as const)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name} ${value.length > 80 ? `${value.slice(0, 80)}…` : value}`)
    .join(" · ")
