/**
 * Accounts of money in memory: what is spent and what is reserved, in buckets of time.
 *
 * A claim names the bucket it is booked in and from which bucket on its account is counted: one bucket for a calendar
 * period, the last N + 1 for a rolling one, a single one for ever. What is booked in a bucket that is not counted any
 * more is forgotten with it. A reservation that is never settled stays reserved in its bucket, which is as good as spent.
 */

/** The time that an account is counted over. */
export interface BudgetWindow {
  /** The bucket that is booked in, by its first millisecond. */
  readonly bucketMs: number
  /** The first bucket that counts. */
  readonly fromMs: number
  /** When this bucket no longer counts; `Infinity` for never. */
  readonly endMs: number
}

/** What a call would take from an account. */
export interface BudgetClaim {
  readonly account: string
  readonly window: BudgetWindow
  readonly amount: bigint
  /** `undefined`: the account is kept, and refuses nothing. */
  readonly limit: bigint | undefined
}

/** What stands in an account. */
export interface BudgetBalance {
  readonly spent: bigint
  readonly reserved: bigint
}

/** An account, by its name. */
export interface BudgetAccount extends BudgetBalance {
  readonly account: string
}

/** Why a reservation was refused: the first claim that does not fit, and what stands in its account. */
export interface BudgetRefusal extends BudgetBalance {
  readonly index: number
}

interface Bucket {
  readonly startMs: number
  readonly endMs: number
  spent: bigint
  reserved: bigint
}

interface Account {
  /** Of all its buckets. */
  spent: bigint
  reserved: bigint
  /** Oldest first. */
  readonly buckets: Array<Bucket>
}

const emptyBalance: BudgetBalance = { spent: 0n, reserved: 0n }

export class BudgetBook {
  private readonly byName = new Map<string, Account>()
  private readonly maxAccounts: number

  constructor(maxAccounts: number) {
    this.maxAccounts = maxAccounts
  }

  get size(): number {
    return this.byName.size
  }

  /** Reserves all claims or none. `full` when there is no room for another account. */
  reserve(claims: ReadonlyArray<BudgetClaim>, nowMs: number): BudgetRefusal | "full" | undefined {
    let fresh = 0
    for (let index = 0; index < claims.length; index++) {
      const { account, amount, limit, window } = claims[index]!
      const found = this.byName.get(account)
      if (found === undefined) fresh++
      else prune(found, window.fromMs)
      const { reserved, spent } = found ?? emptyBalance
      if (limit !== undefined && spent + reserved + amount > limit) return { index, spent, reserved }
    }
    if (fresh > 0 && !this.makeRoom(fresh, nowMs)) return "full"
    for (const { account, amount, window } of claims) {
      const found = this.byName.get(account) ?? this.open(account)
      const bucket = bucketOf(found, window)
      bucket.reserved += amount
      found.reserved += amount
    }
    return undefined
  }

  /** Replaces what was reserved by what was spent. Answers with what is spent in each account afterwards. */
  settle(claims: ReadonlyArray<BudgetClaim>, charges: ReadonlyArray<bigint>): ReadonlyArray<bigint> {
    return claims.map((claim, index) => {
      const account = this.byName.get(claim.account)
      const bucket = account?.buckets.find((each) => each.startMs === claim.window.bucketMs)
      if (account === undefined || bucket === undefined) return 0n
      bucket.reserved -= claim.amount
      account.reserved -= claim.amount
      bucket.spent += charges[index]!
      account.spent += charges[index]!
      return account.spent
    })
  }

  balance(account: string, window: BudgetWindow): BudgetBalance {
    const found = this.byName.get(account)
    if (found === undefined) return emptyBalance
    prune(found, window.fromMs)
    return { spent: found.spent, reserved: found.reserved }
  }

  /** Accounts whose name begins with a prefix, at most `limit` of them, with what stands in them. */
  accounts(prefix: string, window: BudgetWindow, limit: number): ReadonlyArray<BudgetAccount> {
    const found: Array<BudgetAccount> = []
    for (const account of this.byName.keys()) {
      if (found.length >= limit) break
      if (!account.startsWith(prefix)) continue
      const balance = this.balance(account, window)
      if (balance.spent !== 0n || balance.reserved !== 0n) found.push({ account, ...balance })
    }
    return found
  }

  private open(account: string): Account {
    const opened: Account = { spent: 0n, reserved: 0n, buckets: [] }
    this.byName.set(account, opened)
    return opened
  }

  /** Looks at two accounts for each new one and drops those that are over; at all of them if that is not enough. */
  private makeRoom(wanted: number, nowMs: number): boolean {
    this.tidy(2 * wanted, nowMs)
    if (this.byName.size + wanted > this.maxAccounts) this.tidy(this.byName.size, nowMs)
    return this.byName.size + wanted <= this.maxAccounts
  }

  private tidy(count: number, nowMs: number): void {
    for (const [key, account] of this.byName) {
      if (count-- === 0) return
      this.byName.delete(key)
      const newest = account.buckets.at(-1)
      if (newest !== undefined && newest.endMs > nowMs) this.byName.set(key, account)
    }
  }
}

const prune = (account: Account, fromMs: number): void => {
  while (account.buckets.length > 0 && account.buckets[0]!.startMs < fromMs) {
    const gone = account.buckets.shift()!
    account.spent -= gone.spent
    account.reserved -= gone.reserved
  }
}

const bucketOf = (account: Account, { bucketMs, endMs }: BudgetWindow): Bucket => {
  const { buckets } = account
  let index = buckets.length
  while (index > 0 && buckets[index - 1]!.startMs > bucketMs) index--
  const before = buckets[index - 1]
  if (before !== undefined && before.startMs === bucketMs) return before
  const opened: Bucket = { startMs: bucketMs, endMs, spent: 0n, reserved: 0n }
  // Time may have gone backward: buckets stay in order.
  buckets.splice(index, 0, opened)
  return opened
}
