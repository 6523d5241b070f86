/**
 * Whose call it is. Keys of caches, quotas and budgets are built from this, so that none can be built
 * without saying for whom.
 */

/** Who is calling, and under which labels the call is accounted. */
export interface CallContext {
  /** The customer or organisation. Caches never answer one tenant from another's entries. */
  readonly tenant: string
  readonly user?: string
  readonly project?: string
  /** Which API key the call came with: its name or id, never the key itself. */
  readonly key?: string
  readonly tags?: ReadonlyArray<string>
  /** `interactive` goes before `batch` wherever calls queue. */
  readonly priority?: "interactive" | "batch"
}

/** The context of a program with one tenant. */
export const single: CallContext = { tenant: "default" }
