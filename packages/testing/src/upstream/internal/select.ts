/** Reads a model's name: `base`, `base:parameter`, `base?after=1&times=2`. */
import { behaviours, type FaultName } from "./behaviours.ts"

export interface Selection {
  readonly fault: FaultName
  readonly parameter: number | undefined
  /** Good for the first so many calls. */
  readonly after: number
  /** Faulty so many times from then on. */
  readonly times: number
}

const good: Selection = { fault: "good", parameter: undefined, after: 0, times: Infinity }

const isFault = (name: string): name is FaultName => Object.hasOwn(behaviours, name)

export const select = (model: string): Selection => {
  const match = /^([^:?]+)(?::(\d{1,9}))?(?:\?(.*))?$/.exec(model)
  const name = match?.[1]
  if (name === undefined || !isFault(name)) return good
  const query = new URLSearchParams(match?.[3] ?? "")
  const count = (key: string, otherwise: number) =>
    /^\d{1,9}$/.test(query.get(key) ?? "") ? Number(query.get(key)) : otherwise
  return {
    fault: name,
    parameter: match?.[2] === undefined ? undefined : Number(match[2]),
    after: count("after", 0),
    times: count("times", Infinity)
  }
}
