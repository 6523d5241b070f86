/**
 * What an MLflow server takes, from its REST API's documentation and `mlflow/utils/validation.py`, and how what is too
 * much is made to fit.
 */

/** Of one `runs/log-batch`. */
export const maxMetrics = 1_000
export const maxParams = 100
export const maxTags = 100
/** Metrics, parameters and tags together. */
export const maxEntities = 1_000
/** Bytes of the body; a little less than the server's million. */
export const maxBytes = 900_000

const maxKeyLength = 250
const maxParamLength = 6_000
const maxTagLength = 5_000

/** A key that the server takes: letters, digits, and `_ - . / :` and spaces; anything else becomes `_`. */
export const keyOf = (name: string): string => {
  const clean = name
    .replace(/[^\w\-./: ]/g, "_")
    .replace(/\/{2,}/g, "/")
    .slice(0, maxKeyLength)
  // It goes into a path: neither absolute, nor relative, nor upwards.
  const safe = clean.replace(/^\/+|\/+$/g, "").replace(/(^|\/)\.{1,2}(?=\/|$)/g, "$1_")
  return safe === "" ? "_" : safe
}

const cut = (text: string, length: number): string => {
  if (text.length <= length) return text
  const end = text.slice(0, length - 1)
  // Half a character is none.
  return `${/[\uD800-\uDBFF]$/.test(end) ? end.slice(0, -1) : end}…`
}

export const paramOf = (value: string): string => cut(value, maxParamLength)
export const tagOf = (value: string): string => cut(value, maxTagLength)
