/** Numbers that are missing so far, as ranges in order. */

export interface Gap {
  readonly from: number
  readonly to: number
  /** Where it was noticed. */
  readonly line: number
  readonly place: number
}

export class Gaps {
  private readonly ranges: Array<Gap> = []

  get all(): ReadonlyArray<Gap> {
    return this.ranges
  }

  /** A gap above all others. */
  add(gap: Gap): void {
    this.ranges.push(gap)
  }

  /** Takes a number out, and says whether it was missing. */
  take(seq: number): boolean {
    let low = 0
    let high = this.ranges.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const gap = this.ranges[middle]!
      if (seq < gap.from) high = middle - 1
      else if (seq > gap.to) low = middle + 1
      else {
        const parts: Array<Gap> = []
        if (gap.from < seq) parts.push({ ...gap, to: seq - 1 })
        if (seq < gap.to) parts.push({ ...gap, from: seq + 1 })
        this.ranges.splice(middle, 1, ...parts)
        return true
      }
    }
    return false
  }
}
