/** The server's own limits, with their defaults in one place. */
import { type GatewayConfig, millisOf } from "./Schema.ts"

const defaults = {
  bodyBytes: 20 * 1024 * 1024,
  headerBytes: 16 * 1024,
  depth: 64,
  concurrency: 1_000,
  connections: 10_000,
  requestTimeout: "60s",
  writeTimeout: "60s",
  keepAlive: "65s",
  shutdown: "30s"
} as const

export interface Settings {
  readonly bodyBytes: number
  readonly headerBytes: number
  readonly depth: number
  readonly concurrency: number
  readonly connections: number
  readonly requestTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly keepAliveMs: number
  readonly shutdownMs: number
  readonly origins: ReadonlyArray<string>
}

/** The limits of a configuration. Those of sockets and headers hold from the start of the server on. */
export const settingsOf = (config: GatewayConfig): Settings => {
  const limits = { ...defaults, ...config.limits }
  return {
    bodyBytes: limits.bodyBytes,
    headerBytes: limits.headerBytes,
    depth: limits.depth,
    concurrency: limits.concurrency,
    connections: limits.connections,
    requestTimeoutMs: millisOf(limits.requestTimeout),
    writeTimeoutMs: millisOf(limits.writeTimeout),
    keepAliveMs: millisOf(limits.keepAlive),
    shutdownMs: millisOf(limits.shutdown),
    origins: config.cors?.origins ?? []
  }
}
