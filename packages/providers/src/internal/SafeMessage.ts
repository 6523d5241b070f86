/** Sentences of providers, made fit for an error message. */

const secret = /\b(?:(?:sk|pk|rk|hf|gsk|xai|nvapi)[-_*]|AIza)[-_A-Za-z0-9*]{6,}/g

/** A provider's sentence, cut, and without anything that looks like a key. */
export const safeMessage = (message: string): string => {
  const clean = message.replaceAll(secret, "[key]").replaceAll(/\s+/g, " ").trim()
  return clean.length > 300 ? clean.slice(0, 297) + "..." : clean
}
