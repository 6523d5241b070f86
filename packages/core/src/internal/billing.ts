/**
 * What an attempt may have cost when nobody has said so.
 */
import type { AttemptRecord } from "../domain/Call.ts"
import type { Usage } from "../domain/Usage.ts"
import type { AttemptError } from "../errors/LLMError.ts"

/**
 * Whether a provider may bill an attempt that ended so without a word about its usage. An answer that says no is not
 * billed; a connection that was given up after the request was sent may well be.
 */
const mayBeBilled = (error: AttemptError): boolean => {
  switch (error._tag) {
    case "TransportError":
      return error.phase === "read" || error.phase === "reset"
    case "RequestTimeoutError":
      return error.phase !== "connect"
    case "ContentFilterError":
      return error.stage === "output"
    case "StreamInterruptedError":
    case "InvalidResponseError":
    case "StructuredOutputError":
    case "OutputRejectedError":
    case "DeadlineExceededError":
      return true
    default:
      return false
  }
}

/** The usage of an attempt as far as anybody knows it. */
export const usageOf = (record: AttemptRecord): Usage | undefined =>
  record.usage ?? (record.error?._tag === "StructuredOutputError" ? record.error.usage : undefined)

/** Whether an attempt without a known usage has to be counted at its worst case. */
export const isUnknown = (record: AttemptRecord): boolean =>
  record.sent !== false && (record.error === undefined || mayBeBilled(record.error))
