/**
 * A process that writes to a ledger until it is killed, and prints every id once the ledger has acknowledged it. It
 * begins when something comes in, so that it can be started before its turn.
 */
import { Ledger } from "@breakwater/core"
import { Sqlite, SqlLedgerStore } from "@breakwater/stores/sql"
import * as Effect from "effect/Effect"
import { readSync, writeSync } from "node:fs"

const [filename, round] = [process.argv[2]!, process.argv[3]!]

const program = Effect.gen(function* () {
  const store = yield* SqlLedgerStore.make
  writeSync(1, "ready\n")
  for (let batch = 0; ; batch++) {
    const size = 1 + (batch % 40)
    const records = Array.from({ length: size }, (_, index) =>
      Ledger.entry({
        id: `${round}-${batch}-${index}`,
        atMs: batch * 1_000,
        target: "p/a",
        user: `u${index % 7}`,
        costNanos: 1n
      })
    )
    yield* store.append(records)
    // One write, so that a line is there whole or not at all.
    writeSync(1, records.map((record) => `${record.id}\n`).join(""))
  }
})

readSync(0, new Uint8Array(1))
await Effect.runPromise(Effect.provide(program, Sqlite.layer({ filename })))
