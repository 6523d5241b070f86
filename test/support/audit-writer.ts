/**
 * A process that writes to an audit log, and prints the number of every entry once the log has acknowledged it: so many
 * entries on PostgreSQL, or to a file until it is killed. As `warm` it begins when it is told to, by anything on its input:
 * a process takes longer to start than to do what it is started for.
 */
import { Audit, FileAuditStore } from "@breakwater/audit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { once } from "node:events"
import { writeSync } from "node:fs"
import { flushCompileCache } from "node:module"

const [where, how] = [process.argv[2]!, process.argv[3]]
const count = how === undefined || how === "warm" ? Infinity : Number(how)

/** Only where it is asked for: a process that is to be killed should be quick to start. */
const onPostgres = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@breakwater/stores/sql")),
    ({ Postgres, SqlAuditStore }) =>
      SqlAuditStore.layer().pipe(Layer.provide(Postgres.layer({ url: Redacted.make(where) })))
  )
)
const inFile = FileAuditStore.layer({ path: where, synchronous: "normal" })

const program = Effect.gen(function* () {
  const audit = yield* Audit.make({ keys: [{ id: "k1", key: Redacted.make("a".repeat(64)) }] })
  writeSync(1, "ready\n")
  for (let batch = 0; batch * 10 < count; batch++) {
    yield* Effect.forEach(
      Array.from({ length: Math.min(10, count) }),
      (_, index) =>
        Effect.map(
          audit.record({
            action: "request",
            requestId: `${process.pid}-${batch}-${index}`,
            details: "x".repeat((batch * 37) % 3_000)
          }),
          // One write, so that a line is there whole or not at all.
          ({ seq }) => writeSync(1, `${seq} ${process.pid}-${batch}-${index}\n`)
        ),
      { concurrency: "unbounded", discard: true }
    )
  }
})

const run = Effect.scoped(program)
if (how === "warm") {
  // Otherwise that is done at the end, which a process that is killed does not come to.
  flushCompileCache()
  await once(process.stdin, "data")
}
await Effect.runPromise<void, unknown>(
  where.startsWith("postgres:") ? Effect.provide(run, onPostgres) : Effect.provide(run, inFile)
)
