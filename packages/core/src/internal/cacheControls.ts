/**
 * What a caller says to the caches, checked.
 */
import type { CacheControls } from "../domain/Cache.ts"
import type { InvalidRequestError } from "../errors/LLMError.ts"
import { millisOf } from "./options.ts"
import { invalid } from "./validateCall.ts"

/** Checked controls. */
export interface Controls {
  readonly read: boolean
  /** Whether an answer under way may be shared with others. */
  readonly share: boolean
  readonly write: boolean
  /** Whether reading an entry counts as using it. */
  readonly touch: boolean
  readonly maxAgeMs: number
  readonly namespace: string
}

const none: Controls = {
  read: true,
  share: true,
  write: true,
  touch: true,
  maxAgeMs: Infinity,
  namespace: "default"
}

/** The controls of a call of a tenant; an error names the field that is wrong. */
export const controlsOf = (tenant: string, controls: CacheControls | undefined): Controls | InvalidRequestError => {
  if (typeof tenant !== "string" || tenant.length === 0) return invalid("context.tenant", "it must not be empty")
  if (controls === undefined) return none
  const { maxAge, namespace = "default", noCache = false, noStore = false, readOnly = false } = controls
  if (typeof namespace !== "string" || namespace.length === 0 || namespace.length > 200) {
    return invalid("cache.namespace", "it must be 1 to 200 characters")
  }
  const maxAgeMs = maxAge === undefined ? Infinity : millisOf(maxAge)
  if (maxAgeMs === undefined || maxAgeMs <= 0) {
    return invalid("cache.maxAge", "it must be a finite duration above zero")
  }
  return {
    read: !noCache,
    share: !noCache && !noStore,
    write: !noStore && !readOnly,
    touch: !readOnly,
    maxAgeMs,
    namespace
  }
}
