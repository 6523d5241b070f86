/**
 * What the cache believes of an entry, and of another caller's failure.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CacheCall } from "../../domain/Cache.ts"
import { DeadlineExceededError, type LLMError } from "../../errors/LLMError.ts"
import type { Owner } from "../../internal/flights.ts"
import { rejection } from "../../internal/rejection.ts"
import { CacheEntry } from "../../store/CacheStore.ts"

const isEntry = Schema.decodeUnknownOption(CacheEntry)

/** Checks what a remote store answered: of this format, whole, and ended by a `finish`. */
export const readEntry = (value: unknown): CacheEntry | undefined => {
  const entry = Option.getOrUndefined(isEntry(value))
  if (entry?.answer.kind !== "stream") return entry
  return entry.answer.parts[entry.answer.parts.length - 1]?.type === "finish" ? entry : undefined
}

/** A failure that is its caller's own: another one with more time, or another budget, asks for itself. */
export const isOwn = (error: LLMError, leader: Owner, own: Owner): boolean =>
  error._tag === "DeadlineExceededError"
    ? own.deadlineMs > leader.deadlineMs
    : error._tag === "BudgetExceededError" && own.account !== leader.account

export const ownerOf = ({ context, deadlineMs = Infinity }: CacheCall): Owner => ({
  deadlineMs,
  account: JSON.stringify([context.user, context.project, context.key, context.tags])
})

export const lateBy = (limitMs: number): DeadlineExceededError =>
  rejection(DeadlineExceededError, "DeadlineExceededError", {
    message: `The call waited ${Math.round(limitMs)} ms for an identical one in flight, to the end of its time`,
    elapsed: Duration.millis(limitMs),
    limit: Duration.millis(limitMs)
  })
