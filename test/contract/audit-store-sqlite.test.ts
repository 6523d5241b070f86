import { Sqlite, SqlAuditStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { auditStoreContract } from "./audit-store.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-audit-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

auditStoreContract("SQLite", {
  fresh: Effect.map(folder, (path) =>
    Effect.flatMap(Layer.build(Sqlite.layer({ filename: join(path, "audit.db"), synchronous: "normal" })), (client) =>
      Effect.provide(SqlAuditStore.make(), client)
    )
  ),
  shared: true
})
