/** API keys: made at random, shown once, kept as SHA-256, and compared in constant time. */
import type { Scope, StoredKey } from "../config/Schema.ts"
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import { type Principal, usual } from "./Permissions.ts"

/** The hash under which a key is kept. 256 random bits need no salt and no slow hash. */
export const hashOf = (key: string): string => createHash("sha256").update(key).digest("hex")

/** A new key: 256 random bits behind a mark that scanners for secrets can look for. */
export const generate = (): string => `bw_${randomBytes(32).toString("base64url")}`

const principalOf = (key: StoredKey): Principal => ({
  id: key.id,
  tenant: key.tenant ?? "default",
  scopes: new Set<Scope>(key.scopes ?? usual),
  ...(key.user === undefined ? {} : { user: key.user }),
  ...(key.project === undefined ? {} : { project: key.project }),
  ...(key.tier === undefined ? {} : { tier: key.tier }),
  ...(key.priority === undefined ? {} : { priority: key.priority }),
  ...(key.models === undefined ? {} : { models: key.models })
})

interface Entry {
  readonly digest: Buffer
  readonly expiresMs: number
  readonly principal: Principal
}

/** The keys of a configuration. One id may have several: the old one goes on until it expires. */
export class ApiKeys {
  /** By the first bytes of the hash, which say nothing of the key; the rest is compared in constant time. */
  private readonly entries = new Map<string, Array<Entry>>()

  constructor(keys: ReadonlyArray<StoredKey>) {
    for (const key of keys) {
      if (key.revoked === true) continue
      const entry = {
        digest: Buffer.from(key.hash, "hex"),
        expiresMs: key.expires === undefined ? Infinity : Date.parse(key.expires),
        principal: principalOf(key)
      }
      const bucket = key.hash.slice(0, 4)
      const others = this.entries.get(bucket)
      if (others === undefined) this.entries.set(bucket, [entry])
      else others.push(entry)
    }
  }

  /** The owner of a key; `expired` for one that was good once. */
  find(key: string, nowMs: number): Principal | "expired" | undefined {
    const digest = createHash("sha256").update(key).digest()
    let found: Entry | undefined
    for (const entry of this.entries.get(digest.toString("hex", 0, 2)) ?? []) {
      if (timingSafeEqual(entry.digest, digest)) found = entry
    }
    if (found === undefined) return undefined
    return nowMs < found.expiresMs ? found.principal : "expired"
  }
}
