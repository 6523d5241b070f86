/**
 * The text of a record: a clear header, a sealed box, and a MAC over the text before it.
 *
 * Every byte of a line is under its MAC, and a MAC is compared as text: there are no two ways to write the same record, so
 * any change of a byte shows. `prev` is the MAC of the record before, which makes the chain.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto"
import type { ChainKey, KeyRing } from "./keyRing.ts"

/** `prev` of the first record of a log. */
export const origin = "A".repeat(43)

export interface Header {
  readonly type: "entry" | "checkpoint"
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly at: number
  /** The id of the key. */
  readonly key: string
  /** The MAC of the record before; of a checkpoint: of the last one it stands for. */
  readonly prev: string
}

/** A record whose form is right. Whether it is genuine, {@link isGenuine} says. */
export interface SealedRecord extends Header {
  readonly nonce: string
  readonly box: string
  readonly mac: string
  /** What the MAC is over. */
  readonly signed: string
  /** What the box is bound to. */
  readonly bound: string
}

export interface Head {
  readonly seq: number
  readonly at: number
  readonly key: string
  /** The MAC of the last record. */
  readonly chain: string
  readonly mac: string
  readonly signed: string
}

const saltBytes = 16
const counterBytes = 8
const tagBytes = 16
const form =
  /^(\{"v":1,"type":"(entry|checkpoint)","seq":(\d{1,16}),"at":(-?\d{1,16}),"key":"([A-Za-z0-9._-]{1,64})","prev":"([\w-]{43})","nonce":"([\w-]{32})","box":")([\w-]+)","mac":"([\w-]{43})"\}$/
const headForm =
  /^(\{"v":1,"type":"head","seq":(\d{1,16}),"at":(-?\d{1,16}),"key":"([A-Za-z0-9._-]{1,64})","chain":"([\w-]{43})"),"mac":"([\w-]{43})"\}$/

const headerText = ({ at, key, prev, seq, type }: Header): string =>
  `{"v":1,"type":"${type}","seq":${seq},"at":${at},"key":"${key}","prev":"${prev}"`

/**
 * Seals what one writer writes. Its salt is drawn at random and makes a key of its own; under that key nonces are counted,
 * so that none ever comes twice: not after a crash, a repair or a copied file, and for any number of records.
 */
export class Sealer {
  private readonly salt = randomBytes(saltBytes)
  private count = 0n
  private session: { readonly of: ChainKey; readonly key: KeyObject } | undefined

  seal(key: ChainKey, header: Omit<Header, "key">, payload: string): { readonly text: string; readonly mac: string } {
    const counter = Buffer.alloc(12)
    counter.writeBigUInt64BE(this.count++, 12 - counterBytes)
    const nonce = Buffer.concat([this.salt, counter.subarray(12 - counterBytes)]).toString("base64url")
    const bound = `${headerText({ ...header, key: key.id })},"nonce":"${nonce}","box":"`
    const cipher = createCipheriv("aes-256-gcm", this.sessionOf(key), counter)
    cipher.setAAD(Buffer.from(bound, "latin1"))
    const box = Buffer.concat([cipher.update(payload, "utf8"), cipher.final(), cipher.getAuthTag()])
    const signed = `${bound}${box.toString("base64url")}"`
    const mac = key.mac(signed)
    return { text: `${signed},"mac":"${mac}"}`, mac }
  }

  private sessionOf(key: ChainKey): KeyObject {
    if (this.session?.of !== key) this.session = { of: key, key: key.session(this.salt) }
    return this.session.key
  }
}

/** Reads the form of a line; `undefined` for one that no writer has made. */
export const parse = (text: string): SealedRecord | undefined => {
  const found = form.exec(text)
  if (found === null) return undefined
  const [, bound, type, seq, at, key, prev, nonce, box, mac] = found
  return {
    type: type as Header["type"],
    seq: Number(seq),
    at: Number(at),
    key: key!,
    prev: prev!,
    nonce: nonce!,
    box: box!,
    mac: mac!,
    bound: bound!,
    signed: text.slice(0, bound!.length + box!.length + 1)
  }
}

const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a, "latin1"), Buffer.from(b, "latin1"))

/** Whether somebody with the key has made it; `undefined` where the key is not in the ring. */
export const isGenuine = (
  { key, mac, signed }: { readonly key: string; readonly mac: string; readonly signed: string },
  ring: KeyRing
): boolean | undefined => {
  const known = ring.get(key)
  return known === undefined ? undefined : same(known.mac(signed), mac)
}

/** What is in the box; `undefined` if it does not open. */
export const open = (record: SealedRecord, ring: KeyRing): string | undefined => {
  const key = ring.get(record.key)
  const box = Buffer.from(record.box, "base64url")
  if (key === undefined || box.length < tagBytes) return undefined
  const nonce = Buffer.from(record.nonce, "base64url")
  const counter = Buffer.concat([Buffer.alloc(12 - counterBytes), nonce.subarray(saltBytes)])
  try {
    const decipher = createDecipheriv("aes-256-gcm", key.session(nonce.subarray(0, saltBytes)), counter)
    decipher.setAAD(Buffer.from(record.bound, "latin1"))
    decipher.setAuthTag(box.subarray(-tagBytes))
    return decipher.update(box.subarray(0, -tagBytes), undefined, "utf8") + decipher.final("utf8")
  } catch {
    return undefined
  }
}

/** The text that says where a log ends. */
export const headOf = (key: ChainKey, end: { readonly seq: number; readonly at: number; readonly chain: string }) => {
  const signed = `{"v":1,"type":"head","seq":${end.seq},"at":${end.at},"key":"${key.id}","chain":"${end.chain}"`
  return `${signed},"mac":"${key.mac(signed)}"}`
}

export const parseHead = (text: string): Head | undefined => {
  const found = headForm.exec(text)
  if (found === null) return undefined
  const [, signed, seq, at, key, chain, mac] = found
  return { seq: Number(seq), at: Number(at), key: key!, chain: chain!, mac: mac!, signed: signed! }
}

/** An end of the chain as people copy it: in hexadecimal digits, which no command line takes for a flag. */
export const anchorText = ({ chain, seq }: { readonly chain: string; readonly seq: number }): string =>
  `${Buffer.from(chain, "base64url").toString("hex")}@${seq}`

export const parseAnchor = (text: string): { readonly chain: string; readonly seq: number } | undefined => {
  const found = /^([0-9a-f]{64})@(\d{1,15})$/i.exec(text.trim())
  return found === null
    ? undefined
    : { chain: Buffer.from(found[1]!, "hex").toString("base64url"), seq: Number(found[2]) }
}
