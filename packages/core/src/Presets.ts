/**
 * Named settings for the common kinds of use: the one place where they stand.
 */
import type { PipelineOptions } from "./Pipeline.ts"
import type * as CircuitBreaker from "./policy/CircuitBreaker.ts"
import * as Retry from "./policy/Retry.ts"
import * as Timeout from "./policy/Timeout.ts"
import type * as TokenQuota from "./policy/TokenQuota.ts"

/**
 * - `interactive`: somebody waits for the answer. Two retries, no wait above ten seconds, three minutes in all.
 * - `highThroughput`: many calls at once. Five retries, five minutes in all.
 * - `batch`: nobody waits. Ten retries, whole answers only, an hour in all.
 * - `strict`: regulated use. The first target answers or nobody does.
 */
export type PresetName = "interactive" | "highThroughput" | "batch" | "strict"

/** What a preset settles. */
export type Preset = Required<Pick<PipelineOptions, "retry" | "timeouts" | "streamPolicy" | "strict">>

export const presets: { readonly [Name in PresetName]: Preset } = {
  interactive: {
    retry: Retry.presets.interactive,
    timeouts: Timeout.presets.interactive,
    streamPolicy: "fail",
    strict: false
  },
  highThroughput: {
    retry: Retry.presets.highThroughput,
    timeouts: Timeout.presets.highThroughput,
    streamPolicy: "fail",
    strict: false
  },
  batch: {
    retry: Retry.presets.batch,
    timeouts: Timeout.presets.batch,
    streamPolicy: "buffer",
    strict: false
  },
  strict: {
    retry: Retry.presets.interactive,
    timeouts: Timeout.presets.interactive,
    streamPolicy: "fail",
    strict: true
  }
}

/** The policies with a state of their own, as a preset builds them. */
export interface PresetPolicies {
  readonly breaker: CircuitBreaker.Options
  /** Limits are learned from the provider; a call that would wait longer than `maxWait` fails over instead. */
  readonly quota: TokenQuota.Options
}

export const policies: { readonly [Name in PresetName]: PresetPolicies } = {
  interactive: { breaker: {}, quota: { maxWait: "2 seconds" } },
  highThroughput: { breaker: {}, quota: { maxWait: "30 seconds" } },
  batch: { breaker: {}, quota: { maxWait: "2 minutes" } },
  strict: { breaker: {}, quota: { maxWait: "10 seconds" } }
}

export const names = Object.keys(presets) as ReadonlyArray<PresetName>

/** Whether a text names a preset. */
export const isPresetName = (text: string): text is PresetName => Object.hasOwn(presets, text)
