/**
 * Models, what they can do, and how a request names them.
 */

/** What a model of a provider can do. A field left out is unknown, and treated as `false` where it matters. */
export interface Capabilities {
  /** Goes on from a last message of the assistant instead of answering it. */
  readonly prefill?: boolean
  readonly tools?: boolean
  readonly jsonSchema?: boolean
  readonly vision?: boolean
  readonly embeddings?: boolean
  /** Prompt and answer together, in tokens. */
  readonly contextWindow?: number
  /** The largest answer, in tokens. */
  readonly maxOutputTokens?: number
}

/** A model at a provider: where an attempt is sent. */
export interface TargetRef {
  readonly provider: string
  readonly model: string
}

/** The name of a target in logs, keys and headers: `provider/model`. */
export const targetId = (target: TargetRef): string => `${target.provider}/${target.model}`

/**
 * Reads `provider/model` against the names of the known providers. A text without a known provider as its
 * prefix names a model of `defaultProvider`, slashes and all (`meta-llama/llama-3` at a router).
 */
export const parseTarget = (
  text: string,
  isProvider: (name: string) => boolean,
  defaultProvider: string | undefined
): TargetRef | undefined => {
  const slash = text.indexOf("/")
  if (slash > 0) {
    const provider = text.slice(0, slash)
    if (isProvider(provider) && slash + 1 < text.length) return { provider, model: text.slice(slash + 1) }
  }
  return defaultProvider === undefined ? undefined : { provider: defaultProvider, model: text }
}
