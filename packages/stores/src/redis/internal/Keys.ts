/**
 * Names of keys. What belongs together has the same text in braces, so that a cluster keeps it in one place.
 */

/** Raised when what is stored changes its form: processes of two versions do not read each other's keys. */
const form = "v1"

/** A part of a name, without the characters that have a meaning in names. */
const part = (text: string): string => text.replace(/[%:{}\s]/g, encodeURIComponent)

/** The name of a limiter key's state; `suffix` tells shapes of rules apart. */
export const limitKey = (prefix: string, namespace: string, key: string, suffix: string): string =>
  `${prefix}:${form}:limit:{${part(namespace)}:${part(key)}}:${suffix}`

/** The name of a shared token quota's state. */
export const quotaKey = (prefix: string, namespace: string, key: string): string =>
  `${prefix}:${form}:quota:{${part(namespace)}:${part(key)}}`

/** What the names of a tenant's entries of a cache begin with, or those of one of its namespaces. */
export const cacheKeys = (prefix: string, tenant: string, namespace?: string): string =>
  `${prefix}:${form}:cache:${part(tenant)}:${namespace === undefined ? "" : `${part(namespace)}:`}`.toWellFormed()

/** The name of an entry of a cache. No braces: each stands alone, and a cluster spreads them. */
export const cacheKey = (
  prefix: string,
  key: { readonly tenant: string; readonly namespace: string; readonly digest: string }
): string => cacheKeys(prefix, key.tenant, key.namespace) + key.digest

/** One place for all money: a reservation takes from several accounts at once. */
const budgetBase = (prefix: string): string => `${prefix}:${form}:{budget}:`

/** Parts of an account's name are parted by NUL; here by colons. */
const accountParts = (account: string): string => account.split("\u0000").map(part).join(":").toWellFormed()

/** The name of an account of money. */
export const budgetAccount = (prefix: string, account: string): string =>
  `${budgetBase(prefix)}of:${accountParts(account)}`

/** The account whose name is this. */
export const accountOf = (prefix: string, name: string): string =>
  name
    .slice(budgetBase(prefix).length + "of:".length)
    .split(":")
    .map(decodeURIComponent)
    .join("\u0000")

/** The name of a reservation that is not settled yet. */
export const budgetReservation = (prefix: string, id: string): string => `${budgetBase(prefix)}open:${part(id)}`

export interface BreakerKeys {
  /** When each remembered change is over, by the server's time. */
  readonly until: string
  readonly changes: string
  readonly channel: string
}

export const breakerKeys = (prefix: string): BreakerKeys => {
  const base = `${prefix}:${form}:{breaker}`
  return { until: `${base}:until`, changes: `${base}:changes`, channel: `${base}:told` }
}
