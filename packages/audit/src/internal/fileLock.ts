/**
 * The right to write a file, for one process at a time.
 *
 * It is a lock of the operating system on a file beside the log, taken through SQLite, which Node brings: it ends with its
 * process however that ends, and needs no guess whether a process number that stands in a file is still the same process.
 */
import type { DatabaseSync } from "node:sqlite"

/** Gives the lock back. */
export type Unlock = () => void

/** Takes the lock; `undefined` if somebody has it. Throws where the file cannot be made. */
export const lock = (path: string): Unlock | undefined => {
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite")
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { timeout: 0 })
    // Without a journal: nothing is ever written.
    db.exec("PRAGMA journal_mode = OFF")
    db.exec("BEGIN EXCLUSIVE")
    const held = db
    return () => held.close()
  } catch (cause) {
    db?.close()
    if (cause instanceof Error && /locked|busy/i.test(cause.message)) return undefined
    throw cause
  }
}
