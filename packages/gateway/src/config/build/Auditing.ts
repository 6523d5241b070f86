/** The audit log of a configuration. */
import { Audit, FileAuditStore, KeyRing } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type ConfigurationError, secretOf } from "../Load.ts"
import type { GatewayConfig } from "../Schema.ts"
import { at } from "./Failure.ts"
import type { Kept } from "./Kept.ts"

/** The log, which a reload keeps open; `undefined` without one. Fails for a log that was tampered with. */
export const make = (
  { audit }: GatewayConfig,
  kept: Kept
): Effect.Effect<Audit.AuditService | undefined, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    if (audit === undefined) return undefined
    const secret = yield* secretOf(audit.keys, "audit.keys")
    const keys = yield* at("audit.keys")(KeyRing.parse(secret))
    // A file has one writer: other keys for it want a restart.
    return yield* at("audit.file")(
      kept.keep(
        `audit ${audit.file} ${Redacted.value(secret)}`,
        Effect.flatMap(FileAuditStore.make({ path: audit.file }), (store) =>
          Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store)
        )
      )
    )
  })
