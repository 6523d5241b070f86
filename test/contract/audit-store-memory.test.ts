import { AuditStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import { auditStoreContract } from "./audit-store.ts"

auditStoreContract("memory", {
  fresh: Effect.map(AuditStore.makeMemory, Effect.succeed),
  shared: true
})
