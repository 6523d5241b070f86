/**
 * Errors for expected rejections, built in a fraction of the time of their Schema constructor: no check of
 * fields the compiler has checked, and no stack.
 */
import type { LLMError } from "../errors/LLMError.ts"

const plainArgs = Symbol.for("effect/Data/Error/plainArgs")

/**
 * An error of the class, with these fields. It is a native error and satisfies the class's schema; its stack
 * is its first line.
 */
export const rejection = <E extends LLMError, Fields extends { readonly message: string }>(
  errorClass: new (fields: Fields) => E,
  tag: E["_tag"],
  fields: NoInfer<Fields>
): E => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = Reflect.construct(Error, [fields.message], errorClass) as E
  Error.stackTraceLimit = limit
  const target = error as unknown as Record<PropertyKey, unknown>
  target["_tag"] = tag
  // The message is there already, and keeps being no enumerable property.
  const { message: _, ...rest } = fields
  Object.assign(target, rest)
  // `toJSON` starts from these, and finds the message there. Symbols are in no encoding.
  target[plainArgs] = fields
  return error
}
