/** The server's own limits, with their defaults in one place. */
import { defaults } from "./Defaults.ts"
import { type GatewayConfig, millisOf } from "./Schema.ts"

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
