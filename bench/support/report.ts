/**
 * Loaded before a process that is measured, whoever's it is: tells on request what the process has used so far.
 */
export interface Usage {
  /** Processor time, in microseconds. */
  readonly cpuUs: number
  readonly rssBytes: number
  /** After collections, if the process may ask for them. */
  readonly heapBytes: number
  /** TCP connections that are open, to clients and to the upstream. */
  readonly sockets: number
}

const collect = (globalThis as { readonly gc?: () => void }).gc

process.on("message", (message) => {
  if (message !== "usage" && message !== "memory") return
  // Twice: what is let go in the first pass is collected in the second.
  if (message === "memory") for (let i = 0; i < 2; i++) collect?.()
  const { system, user } = process.cpuUsage()
  const { heapUsed, rss } = process.memoryUsage()
  const sockets = process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length
  process.send?.({ cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed, sockets } satisfies Usage)
})
// Nobody waits for messages only.
process.channel?.unref()
