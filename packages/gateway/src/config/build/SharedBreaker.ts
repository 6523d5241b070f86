/** Room for the circuits of one route among those that gateways tell each other of. */
import type { BreakerStore } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

type Store = BreakerStore.BreakerStoreService

/** The same store, in which only circuits of this name are seen. */
export const within = (store: Store, name: string): Store => {
  const prefix = `${name}\u0000`
  const mine = ({ key }: BreakerStore.BreakerChange): boolean => key.startsWith(prefix)
  const bare = (change: BreakerStore.BreakerChange) => ({ ...change, key: change.key.slice(prefix.length) })
  return {
    publish: (change) => store.publish({ ...change, key: prefix + change.key }),
    subscribe: Effect.map(store.subscribe, (changes) => Stream.map(Stream.filter(changes, mine), bare)),
    load: Effect.map(store.load, (changes) => changes.filter(mine).map(bare))
  }
}
