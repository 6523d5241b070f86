/**
 * The gateway as this page knows it: who may look, where things stand, what happened last, and whether that is still
 * fresh. Everything that grows has a bound.
 */
import { createSignal } from "solid-js"
import { ApiError, follow, get, hasKey, setKey } from "../api/client.ts"
import type { PolicyEvent, Snapshot } from "../api/types.ts"
import { delayMs } from "../lib/backoff.ts"

/** Whether the page may ask. */
type Access =
  | { readonly state: "checking" }
  | { readonly state: "granted" }
  | { readonly state: "key-wanted" }
  | { readonly state: "key-refused"; readonly message: string }
  | { readonly state: "not-allowed"; readonly message: string }

/** How news arrives: as it happens, by asking every few seconds, or not at all. */
type Link = "connecting" | "live" | "polling" | "lost"

/** Events that are kept for the feed. */
const feedSize = 60
/** News that is older than this is stale. */
const staleAfterMs = 8_000
const pollEveryMs = 4_000
/** How long asking goes on before the stream is tried again. */
const polls = 15

const [access, setAccess] = createSignal<Access>({ state: "checking" })
const [snapshot, setSnapshot] = createSignal<Snapshot | undefined>(undefined)
const [lastAt, setLastAt] = createSignal<number | undefined>(undefined)
const [link, setLink] = createSignal<Link>("connecting")
const [retryAt, setRetryAt] = createSignal<number | undefined>(undefined)
const [feed, setFeed] = createSignal<ReadonlyArray<FeedEntry>>([])
const [finished, setFinished] = createSignal(0)
const [now, setNow] = createSignal(Date.now())

interface FeedEntry {
  readonly id: number
  readonly event: PolicyEvent
}

export { access, feed, finished, lastAt, link, now, retryAt, snapshot }

/** What happens all the time is no news. */
const ordinary = new Set([
  "request-started",
  "attempt-started",
  "attempt-succeeded",
  "attempt-failed",
  "stream-committed",
  "cache-miss",
  "cache-stored",
  "bulkhead-queued",
  "quota-learned"
])

const isNews = (event: PolicyEvent): boolean =>
  event.type === "request-finished" ? event["outcome"] === "failure" : !ordinary.has(event.type)

// --- events are gathered, so that a busy gateway costs the page no more than a few updates a second ------------------

let gathered: Array<FeedEntry> = []
let finishedSince = 0
let flushing: ReturnType<typeof setTimeout> | undefined
let nextId = 0

const flush = (): void => {
  flushing = undefined
  if (gathered.length > 0) setFeed([...gathered.reverse(), ...feed()].slice(0, feedSize))
  if (finishedSince > 0) setFinished(finished() + finishedSince)
  gathered = []
  finishedSince = 0
}

const onPolicyEvent = (event: PolicyEvent): void => {
  if (event.type === "request-finished") finishedSince++
  if (isNews(event)) {
    gathered.push({ id: nextId++, event })
    if (gathered.length > feedSize) gathered.shift()
  }
  flushing ??= setTimeout(flush, 250)
}

const onSnapshot = (next: Snapshot): void => {
  setSnapshot(next)
  setLastAt(Date.now())
  setRetryAt(undefined)
}

// --- the link --------------------------------------------------------------------------------------------------------

let session: AbortController | undefined
let hurry: (() => void) | undefined

/** Waits, or until something says that trying is worth while. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      hurry = undefined
      signal.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener("abort", done)
    hurry = done
  })

const isDenied = (error: unknown): error is ApiError =>
  error instanceof ApiError && (error.status === 401 || error.status === 403)

const deny = (error: ApiError): void => {
  setSnapshot(undefined)
  if (error.status === 403) setAccess({ state: "not-allowed", message: error.message })
  else if (hasKey()) setAccess({ state: "key-refused", message: error.message })
  else setAccess({ state: "key-wanted" })
}

/** One life of the link: asks once, then follows. Answers whether it was ever well. */
const live = async (signal: AbortSignal): Promise<void> => {
  onSnapshot(await get<Snapshot>("snapshot", signal))
  setAccess({ state: "granted" })
  await follow(({ data, event }) => {
    if (event === "snapshot") {
      setLink("live")
      onSnapshot(JSON.parse(data) as Snapshot)
    } else if (event === "policy") onPolicyEvent(JSON.parse(data) as PolicyEvent)
  }, signal)
}

/** Where the stream is not to be had: an older gateway, or too many readers. */
const poll = async (signal: AbortSignal): Promise<void> => {
  for (let i = 0; i < polls && !signal.aborted; i++) {
    setLink("polling")
    await pause(pollEveryMs, signal)
    if (!signal.aborted) onSnapshot(await get<Snapshot>("snapshot", signal))
  }
}

const hasNoStream = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 404 || error.status === 405 || error.status === 503)

const run = async (signal: AbortSignal): Promise<void> => {
  let failures = 0
  while (!signal.aborted) {
    const before = lastAt()
    try {
      await live(signal).catch((error: unknown) => {
        if (!hasNoStream(error) || lastAt() === before) throw error
        return poll(signal)
      })
      // The gateway ended the stream: its configuration has changed, say.
      failures = 0
      await pause(250, signal)
    } catch (error) {
      if (signal.aborted) return
      if (isDenied(error)) return deny(error)
      failures = lastAt() === before ? failures + 1 : 1
      setLink("lost")
      const waitMs = delayMs(failures, Math.random())
      setRetryAt(Date.now() + waitMs)
      await pause(waitMs, signal)
    }
  }
}

/** Begins, or begins again. */
export const connect = (): void => {
  session?.abort()
  session = new AbortController()
  setLink("connecting")
  void run(session.signal)
}

/** A page of the gateway has been refused elsewhere: the key may have been revoked. */
export const onRefused = (error: unknown): void => {
  if (!isDenied(error)) return
  session?.abort()
  deny(error)
}

export const signIn = (key: string): void => {
  setKey(key)
  setAccess({ state: "checking" })
  connect()
}

export const signOut = (): void => {
  session?.abort()
  setKey(undefined)
  setSnapshot(undefined)
  setFeed([])
  setAccess({ state: "checking" })
  connect()
}

/** Whether what is shown is older than it should be. */
export const isStale = (): boolean => {
  const at = lastAt()
  return at !== undefined && now() - at > staleAfterMs
}

/** Starts the page's clock and its link. */
export const start = (): void => {
  setInterval(() => setNow(Date.now()), 1_000)
  const wake = (): void => {
    setNow(Date.now())
    if (document.visibilityState === "visible") hurry?.()
  }
  document.addEventListener("visibilitychange", wake)
  addEventListener("online", wake)
  connect()
}
