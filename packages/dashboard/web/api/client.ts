/** Asks the gateway that serves this page. The key is kept for as long as the tab is open, and goes nowhere else. */
import { EventParser, type ServerEvent } from "../lib/sse.ts"

/** An answer that is no success. */
export class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const storageName = "breakwater-key"

/** Storage may be forbidden; then the key lasts until the page is loaded anew. */
const stored = (): string | undefined => {
  try {
    return sessionStorage.getItem(storageName) ?? undefined
  } catch {
    return undefined
  }
}

let key = stored()

export const hasKey = (): boolean => key !== undefined

export const setKey = (next: string | undefined): void => {
  key = next
  try {
    if (next === undefined) sessionStorage.removeItem(storageName)
    else sessionStorage.setItem(storageName, next)
  } catch {
    // It is kept in memory.
  }
}

/** The page is at `…/dashboard/`, the interface beside it, whatever a proxy has put in front of both. */
const addressOf = (path: string): string => new URL(`../admin/${path}`, document.baseURI).href

const headers = (): Record<string, string> => (key === undefined ? {} : { authorization: `Bearer ${key}` })

const messageOf = async (response: Response): Promise<string> => {
  try {
    const body = (await response.json()) as { readonly error?: { readonly message?: unknown } }
    if (typeof body.error?.message === "string") return body.error.message
  } catch {
    // An error of something between here and the gateway.
  }
  return `The gateway answered ${response.status}.`
}

const checked = async (response: Response): Promise<Response> => {
  if (response.ok) return response
  throw new ApiError(response.status, await messageOf(response))
}

const timeLimitMs = 15_000

const within = (signal: AbortSignal | undefined): AbortSignal => {
  const limit = AbortSignal.timeout(timeLimitMs)
  return signal === undefined ? limit : AbortSignal.any([limit, signal])
}

const ask = async <A>(path: string, init: RequestInit, signal: AbortSignal | undefined): Promise<A> => {
  const response = await fetch(addressOf(path), { ...init, cache: "no-store", signal: within(signal) })
  return (await (await checked(response)).json()) as A
}

export const get = <A>(path: string, signal?: AbortSignal): Promise<A> => ask<A>(path, { headers: headers() }, signal)

export const post = <A>(path: string, body: unknown): Promise<A> =>
  ask<A>(
    path,
    { method: "POST", headers: { ...headers(), "content-type": "application/json" }, body: JSON.stringify(body) },
    undefined
  )

/** Follows the events until they end. Silence for longer than `silenceMs` is an end, too. */
export const follow = async (
  onEvent: (event: ServerEvent) => void,
  signal: AbortSignal,
  silenceMs = 12_000
): Promise<void> => {
  const silent = new AbortController()
  let timer = setTimeout(() => silent.abort(), silenceMs)
  try {
    const response = await checked(
      await fetch(addressOf("events"), {
        headers: { ...headers(), accept: "text/event-stream" },
        cache: "no-store",
        signal: AbortSignal.any([signal, silent.signal])
      })
    )
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    const parser = new EventParser()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(), silenceMs)
      for (const event of parser.push(value)) onEvent(event)
    }
  } finally {
    clearTimeout(timer)
  }
}
