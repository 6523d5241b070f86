/** Text from outside (names of targets, users, stores), made fit for those who read it. */

/** Control characters, line separators, and marks that turn the direction of writing around. */
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** The text on one line, of whole and harmless characters. */
export const oneLine = (text: string): string =>
  text
    .replace(/\s*[\r\n]+\s*/g, " ")
    .replace(unsafe, "\ufffd")
    .toWellFormed()

/** FNV-1a of 32 bits (Fowler, Noll and Vo), in base 36: tells long texts apart that begin alike. */
export const shortHash = (text: string): string => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(36)
}
