/**
 * The wire over a dispatcher of undici, which is told by callbacks what it would else wrap into promises and streams.
 */
import type * as Undici from "@effect/platform-node/Undici"
import type { Wire, WireExchange, WireListener } from "./Wire.ts"

/** Made once: giving up is normal work, and nobody reads where it came from. */
const givenUp = new Error("The call was given up.")

type Controller = Undici.Dispatcher.DispatchController

class Exchange implements WireExchange, Undici.Dispatcher.DispatchHandler {
  private readonly listener: WireListener
  private controller: Controller | undefined = undefined
  private over = false

  constructor(listener: WireListener) {
    this.listener = listener
  }

  abort(): void {
    if (this.over) return
    this.over = true
    this.controller?.abort(givenUp)
  }

  pause(): void {
    this.controller?.pause()
  }

  resume(): void {
    this.controller?.resume()
  }

  onRequestStart(controller: Controller): void {
    this.controller = controller
    // Given up while it waited for a connection.
    if (this.over) controller.abort(givenUp)
  }

  onResponseStart(_controller: Controller, status: number, headers: Undici.Dispatcher.ResponseData["headers"]): void {
    if (status >= 200 && !this.over) this.listener.onHead(status, headers)
  }

  onResponseData(_controller: Controller, chunk: Uint8Array): void {
    if (!this.over) this.listener.onData(chunk)
  }

  onResponseEnd(): void {
    if (this.over) return
    this.over = true
    this.listener.onEnd()
  }

  onResponseError(_controller: Controller, cause: unknown): void {
    if (this.over) return
    this.over = true
    this.listener.onError(cause)
  }
}

/** The wire of a dispatcher. Waiting is not bounded here. */
export const make =
  (dispatcher: Undici.Dispatcher): Wire =>
  ({ body, headers, origin, path }, listener) => {
    const exchange = new Exchange(listener)
    try {
      dispatcher.dispatch({ origin, path, method: "POST", headers, body, headersTimeout: 0, bodyTimeout: 0 }, exchange)
    } catch (cause) {
      exchange.onResponseError(undefined as never, cause)
    }
    return exchange
  }
