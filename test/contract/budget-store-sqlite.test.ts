import { SqlBudgetStore, Sqlite } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { budgetStoreContract } from "./budget-store.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "breakwater-budget-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

budgetStoreContract("SQLite", {
  connect: Effect.gen(function* () {
    const filename = join(yield* folder, "budget.db")
    const open = Effect.flatMap(Layer.build(Sqlite.layer({ filename, synchronous: "normal" })), (client) =>
      Effect.provide(SqlBudgetStore.make, client)
    )
    return [yield* open, yield* open] as const
  })
})
