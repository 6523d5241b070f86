/**
 * What a call asks for, checked: its targets, its limits, its request. Nothing is sent or paid before this.
 */
import type { CallControls, GenerateOptions } from "../domain/Call.ts"
import { type CallContext, single } from "../domain/CallContext.ts"
import { fromPrompt } from "../domain/Message.ts"
import { parseTarget, targetId } from "../domain/Model.ts"
import type { ProviderRequest, Sampling } from "../domain/Request.ts"
import { fromInput } from "../domain/Tool.ts"
import type { InvalidRequestError } from "../errors/LLMError.ts"
import { millisOf } from "../internal/options.ts"
import * as Check from "../internal/validateCall.ts"
import type { Registry } from "../LLMProvider.ts"
import type { PlanTarget } from "./Run.ts"

/** What a Layer gives to all its calls. */
export interface ResolveSettings {
  readonly registry: Registry
  /** The targets of calls that name none. */
  readonly targets: ReadonlyArray<PlanTarget>
  readonly maxAttempts: number | undefined
  readonly retries: number
  readonly strict: boolean
  readonly totalMs: number
  readonly maxPromptCharacters: number
  readonly defaults: Sampling | undefined
  readonly nextId: () => string
}

/** What one call asks for, checked. */
export interface Resolved {
  readonly requestId: string
  readonly context: CallContext
  readonly targets: ReadonlyArray<PlanTarget>
  readonly maxAttempts: number
  readonly strict: boolean
  readonly totalMs: number
}

/** A target by its name, as `provider/model`. */
export const resolveTarget = (
  registry: Registry,
  parameter: string,
  text: string
): PlanTarget | InvalidRequestError => {
  const problem = Check.checkModel(parameter, text)
  if (problem !== undefined) return problem
  // With several providers, an unknown name before a slash is more likely a slip than a model of the default one.
  const byDefault = registry.all.length === 1 || !text.includes("/") ? registry.all[0]!.name : undefined
  const ref = parseTarget(text, (name) => registry.get(name) !== undefined, byDefault)
  if (ref === undefined) {
    const names = registry.all.map((provider) => provider.name).join(", ")
    return Check.invalid(
      parameter,
      `${text} names no provider; known are ${names}, as in ${registry.all[0]!.name}/${text}`
    )
  }
  return { provider: registry.get(ref.provider)!, model: ref.model, id: targetId(ref) }
}

const resolveTargets = (
  settings: ResolveSettings,
  controls: CallControls
): ReadonlyArray<PlanTarget> | InvalidRequestError => {
  if (controls.model === undefined && controls.fallbacks === undefined) return settings.targets
  const targets: Array<PlanTarget> = []
  if (controls.model === undefined) targets.push(settings.targets[0]!)
  else {
    const target = resolveTarget(settings.registry, "model", controls.model)
    if ("_tag" in target) return target
    targets.push(target)
  }
  for (const text of controls.fallbacks ?? []) {
    const target = resolveTarget(settings.registry, "fallbacks", text)
    if ("_tag" in target) return target
    if (!targets.some((other) => other.id === target.id)) targets.push(target)
  }
  return targets
}

/** Targets, limits and ids of a call, or what is wrong with its controls. */
export const resolve = (settings: ResolveSettings, controls: CallControls): Resolved | InvalidRequestError => {
  const problem = Check.checkControls(controls)
  if (problem !== undefined) return problem
  const targets = resolveTargets(settings, controls)
  if ("_tag" in targets) return targets
  const strict = controls.strict ?? settings.strict ?? false
  const asked = strict ? 1 : targets.length
  const maxAttempts = settings.maxAttempts ?? asked + settings.retries
  return {
    requestId: controls.requestId ?? settings.nextId(),
    context: controls.context === undefined ? single : { ...single, ...controls.context },
    targets:
      asked < targets.length || maxAttempts < targets.length ? targets.slice(0, Math.min(asked, maxAttempts)) : targets,
    maxAttempts,
    strict,
    totalMs: controls.timeout === undefined ? settings.totalMs : millisOf(controls.timeout)!
  }
}

const samplingKeys = [
  "temperature",
  "topP",
  "topK",
  "maxTokens",
  "stop",
  "seed",
  "presencePenalty",
  "frequencyPenalty",
  "reasoning"
] as const

/** The request without its model, which each target fills in. */
export const requestOf = (
  settings: ResolveSettings,
  options: GenerateOptions
): Omit<ProviderRequest, "model"> | InvalidRequestError => {
  const messages = fromPrompt(options.prompt)
  const tools = options.tools === undefined ? undefined : fromInput(options.tools)
  const problem =
    Check.checkMessages(messages, settings.maxPromptCharacters) ??
    Check.checkSampling(options) ??
    (tools === undefined && options.toolChoice === undefined ? undefined : Check.checkTools(tools, options.toolChoice))
  if (problem !== undefined) return problem
  const request: { -readonly [K in keyof Omit<ProviderRequest, "model">]: ProviderRequest[K] } = { messages }
  const defaults = settings.defaults
  for (const key of samplingKeys) {
    const value = options[key] ?? defaults?.[key]
    if (value !== undefined) (request as Record<string, unknown>)[key] = value
  }
  if (tools !== undefined && tools.length > 0) request.tools = tools
  if (options.toolChoice !== undefined) request.toolChoice = options.toolChoice
  if (options.responseFormat !== undefined) request.responseFormat = options.responseFormat
  if (options.user !== undefined) request.user = options.user
  if (options.extra !== undefined) request.extra = options.extra
  return request
}
