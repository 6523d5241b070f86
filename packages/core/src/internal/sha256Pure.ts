/**
 * SHA-256 in plain JavaScript, after FIPS 180-4: for runtimes that offer no synchronous one.
 */

/** Primes' fractional parts: of the cube roots of the first 64, and of the square roots of the first 8. */
const constants = (count: number, root: (prime: number) => number): Uint32Array => {
  const out = new Uint32Array(count)
  for (let candidate = 2, found = 0; found < count; candidate++) {
    let prime = true
    for (let divisor = 2; divisor * divisor <= candidate; divisor++) if (candidate % divisor === 0) prime = false
    if (!prime) continue
    const value = root(candidate)
    out[found++] = (value - Math.floor(value)) * 2 ** 32
  }
  return out
}

const k = constants(64, Math.cbrt)
const initial = constants(8, Math.sqrt)

const padded = (bytes: Uint8Array): DataView => {
  const length = (((bytes.length + 8) >> 6) << 6) + 64
  const block = new Uint8Array(length)
  block.set(bytes)
  block[bytes.length] = 0x80
  const view = new DataView(block.buffer)
  view.setUint32(length - 8, Math.floor(bytes.length / 0x20000000))
  view.setUint32(length - 4, bytes.length << 3)
  return view
}

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by))

const schedule = (w: Uint32Array, view: DataView, offset: number): void => {
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(offset + i * 4)
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15]!
    const b = w[i - 2]!
    const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)
    const s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10)
    w[i] = w[i - 16]! + s0 + w[i - 7]! + s1
  }
}

const compress = (hash: Uint32Array, w: Uint32Array): void => {
  let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + k[i]! + w[i]!) | 0
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  const next = [a, b, c, d, e, f, g, h]
  for (let i = 0; i < 8; i++) hash[i] = hash[i]! + next[i]!
}

/** The digest: 32 bytes. */
export const sha256Pure = (bytes: Uint8Array): Uint8Array => {
  const view = padded(bytes)
  const hash = initial.slice()
  const w = new Uint32Array(64)
  for (let offset = 0; offset < view.byteLength; offset += 64) {
    schedule(w, view, offset)
    compress(hash, w)
  }
  const out = new DataView(new ArrayBuffer(32))
  hash.forEach((word, i) => out.setUint32(i * 4, word))
  return new Uint8Array(out.buffer)
}
