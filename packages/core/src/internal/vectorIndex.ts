/**
 * Vectors of one length, searched exactly by cosine.
 *
 * Flat: every vector is looked at. But a first look at its head (the first 32 numbers) and the length of the rest
 * bounds the cosine from above (Cauchy–Schwarz): what cannot reach the threshold is passed over after a twelfth of
 * the work, and no match is ever lost.
 */

/** A vector that is near enough. */
export interface Match {
  readonly slot: number
  /** The cosine. */
  readonly similarity: number
}

const headLength = 32
/** Rounding of single precision must not lose a match. */
const slack = 1e-5

/** The vector at length 1; `undefined` for one that has no direction. */
export const normalised = (vector: ArrayLike<number>): Float32Array | undefined => {
  let square = 0
  for (let i = 0; i < vector.length; i++) square += vector[i]! * vector[i]!
  if (!(square > 0) || square === Infinity) return undefined
  const scale = 1 / Math.sqrt(square)
  return Float32Array.from(vector, (value) => value * scale)
}

const tailNorm = (vector: Float32Array, from: number): number => {
  let square = 0
  for (let i = from; i < vector.length; i++) square += vector[i]! * vector[i]!
  return Math.sqrt(square)
}

const dot = (a: Float32Array, aFrom: number, b: Float32Array, bFrom: number, length: number): number => {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let i = 0
  for (; i + 3 < length; i += 4) {
    s0 += a[aFrom + i]! * b[bFrom + i]!
    s1 += a[aFrom + i + 1]! * b[bFrom + i + 1]!
    s2 += a[aFrom + i + 2]! * b[bFrom + i + 2]!
    s3 += a[aFrom + i + 3]! * b[bFrom + i + 3]!
  }
  for (; i < length; i++) s0 += a[aFrom + i]! * b[bFrom + i]!
  return s0 + s1 + s2 + s3
}

export class VectorIndex {
  readonly dimensions: number
  private readonly head: number
  private readonly tail: number
  private heads: Float32Array
  private tails: Float32Array
  private tailNorms: Float32Array
  private count = 0

  constructor(dimensions: number) {
    this.dimensions = dimensions
    this.head = Math.min(headLength, dimensions)
    this.tail = dimensions - this.head
    this.heads = new Float32Array(4 * this.head)
    this.tails = new Float32Array(4 * this.tail)
    this.tailNorms = new Float32Array(4)
  }

  get size(): number {
    return this.count
  }

  /** Adds a vector of length 1; its slot is the number of those before it. */
  add(vector: Float32Array): number {
    const slot = this.count++
    if (slot === this.tailNorms.length) this.grow(slot * 2)
    this.heads.set(vector.subarray(0, this.head), slot * this.head)
    this.tails.set(vector.subarray(this.head), slot * this.tail)
    this.tailNorms[slot] = tailNorm(vector, this.head)
    return slot
  }

  /** Removes a vector. The last one takes its slot; answers with the slot that one had. */
  remove(slot: number): number {
    const last = --this.count
    this.heads.copyWithin(slot * this.head, last * this.head, (last + 1) * this.head)
    this.tails.copyWithin(slot * this.tail, last * this.tail, (last + 1) * this.tail)
    this.tailNorms[slot] = this.tailNorms[last]!
    return last
  }

  /** The nearest of at least this cosine, nearest first, `limit` at most. */
  search(query: Float32Array, threshold: number, limit: number): ReadonlyArray<Match> {
    const { head, heads, tail, tailNorms, tails } = this
    const queryTail = tailNorm(query, head)
    const found: Array<Match> = []
    const floor = threshold - slack
    for (let slot = 0; slot < this.count; slot++) {
      const near = dot(query, 0, heads, slot * head, head)
      if (near + queryTail * tailNorms[slot]! < floor) continue
      const similarity = Math.min(1, near + dot(query, head, tails, slot * tail, tail))
      if (similarity < floor) continue
      found.push({ slot, similarity })
      if (found.length > limit * 4) keepNearest(found, limit)
    }
    keepNearest(found, limit)
    return found
  }

  private grow(slots: number): void {
    const copy = (from: Float32Array, length: number): Float32Array => {
      const to = new Float32Array(length)
      to.set(from)
      return to
    }
    this.heads = copy(this.heads, slots * this.head)
    this.tails = copy(this.tails, slots * this.tail)
    this.tailNorms = copy(this.tailNorms, slots)
  }
}

const keepNearest = (found: Array<Match>, limit: number): void => {
  found.sort((a, b) => b.similarity - a.similarity)
  if (found.length > limit) found.length = limit
}
