/**
 * The kept questions: a vector index for each partition, and one bound over all of them.
 */
import type { CacheKey } from "../../internal/cacheKey.ts"
import { Sieve } from "../../internal/sieve.ts"
import type { StoredAnswer } from "../../internal/storedAnswer.ts"
import { VectorIndex } from "../../internal/vectorIndex.ts"

/** A kept question and its answer. Times are monotonic milliseconds. */
export interface Entry {
  readonly id: string
  readonly question: string
  readonly answer: StoredAnswer
  /** What it had cost when it was made, in nano-dollars. */
  readonly costNanos: bigint | undefined
  readonly target: string
  readonly storedMs: number
  readonly expiresMs: number
}

interface Partition {
  readonly name: string
  readonly key: CacheKey
  readonly index: VectorIndex
  /** By slot of the index. */
  readonly entries: Array<Placed>
}

interface Placed extends Entry {
  readonly partition: Partition
  slot: number
}

/** A kept question near the one asked. */
export interface Candidate {
  readonly entry: Entry
  readonly similarity: number
}

/** Objects and texts around the answer. */
const overhead = 500

/** Candidates that are looked at for one question. */
const candidates = 8

export class Memory {
  private readonly partitions = new Map<string, Partition>()
  private readonly all: Sieve<Placed>
  private serial = 0

  constructor(options: { readonly maxEntries: number; readonly maxBytes: number }) {
    this.all = new Sieve({
      maxEntries: options.maxEntries,
      maxWeight: options.maxBytes,
      onEvict: (entry) => this.unplace(entry)
    })
  }

  get size() {
    return { entries: this.all.size, bytes: this.all.weight, evicted: this.all.evicted }
  }

  /** The entries of a partition near a vector, nearest first; those whose time is over are removed. */
  near(key: CacheKey, vector: Float32Array, threshold: number, nowMs: number): ReadonlyArray<Candidate> {
    const partition = this.partitions.get(nameOf(key, vector))
    if (partition === undefined) return []
    const found = partition.index
      .search(vector, threshold, candidates)
      .map(({ similarity, slot }) => ({ entry: partition.entries[slot]!, similarity }))
    return found.filter(({ entry }) => {
      if (nowMs < entry.expiresMs) return true
      this.remove(entry)
      return false
    })
  }

  /** Marks an entry as used. */
  touch(entry: Entry): void {
    this.all.get(entry.id, true)
  }

  /** Keeps an answer, in place of one to the same question. False when it is too large. */
  add(key: CacheKey, vector: Float32Array, entry: Omit<Entry, "id">, bytes: number): boolean {
    for (const { entry: known } of this.near(key, vector, 0.999, entry.storedMs)) {
      if (known.question === entry.question) this.remove(known)
    }
    const name = nameOf(key, vector)
    const partition = this.partitions.get(name) ?? {
      name,
      key,
      index: new VectorIndex(vector.length),
      entries: []
    }
    const placed: Placed = { ...entry, id: String(this.serial++), partition, slot: -1 }
    const weight = bytes + entry.question.length * 2 + vector.length * 4 + overhead
    if (!this.all.set(placed.id, placed, weight)) return false
    this.partitions.set(name, partition)
    placed.slot = partition.index.add(vector)
    partition.entries.push(placed)
    return true
  }

  clear(tenant: string, namespace: string | undefined): number {
    let removed = 0
    for (const partition of this.partitions.values()) {
      const { key } = partition
      if (key.tenant !== tenant || (namespace !== undefined && key.namespace !== namespace)) continue
      removed += partition.entries.length
      for (const entry of partition.entries) this.all.delete(entry.id)
      this.partitions.delete(partition.name)
    }
    return removed
  }

  private remove(entry: Entry): void {
    const placed = this.all.delete(entry.id)
    if (placed !== undefined) this.unplace(placed)
  }

  private unplace({ partition, slot }: Placed): void {
    const last = partition.entries.pop()!
    partition.index.remove(slot)
    if (last.slot !== slot) {
      last.slot = slot
      partition.entries[slot] = last
    }
    if (partition.entries.length === 0) this.partitions.delete(partition.name)
  }
}

/** Vectors of another length are another embedder's: they are kept apart. */
const nameOf = (key: CacheKey, vector: Float32Array): string => `${key.digest}:${vector.length}`
