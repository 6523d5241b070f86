/** What a command says when it fails: a kind, and a sentence. */
import * as Config from "effect/Config"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"
import { LLMError } from "@breakwater/core"
import { oneLine } from "./render/Style.ts"

export interface Report {
  /** The `_tag` of the error. */
  readonly tag: string
  readonly message: string
}

/** A wrong setting, found by the command itself. */
export class SettingError extends Data.TaggedError("ConfigError")<{ readonly message: string }> {}

/** The command has said what it had to say, and ends with an exit code. */
export class Ended extends Data.TaggedError("Ended")<{ readonly code: number }> {
  override readonly [Runtime.errorExitCode] = this.code
  override readonly [Runtime.errorReported] = false
}

/** An error in a sentence, with what its fields add to it. */
export const report = (error: unknown): Report => {
  if (error instanceof Config.ConfigError) return { tag: "ConfigError", message: oneLine(error.cause.message) }
  if (error instanceof LLMError.AllTargetsFailedError) {
    const all = error.attempts.map((attempt) => `${attempt.target}: ${oneLine(attempt.error.message, 200)}`)
    return { tag: error._tag, message: oneLine(`every target failed. ${[...new Set(all)].join("; ")}`) }
  }
  if (error instanceof Error) {
    const tag = "_tag" in error && typeof error._tag === "string" ? error._tag : error.name
    return { tag, message: oneLine(error.message) || tag }
  }
  return { tag: "Error", message: oneLine(String(error)) }
}

/** The error of a failed run; `undefined` if it was interrupted. */
export const reportCause = (cause: Cause.Cause<unknown>): Report | undefined =>
  Cause.hasInterruptsOnly(cause) ? undefined : report(Cause.squash(cause))
