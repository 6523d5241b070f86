/** Who asks, as far as the parts below the handlers need to know. */
import type { Money } from "@breakwater/core"
import * as Context from "effect/Context"

export interface Caller {
  readonly tier?: string | undefined
  /** The most that the request may cost, in nano-dollars. */
  readonly atMost?: Money.NanoDollars | undefined
}

/** The caller of the request that a fiber works for; `undefined` outside of one. */
export const CurrentCaller = Context.Reference<Caller | undefined>("@breakwater/gateway/Caller", {
  defaultValue: () => undefined
})
