import { readdirSync, readlinkSync } from "node:fs"

/**
 * Loaded before a process that is measured, whoever's it is: tells on request what the process has used so far.
 */
export interface Usage {
  /** Processor time, in microseconds. */
  readonly cpuUs: number
  readonly rssBytes: number
  /** After collections, if the process may ask for them. */
  readonly heapBytes: number
  /** Sockets of any kind that are open: connections to clients and to the upstream, and the process's own few. */
  readonly sockets: number
}

const isSocket = (fd: string): boolean => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")
  } catch {
    return false
  }
}

/** As the kernel counts them; elsewhere than on Linux those that the process waits for. */
const openSockets = (): number => {
  try {
    return readdirSync("/proc/self/fd").filter(isSocket).length
  } catch {
    return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length
  }
}

const collect = (globalThis as { readonly gc?: () => void }).gc

process.on("message", (message) => {
  if (message !== "usage" && message !== "memory") return
  // Twice: what is let go in the first pass is collected in the second.
  if (message === "memory") for (let i = 0; i < 2; i++) collect?.()
  const { system, user } = process.cpuUsage()
  const { heapUsed, rss } = process.memoryUsage()
  const usage = { cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed, sockets: openSockets() }
  process.send?.(usage satisfies Usage)
})
// Nobody waits for messages only.
process.channel?.unref()
