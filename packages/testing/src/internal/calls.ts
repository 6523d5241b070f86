/** The record of the calls a scripted provider got. */
import type * as Clock from "effect/Clock"
import type { AnyRequest } from "../Script.ts"

/** One recorded call. Times are milliseconds of the monotonic clock. */
export interface RecordedCall {
  /** Counted from 1. */
  readonly number: number
  readonly operation: "generate" | "stream" | "embed"
  readonly request: AnyRequest
  readonly startedAt: number
  readonly endedAt: number | undefined
  /** A stream that its reader left before the end is `interrupted`. */
  readonly outcome: "running" | "success" | "failure" | "interrupted" | "died"
  /** Calls under way when this one began, itself included. */
  readonly concurrent: number
}

/** Counts over all calls, kept even when calls are not recorded. */
export interface Counts {
  readonly calls: number
  readonly open: number
  readonly maxOpen: number
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const millisNow = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

export class CallLog {
  readonly calls: Array<Mutable<RecordedCall>> = []
  readonly keep: boolean
  count = 0
  open = 0
  maxOpen = 0

  constructor(keep: boolean) {
    this.keep = keep
  }

  /** The number of the next call. */
  take(): number {
    return ++this.count
  }

  begin(number: number, operation: RecordedCall["operation"], request: AnyRequest, clock: Clock.Clock) {
    this.open++
    if (this.open > this.maxOpen) this.maxOpen = this.open
    if (!this.keep) return undefined
    const call: Mutable<RecordedCall> = {
      number,
      operation,
      request,
      startedAt: millisNow(clock),
      endedAt: undefined,
      outcome: "running",
      concurrent: this.open
    }
    this.calls.push(call)
    return call
  }

  end(call: Mutable<RecordedCall> | undefined, outcome: RecordedCall["outcome"], clock: Clock.Clock) {
    this.open--
    if (call === undefined) return
    call.outcome = outcome
    call.endedAt = millisNow(clock)
  }
}
