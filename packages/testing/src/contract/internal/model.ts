/** The words of the providers' contract. */
import type { LLMError, LLMProvider } from "@breakwater/core"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/**
 * The situations a provider can be put in.
 *
 * - `good`: answers some words, the same for the same question; `embed` answers too
 * - `silence`: the request is taken and never answered
 * - `stalled`: some content, and then nothing more
 * - `cut`: the connection breaks in the middle of the content
 * - `unfinished`: the stream ends properly, but in the middle
 * - `missing-done`, `malformed-event`: wrong on the wire, and yet a whole answer
 * - the others fail with the error of {@link expected}
 */
export type Situation =
  | "good"
  | "silence"
  | "stalled"
  | "cut"
  | "unfinished"
  | "missing-done"
  | "malformed-event"
  | FailingSituation

/** The situations in which nothing is answered. */
export type FailingSituation = keyof typeof expected

/** The errors a provider may raise in a situation, for `generate` and for `stream`. */
export const expected = {
  "rate-limit": ["RateLimitError"],
  quota: ["QuotaExhaustedError"],
  overloaded: ["ModelOverloadError"],
  "server-error": ["ServerError"],
  reset: ["TransportError"],
  "not-an-answer": ["InvalidResponseError"],
  "context-overflow": ["ContextLengthError"],
  "content-filter": ["ContentFilterError"],
  unauthorized: ["AuthenticationError"],
  "no-such-model": ["ModelNotFoundError"]
} as const satisfies Record<string, ReadonlyArray<LLMError.LLMErrorTag>>

/** A provider in a situation, and what its other side has seen. */
export interface Subject {
  readonly provider: LLMProvider.Provider
  /** The model that stands for the situation. */
  readonly model: string
  /** How many requests the other side has got. */
  readonly sent: Effect.Effect<number>
  /** How many of them are still being answered. */
  readonly open: Effect.Effect<number>
}

/** What is put to the test. */
export interface Target {
  readonly name: string
  /** The situations it can be put in; the tests of the others are left out. */
  readonly situations: ReadonlyArray<Situation>
  readonly make: (situation: Situation) => Effect.Effect<Subject, unknown, Scope.Scope>
  /** Whether it embeds. Default: true. */
  readonly embeds?: boolean
}

/** A promise that was not kept. */
export class ContractViolation extends Schema.TaggedError<ContractViolation>("@breakwater/testing/ContractViolation")(
  "ContractViolation",
  { message: Schema.String, cause: Schema.optionalKey(Schema.Defect()) }
) {}

/** One test: fails with a {@link ContractViolation} if the promise in its name is not kept. */
export interface ContractTest {
  readonly name: string
  readonly run: Effect.Effect<void, ContractViolation>
}
