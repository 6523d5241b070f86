/** What a section asks for beside the snapshot: asked again every so often, for as long as the section is looked at. */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js"
import { ApiError, get } from "../api/client.ts"
import { onRefused } from "./gateway.ts"

export type Loaded<A> =
  | { readonly state: "loading" }
  | { readonly state: "ready"; readonly value: A }
  /** The gateway does not have it: it is not configured, or older than this page. */
  | { readonly state: "missing"; readonly message: string }
  | { readonly state: "failed"; readonly message: string }

/**
 * Asks for a path now, whenever it changes or `again` does, and every `everyMs`. While an answer is awaited the one before
 * stays; a failure after a success does not take it away, since the page says anyway that the gateway is gone.
 */
export const ask = <A>(
  path: Accessor<string>,
  everyMs: number,
  again: Accessor<unknown> = () => 0
): Accessor<Loaded<A>> => {
  const [loaded, setLoaded] = createSignal<Loaded<A>>({ state: "loading" })
  let current: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const load = async (): Promise<void> => {
    current?.abort()
    clearTimeout(timer)
    const own = new AbortController()
    current = own
    try {
      const value = await get<A>(path(), own.signal)
      if (!own.signal.aborted) setLoaded({ state: "ready", value })
    } catch (error) {
      if (own.signal.aborted) return
      onRefused(error)
      const message = error instanceof Error ? error.message : String(error)
      if (error instanceof ApiError && error.status === 404) setLoaded({ state: "missing", message })
      else if (loaded().state !== "ready") setLoaded({ state: "failed", message })
    }
    if (!own.signal.aborted) timer = setTimeout(() => void load(), everyMs)
  }
  createEffect(
    on(path, (_, before) => {
      if (before !== undefined) setLoaded({ state: "loading" })
      void load()
    })
  )
  createEffect(
    on(
      again,
      () => {
        // Not at every change, but soon after the first of several.
        clearTimeout(timer)
        timer = setTimeout(() => void load(), 600)
      },
      { defer: true }
    )
  )
  onCleanup(() => {
    current?.abort()
    clearTimeout(timer)
  })
  return loaded
}
