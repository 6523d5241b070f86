/** A request that is refused before the service is asked: what the wires make their errors of. */

export type ProblemKind =
  | "invalid-request"
  | "unauthenticated"
  | "forbidden"
  | "not-found"
  | "method-not-allowed"
  | "timeout"
  | "too-large"
  | "unsupported-media-type"
  | "rate-limited"
  | "headers-too-large"
  | "internal"
  | "overloaded"

const statuses: { readonly [K in ProblemKind]: number } = {
  "invalid-request": 400,
  unauthenticated: 401,
  forbidden: 403,
  "not-found": 404,
  "method-not-allowed": 405,
  timeout: 408,
  "too-large": 413,
  "unsupported-media-type": 415,
  "rate-limited": 429,
  "headers-too-large": 431,
  internal: 500,
  overloaded: 503
}

/** A refusal. Plain data: it is part of normal work and has no stack. */
export interface Problem {
  readonly _tag: "Problem"
  readonly kind: ProblemKind
  readonly status: number
  readonly message: string
  /** The field of the request that is wrong. */
  readonly param?: string
  /** OpenAI's `code`. */
  readonly code?: string
  readonly retryAfterMs?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Makes a refusal. */
export const problem = (
  kind: ProblemKind,
  message: string,
  more: Pick<Problem, "param" | "code" | "retryAfterMs" | "headers"> = {}
): Problem => ({ _tag: "Problem", kind, status: statuses[kind], message, ...more })

/** A field that is wrong. */
export const wrong = (param: string, message: string): Problem =>
  problem("invalid-request", `${param}: ${message}`, { param })

/** Whether a value is a {@link Problem}. */
export const isProblem = (value: unknown): value is Problem =>
  typeof value === "object" && value !== null && (value as { readonly _tag?: unknown })._tag === "Problem"
