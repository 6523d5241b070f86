/**
 * Accounts of money in memory: what is spent and what is reserved, in buckets of time.
 *
 * A claim names the bucket it is booked in and from which bucket on its account is counted: one bucket for a calendar
 * period, the last N + 1 for a rolling one, a single one for ever. What is booked in a bucket that is not counted any
 * more is forgotten with it. A reservation that is never settled stays reserved in its bucket, which is as good as spent.
 *
 * Sums are kept as `used`, what is spent and reserved together, because that is what a limit is compared with. They are
 * whole numbers of any size: adding two of them takes a tenth of the time of finding an account by its name.
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
  readonly account: Account
  readonly startMs: number
  readonly endMs: number
  spent: bigint
  used: bigint
  /** Whether its account counts it. */
  counts: boolean
}

interface Account {
  /** Of all its buckets. */
  spent: bigint
  used: bigint
  /** Oldest first. */
  readonly buckets: Array<Bucket>
}

const emptyBalance: BudgetBalance = { spent: 0n, reserved: 0n }

const balanceOf = ({ spent, used }: Account): BudgetBalance => ({ spent, reserved: used - spent })

/** What was reserved, until it is settled. */
export class BudgetHold {
  private readonly claims: ReadonlyArray<BudgetClaim>
  private readonly buckets: ReadonlyArray<Bucket>
  private open = true

  constructor(claims: ReadonlyArray<BudgetClaim>, buckets: ReadonlyArray<Bucket>) {
    this.claims = claims
    this.buckets = buckets
  }

  /** Replaces what was reserved by what was spent, one charge for each claim. False if that was done before. */
  settle(charges: ReadonlyArray<bigint>): boolean {
    if (!this.open) return false
    this.open = false
    for (let index = 0; index < charges.length; index++) {
      const bucket = this.buckets[index]!
      if (!bucket.counts) continue
      const { account } = bucket
      const charge = charges[index]!
      const change = charge - this.claims[index]!.amount
      bucket.spent += charge
      bucket.used += change
      account.spent += charge
      account.used += change
    }
    return true
  }

  /** Whether a claim's bucket still counts, and the two following mean anything. */
  counts(index: number): boolean {
    return this.buckets[index]!.counts
  }

  /** What is spent in the account of a claim. */
  spent(index: number): bigint {
    return this.buckets[index]!.account.spent
  }

  /** What is spent and reserved in the account of a claim. */
  used(index: number): bigint {
    return this.buckets[index]!.account.used
  }
}

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
  reserve(claims: ReadonlyArray<BudgetClaim>, nowMs: number): BudgetRefusal | "full" | BudgetHold {
    const accounts: Array<Account> = []
    let fresh = 0
    for (let index = 0; index < claims.length; index++) {
      const { account, amount, limit, window } = claims[index]!
      let found = this.byName.get(account)
      if (found === undefined) {
        fresh++
        found = { spent: 0n, used: 0n, buckets: [] }
      } else prune(found, window.fromMs)
      if (limit !== undefined && found.used + amount > limit) return { index, ...balanceOf(found) }
      accounts.push(found)
    }
    if (fresh > 0 && !this.makeRoom(fresh, nowMs)) return "full"
    const buckets: Array<Bucket> = []
    for (let index = 0; index < claims.length; index++) {
      const { account: name, amount, window } = claims[index]!
      const account = accounts[index]!
      // Making room may have dropped an account that was over.
      if (fresh > 0) this.byName.set(name, account)
      const bucket = bucketOf(account, window)
      bucket.used += amount
      account.used += amount
      buckets.push(bucket)
    }
    return new BudgetHold(claims, buckets)
  }

  balance(account: string, window: BudgetWindow): BudgetBalance {
    const found = this.byName.get(account)
    if (found === undefined) return emptyBalance
    prune(found, window.fromMs)
    return balanceOf(found)
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
  const { buckets } = account
  while (buckets.length > 0 && buckets[0]!.startMs < fromMs) {
    const gone = buckets.shift()!
    gone.counts = false
    account.spent -= gone.spent
    account.used -= gone.used
  }
}

const bucketOf = (account: Account, { bucketMs, endMs }: BudgetWindow): Bucket => {
  const { buckets } = account
  let index = buckets.length
  while (index > 0 && buckets[index - 1]!.startMs > bucketMs) index--
  const before = buckets[index - 1]
  if (before !== undefined && before.startMs === bucketMs) return before
  const opened: Bucket = { account, startMs: bucketMs, endMs, spent: 0n, used: 0n, counts: true }
  // Time may have gone backward: buckets stay in order.
  buckets.splice(index, 0, opened)
  return opened
}
