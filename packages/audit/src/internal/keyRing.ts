/** The keys of a log: what each of them chains and seals with. */
import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto"

/** What a ring is made from. The last key seals, all of them open. */
export interface RawKey {
  readonly id: string
  /** 32 bytes. */
  readonly bytes: Uint8Array
}

export const keyBytes = 32

/** Session keys that are remembered: a log has one for each time a writer was started. */
const maxSessions = 1_000

const derive = (from: KeyObject, salt: Uint8Array, info: string): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync("sha256", from, salt, `breakwater audit v1 ${info}`, keyBytes)))

const none = new Uint8Array(0)

/** One key, as two: one makes the chain, the other seals. Neither tells the other. */
export class ChainKey {
  readonly id: string
  private readonly chain: KeyObject
  private readonly seal: KeyObject
  private readonly sessions = new Map<string, KeyObject>()

  constructor({ bytes, id }: RawKey) {
    this.id = id
    const secret = createSecretKey(bytes)
    this.chain = derive(secret, none, "chain")
    this.seal = derive(secret, none, "seal")
  }

  /** HMAC-SHA-256 over the text of a record, in base64url. */
  mac(text: string): string {
    return createHmac("sha256", this.chain).update(text, "latin1").digest("base64url")
  }

  /** The AES key of a writer's session, by the session's salt. */
  session(salt: Uint8Array): KeyObject {
    const name = Buffer.from(salt).toString("base64url")
    const known = this.sessions.get(name)
    if (known !== undefined) return known
    if (this.sessions.size >= maxSessions) this.sessions.clear()
    const key = derive(this.seal, salt, "session")
    this.sessions.set(name, key)
    return key
  }
}

/** Keys by their ids. */
export class KeyRing {
  private readonly keys = new Map<string, ChainKey>()
  private newest: ChainKey

  /** At least one key. */
  constructor(keys: ReadonlyArray<RawKey>) {
    for (const key of keys) this.keys.set(key.id, new ChainKey(key))
    this.newest = this.keys.get(keys.at(-1)!.id)!
  }

  /** The key that seals. */
  get sealing(): ChainKey {
    return this.newest
  }

  get(id: string): ChainKey | undefined {
    return this.keys.get(id)
  }

  get ids(): ReadonlyArray<string> {
    return [...this.keys.keys()]
  }

  /** From now on this key seals. */
  add(key: RawKey): void {
    this.newest = new ChainKey(key)
    this.keys.set(key.id, this.newest)
  }
}
