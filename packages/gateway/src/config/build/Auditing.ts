/** The audit log of a configuration. */
import { Audit, FileAuditStore, KeyRing } from "@breakwater/audit"
import { AuditStore } from "@breakwater/core"
import { SqlAuditStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type ConfigurationError, secretOf } from "../Load.ts"
import type { GatewayConfig } from "../Schema.ts"
import { at } from "./Failure.ts"
import type { Kept } from "./Kept.ts"
import type { Stores } from "./Stores.ts"

/** The log, which a reload keeps open; `undefined` without one. Fails for a log that was tampered with. */
export const make = (
  { audit }: GatewayConfig,
  { postgres }: Stores,
  kept: Kept
): Effect.Effect<Audit.AuditService | undefined, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    if (audit === undefined) return undefined
    const secret = yield* secretOf(audit.keys, "audit.keys")
    const keys = yield* at("audit.keys")(KeyRing.parse(secret))
    const on = <E>(place: string, made: Effect.Effect<AuditStore.AuditStoreService, E, Scope.Scope>) =>
      kept.keep(
        `audit ${place} ${Redacted.value(secret)}`,
        Effect.flatMap(made, (store) => Effect.provideService(Audit.make({ keys }), AuditStore.AuditStore, store))
      )
    // A file has one writer: other keys for it want a restart.
    if ("file" in audit) return yield* at("audit.file")(on(audit.file, FileAuditStore.make({ path: audit.file })))
    return yield* at("audit.postgres")(on(`in ${postgres!.key}`, Effect.provide(SqlAuditStore.make(), postgres!.sql)))
  })
