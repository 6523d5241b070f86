/**
 * Named settings for the common kinds of use: the one place where they stand.
 */
import type { PipelineOptions } from "./Pipeline.ts"
import * as Retry from "./policy/Retry.ts"
import * as Timeout from "./policy/Timeout.ts"

/**
 * - `interactive`: somebody waits for the answer. Two retries, no wait above ten seconds, two minutes in all.
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

export const names = Object.keys(presets) as ReadonlyArray<PresetName>

/** Whether a text names a preset. */
export const isPresetName = (text: string): text is PresetName => Object.hasOwn(presets, text)
