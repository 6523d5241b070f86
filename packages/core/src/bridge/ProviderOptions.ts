/**
 * What a provider made of a `LanguageModel` is told, and what it does with requests the model has no way to honour.
 */
import * as ResponseIdTracker from "effect/ai/ResponseIdTracker"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import type { Capabilities } from "../domain/Model.ts"
import type { ProviderEmbedRequest, ProviderRequest } from "../domain/Request.ts"
import { type AttemptError, InvalidRequestError } from "../errors/LLMError.ts"
import type { Origin } from "./AiErrors.ts"

/** A field of a request that a `LanguageModel` has no option for. */
export type Parameter =
  | "temperature"
  | "topP"
  | "topK"
  | "maxTokens"
  | "stop"
  | "seed"
  | "presencePenalty"
  | "frequencyPenalty"
  | "reasoning"
  | "user"
  | "extra"
  | "dimensions"

const parameters: ReadonlyArray<Parameter> = [
  "temperature",
  "topP",
  "topK",
  "maxTokens",
  "stop",
  "seed",
  "presencePenalty",
  "frequencyPenalty",
  "reasoning",
  "user",
  "extra",
  "dimensions"
]

/** How a model becomes a provider. */
export interface ProviderOptions {
  /** The first half of `provider/model`: not empty, without a slash. */
  readonly name: string
  /** What the model can do. Default: tools and JSON answers, as far as the model does them. */
  readonly capabilities?: Capabilities | ((model: string) => Capabilities)
  /**
   * A `LanguageModel` takes neither a model's name nor sampling parameters: they were fixed when its Layer was
   * built. What happens to a request that sets a parameter not in `supports`:
   *
   * - `reject` (default): `InvalidRequestError`, naming the parameter, and nothing is sent
   * - `ignore`: it is dropped
   */
  readonly unsupported?: "reject" | "ignore"
  /** Parameters that `context` passes on. */
  readonly supports?: ReadonlyArray<Parameter>
  /**
   * Services for one request: how packages for `effect/ai` take a model's name and sampling parameters
   * call by call (a `Config` service of the package).
   */
  readonly context?: (request: ProviderRequest | ProviderEmbedRequest) => Context.Context<never>
}

/** The options of one provider, ready for requests. */
export interface Bridge {
  readonly options: ProviderOptions
  readonly origin: (request: { readonly model: string }) => Origin
  /** The parameter that cannot be passed on, as an error. */
  readonly refuse: (request: ProviderRequest | ProviderEmbedRequest) => AttemptError | undefined
  /** Services a request runs with, before those of its caller. */
  readonly services: (request: ProviderRequest | ProviderEmbedRequest) => Context.Context<never>
}

// A response id belongs to one provider, and another may have given it: the model is always sent the whole prompt.
const untracked = Context.make(ResponseIdTracker.ResponseIdTracker, {
  clearUnsafe: () => undefined,
  markParts: () => undefined,
  prepareUnsafe: () => Option.none()
}) as Context.Context<never>

/** Reads the options once. */
export const makeBridge = (options: ProviderOptions): Bridge => {
  const refused =
    options.unsupported === "ignore" ? [] : parameters.filter((name) => !(options.supports ?? []).includes(name))
  const origin = (request: { readonly model: string }): Origin => ({ provider: options.name, model: request.model })
  return {
    options,
    origin,
    refuse: (request) => {
      for (const parameter of refused) {
        if ((request as unknown as Record<Parameter, unknown>)[parameter] !== undefined) {
          return new InvalidRequestError({
            ...origin(request),
            message:
              `The model behind provider "${options.name}" does not take ${parameter}: set it where the ` +
              `model's Layer is built, pass it with the option "context", or choose unsupported: "ignore".`,
            parameter
          })
        }
      }
      return undefined
    },
    services: (request) => Context.merge(untracked, options.context?.(request) ?? Context.empty())
  }
}
