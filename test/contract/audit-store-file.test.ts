import { FileAuditStore } from "@breakwater/audit"
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { auditStoreContract } from "./audit-store.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-audit-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

auditStoreContract("a file", {
  fresh: Effect.map(folder, (path) => FileAuditStore.make({ path: join(path, "audit.log"), synchronous: "normal" })),
  shared: false
})
