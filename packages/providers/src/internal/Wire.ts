/**
 * The shortest way from a call to a socket, and back: plain callbacks below Effect's `HttpClient`.
 *
 * A client that this library makes itself (`HttpPool`) has such a way, and providers take it. Any other client, and one
 * that a program has changed (`HttpClient.mapRequest`), has none, and is used as it is.
 */
import type * as HttpClient from "effect/http/HttpClient"

/** Headers as pairs of name and value. Names are in lower case. */
export type WireHeaders = { readonly [name: string]: string | ReadonlyArray<string> | undefined }

/** What is sent: always a POST of JSON text. */
interface WireRequest {
  readonly origin: string
  readonly path: string
  readonly headers: { readonly [name: string]: string }
  readonly body: string
}

/** Hears of an answer. After `onEnd` or `onError` nothing more is heard. */
export interface WireListener {
  readonly onHead: (status: number, headers: WireHeaders) => void
  readonly onData: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (cause: unknown) => void
}

/** An exchange under way. */
export interface WireExchange {
  /** Gives up: the connection is closed. Without effect once the exchange is over. */
  readonly abort: () => void
  /** Stops, and goes on, reading from the socket. */
  readonly pause: () => void
  readonly resume: () => void
}

/** Sends a request. Never throws: what is wrong is told to the listener, maybe before this returns. */
export type Wire = (request: WireRequest, listener: WireListener) => WireExchange

const wires = new WeakMap<HttpClient.HttpClient, Wire>()

/** Says by which way a client sends. */
export const attach = (client: HttpClient.HttpClient, wire: Wire): void => {
  wires.set(client, wire)
}

/** The way of a client; `undefined` for one that is not this library's. */
export const of = (client: HttpClient.HttpClient): Wire | undefined => wires.get(client)
