/** Attempts as the commands print them with `--json`. */
import type { Call } from "@breakwater/core"
import { type Report, report } from "./Failure.ts"

/** An attempt in JSON. */
export interface AttemptJson {
  readonly target: string
  readonly outcome: string
  readonly ms: number
  readonly waitedMs: number
  readonly error?: Report
}

/** The attempts of a call as `--json` shows them. */
export const attemptsJson = (attempts: ReadonlyArray<Call.AttemptRecord>): ReadonlyArray<AttemptJson> =>
  attempts.map(({ error, outcome, target, tookMs, waitedMs }) => ({
    target,
    outcome,
    ms: Math.round(tookMs),
    waitedMs: Math.round(waitedMs),
    ...(error === undefined ? {} : { error: report(error) })
  }))
