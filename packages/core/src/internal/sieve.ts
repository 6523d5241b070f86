/**
 * A bounded map with SIEVE eviction, after Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).
 *
 * Entries stand in a queue by age; a hit only marks its entry. To make room a hand goes from the oldest to the
 * newest: marked entries lose their mark and stay where they are, the first one without a mark goes. One-time entries
 * leave early, and a hit moves nothing.
 */

interface Node<V> {
  readonly key: string
  value: V
  weight: number
  visited: boolean
  /** Towards the newest. */
  newer: Node<V> | undefined
  /** Towards the oldest. */
  older: Node<V> | undefined
}

export class Sieve<V> {
  private readonly nodes = new Map<string, Node<V>>()
  private readonly maxEntries: number
  private readonly maxWeight: number
  private newest: Node<V> | undefined
  private oldest: Node<V> | undefined
  private hand: Node<V> | undefined
  /** The weight of all entries. */
  weight = 0
  /** Entries that had to make room so far. */
  evicted = 0

  private readonly onEvict: ((value: V) => void) | undefined

  constructor(options: {
    readonly maxEntries: number
    readonly maxWeight: number
    /** Told of every entry that makes room. */
    readonly onEvict?: (value: V) => void
  }) {
    this.onEvict = options.onEvict
    this.maxEntries = options.maxEntries
    this.maxWeight = options.maxWeight
  }

  get size(): number {
    return this.nodes.size
  }

  /** The value of a key. With `touch` it counts as used. */
  get(key: string, touch: boolean): V | undefined {
    const node = this.nodes.get(key)
    if (node === undefined) return undefined
    if (touch) node.visited = true
    return node.value
  }

  /** Puts a value in, making room for it. False for one that is heavier than all together may be. */
  set(key: string, value: V, weight: number): boolean {
    if (weight > this.maxWeight) {
      this.delete(key)
      return false
    }
    const known = this.nodes.get(key)
    if (known !== undefined) {
      this.weight += weight - known.weight
      known.value = value
      known.weight = weight
      known.visited = true
      while (this.weight > this.maxWeight) this.evict(known)
      return true
    }
    while (this.nodes.size >= this.maxEntries || this.weight + weight > this.maxWeight) this.evict(undefined)
    const node: Node<V> = { key, value, weight, visited: false, newer: undefined, older: this.newest }
    if (this.newest === undefined) this.oldest = node
    else this.newest.newer = node
    this.newest = node
    this.nodes.set(key, node)
    this.weight += weight
    return true
  }

  delete(key: string): V | undefined {
    const node = this.nodes.get(key)
    if (node === undefined) return undefined
    this.remove(node)
    return node.value
  }

  entries(): ReadonlyArray<readonly [key: string, value: V]> {
    return Array.from(this.nodes, ([key, node]) => [key, node.value] as const)
  }

  private evict(keep: Node<V> | undefined): void {
    let node = this.hand ?? this.oldest!
    while (node.visited || node === keep) {
      node.visited = false
      node = node.newer ?? this.oldest!
    }
    this.hand = node.newer
    this.remove(node)
    this.evicted++
    this.onEvict?.(node.value)
  }

  private remove(node: Node<V>): void {
    if (this.hand === node) this.hand = node.newer
    if (node.newer === undefined) this.newest = node.older
    else node.newer.older = node.older
    if (node.older === undefined) this.oldest = node.newer
    else node.older.newer = node.newer
    this.nodes.delete(node.key)
    this.weight -= node.weight
  }
}
