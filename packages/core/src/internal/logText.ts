/**
 * Text from outside (ids, names, messages of providers), made fit for a line of a log: short, without control characters,
 * and without what looks like a key.
 */

/** Control characters, line separators, marks that turn the direction of writing around, and halves of surrogate pairs. */
const unsafe =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu

/** Whether there may be anything to do: one quick look at texts that are nearly always fine. */
// oxlint-disable-next-line no-control-regex
const suspect = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/

/** Keys as providers make them. */
const secrets =
  /\b(?:sk|pk|rk|gsk|xai|hf|key|api)[-_][\w-]{12,}|\bAIza[\w-]{20,}|\bBearer\s+[\w.~+/=-]{8,}|\beyJ[\w-]{10,}\.[\w.-]+/g
const maybeSecret = /[-_]|AIza|Bearer|eyJ/

const cleaned = (text: string): string => text.replace(unsafe, "\ufffd")

/** The text in at most `max` characters, and one that says that there was more. */
export const line = (text: string, max: number): string => {
  // Cut first: nobody should have to read a megabyte for a line. One more, for a pair that the cut would halve.
  const long = text.length > max
  let out = long ? text.slice(0, max) : text
  if (suspect.test(out)) out = cleaned(out)
  if (maybeSecret.test(out)) out = out.replace(secrets, "[key]")
  return long ? `${out}…` : out
}

/** How long a piece of an answer is known again by. */
const window = 16
/** How much of the beginning and the end of an answer is looked through. */
const looked = 2_000

/** Whether a message repeats a piece of an answer. */
export const repeats = (message: string, answer: string): boolean => {
  if (answer.length < window) return answer.length > 3 && message.includes(answer)
  const text = answer.length <= 2 * looked ? answer : `${answer.slice(0, looked)}\n${answer.slice(-looked)}`
  for (let at = 0; at + window <= message.length; at++) {
    if (text.includes(message.slice(at, at + window))) return true
  }
  return false
}
