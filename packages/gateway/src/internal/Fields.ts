/** Reading the fields of a body that came from anywhere: each read says which field is wrong. */
import { type Problem, wrong } from "./Problem.ts"

export type Fields = Readonly<Record<string, unknown>>

/** Thrown by the readers below and caught by {@link reading}: decoders stay free of checks after every line. */
class Refused {
  readonly problem: Problem
  constructor(problem: Problem) {
    this.problem = problem
  }
}

/** Stops the decoder with a problem. */
export const refuse = (param: string, message: string): never => {
  throw new Refused(wrong(param, message))
}

/** Runs a decoder; what it refused is its result. */
export const reading = <A>(decode: () => A): A | Problem => {
  try {
    return decode()
  } catch (error) {
    if (error instanceof Refused) return error.problem
    throw error
  }
}

export const isRecord = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const record = (value: unknown, param: string): Fields =>
  isRecord(value) ? value : refuse(param, "it must be an object")

export const list = (value: unknown, param: string): ReadonlyArray<unknown> =>
  Array.isArray(value) ? (value as ReadonlyArray<unknown>) : refuse(param, "it must be an array")

export const text = (value: unknown, param: string): string =>
  typeof value === "string" ? value : refuse(param, "it must be a string")

/** Fields that may be left out; `null` says the same. */
const maybe =
  <A>(read: (value: unknown, param: string) => A) =>
  (value: unknown, param: string): A | undefined =>
    value === undefined || value === null ? undefined : read(value, param)

export const maybeText = maybe(text)
export const maybeRecord = maybe(record)
export const maybeList = maybe(list)
export const maybeNumber = maybe((value, param) =>
  typeof value === "number" ? value : refuse(param, "it must be a number")
)
export const maybeFlag = maybe((value, param) =>
  typeof value === "boolean" ? value : refuse(param, "it must be true or false")
)
/** One text, or several. */
export const maybeTexts = maybe((value, param): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : list(value, param).map((each, i) => text(each, `${param}[${i}]`))
)

/** The fields that are not among the known ones: they are passed on as they are. */
export const unknownFields = (body: Fields, known: ReadonlySet<string>): Record<string, unknown> | undefined => {
  let out: Record<string, unknown> | undefined
  for (const key of Object.keys(body)) {
    if (known.has(key) || key === "__proto__") continue
    out ??= {}
    out[key] = body[key]
  }
  return out
}

/** A copy without the fields that are `undefined`. Deleting them would make the object slow for everybody after. */
export const defined = <A extends object>(fields: A): { [K in keyof A]?: Exclude<A[K], undefined> } => {
  const out: Record<string, unknown> = {}
  for (const key in fields) {
    const value = fields[key]
    if (value !== undefined) out[key] = value
  }
  return out as { [K in keyof A]?: Exclude<A[K], undefined> }
}
