/** Any JSON of the gateway's in a few words: for entries whose form this page does not know in advance. */

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

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
