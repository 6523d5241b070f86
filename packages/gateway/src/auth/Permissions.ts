/** Who is calling, and what they may do. */
import type { Scope } from "../config/Schema.ts"
import { type Problem, problem } from "../internal/Problem.ts"

/** Somebody whose key or token was accepted. */
export interface Principal {
  /** The key's id, or the token's subject: what limits are counted by. */
  readonly id: string
  readonly tenant: string
  readonly user?: string
  readonly project?: string
  readonly tier?: string
  readonly priority?: "interactive" | "batch"
  readonly scopes: ReadonlySet<Scope>
  readonly models?: ReadonlyArray<string>
}

/** What a key may do that does not say. */
export const usual: ReadonlyArray<Scope> = ["chat", "embeddings", "models"]

/** The caller of a gateway without keys: everything but administration, unless they sit at the machine itself. */
export const anonymous: Principal = {
  id: "anonymous",
  tenant: "default",
  scopes: new Set<Scope>([...usual, "metrics"])
}

/** Whether a scope is granted. */
export const requireScope = (principal: Principal, scope: Scope): Problem | undefined =>
  principal.scopes.has(scope)
    ? undefined
    : problem(
        "forbidden",
        principal === anonymous
          ? `This needs a key with the scope ${scope}, and no keys are configured: then it is for requests from this machine only.`
          : `The key does not have the scope ${scope}.`,
        { headers: { "www-authenticate": `Bearer error="insufficient_scope", scope="${scope}"` } }
      )

const matches = (pattern: string, model: string): boolean =>
  pattern.endsWith("*") ? model.startsWith(pattern.slice(0, -1)) : pattern === model

/** Whether a model may be asked for. It is told apart from an unknown one only for those that may ask for it. */
export const mayUse = (principal: Principal, model: string): boolean =>
  principal.models === undefined || principal.models.some((pattern) => matches(pattern, model))
