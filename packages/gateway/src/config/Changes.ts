/** What the audit log says of a reload: that there was one, of what, and which keys came and went. Never the content. */
import type { Audit } from "@breakwater/audit"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type { Engine } from "./Build.ts"
import type { ConfigurationError } from "./Load.ts"
import type { Engines } from "./Reload.ts"
import type { GatewayConfig, StoredKey } from "./Schema.ts"

type Record = Parameters<Audit.AuditService["offer"]>[0]

/** A configuration, and the text it was read from. */
export interface Loaded {
  readonly text: string
  readonly config: Effect.Effect<GatewayConfig, ConfigurationError>
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

const goodKeys = ({ auth }: GatewayConfig): ReadonlyMap<string, StoredKey> =>
  new Map((auth?.keys ?? []).filter(({ revoked }) => revoked !== true).map((key) => [key.hash, key]))

/** Which keys a reload adds and takes away, by their ids. */
const keyChanges = (before: GatewayConfig, after: GatewayConfig): ReadonlyArray<Record> => {
  const [old, next] = [goodKeys(before), goodKeys(after)]
  const records: Array<Record> = []
  const note = (action: string, { id }: StoredKey) => records.push({ action, targets: [id], outcome: "success" })
  for (const [hash, key] of next) {
    const known = old.get(hash)
    if (known === undefined) note("key-created", key)
    else if (JSON.stringify(known) !== JSON.stringify(key)) note("key-changed", key)
  }
  for (const [hash, key] of old) if (!next.has(hash)) note("key-revoked", key)
  return records
}

const offer = (engines: ReadonlyArray<Engine>, records: ReadonlyArray<Record>): Effect.Effect<void> =>
  Effect.forEach(
    new Set(engines.map(({ audit }) => audit)),
    (audit) => (audit === undefined ? Effect.void : Effect.forEach(records, audit.offer, { discard: true })),
    { discard: true }
  )

/** Puts what was loaded in force, and writes down that it was: in the log that was, and in the one that is. */
export const replaceWith =
  (engines: Engines) =>
  (loaded: Loaded): Effect.Effect<void, ConfigurationError> =>
    Effect.acquireUseRelease(
      Effect.sync(() => engines.acquire()),
      (before) => {
        const sha = sha256(loaded.text)
        return Effect.flatMap(loaded.config, engines.replace).pipe(
          Effect.tap(() => {
            const after = engines.current()
            const changed: Record = { action: "configuration-changed", outcome: "success", details: { sha256: sha } }
            return offer([before, after], [changed, ...keyChanges(before.config, after.config)])
          }),
          Effect.tapError(({ issues }) => {
            // The names of the fields: messages may tell what stands in them.
            const fields = issues.slice(0, 20).map((issue) => issue.slice(0, Math.max(0, issue.indexOf(":"))))
            const details = { sha256: sha, fields }
            return offer([before], [{ action: "configuration-refused", outcome: "refused", details }])
          })
        )
      },
      (before) => Effect.sync(() => engines.release(before))
    )
