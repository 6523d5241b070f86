/** What the server remembers: counts, sockets, outages. */
import type * as Clock from "effect/Clock"
import type * as Net from "node:net"

/** What came in since the start, or since the last reset. */
export interface Stats {
  /** Calls of the wires; control calls do not count. */
  readonly total: number
  readonly byModel: Readonly<Record<string, number>>
  /** By the header `x-client-id`, or the end of the API key, or `anonymous`. */
  readonly byClient: Readonly<Record<string, number>>
  /** Sockets open now. */
  readonly openSockets: number
  readonly totalSockets: number
  /** Requests being answered now. */
  readonly inFlight: number
  /** Requests the client gave up before their answer was complete. */
  readonly abortedByClient: number
}

/** A request as it came in. */
export interface ReceivedRequest {
  readonly path: string
  readonly model: string
  readonly client: string
  readonly body: unknown
}

const kept = 100
const outageMillis = 5_000

export class ServerState {
  readonly sockets = new Set<Net.Socket>()
  requests: Array<ReceivedRequest> = []
  inFlight = 0
  aborted = 0
  /** Set when the server stops: nothing that ends from then on is the client's doing. */
  closing = false
  #clock: Clock.Clock
  #total = 0
  #totalSockets = 0
  #byModel = new Map<string, number>()
  #byClient = new Map<string, number>()
  #stamps = 0
  #outageStart: number
  #outageMillis: number | undefined

  constructor(clock: Clock.Clock) {
    this.#clock = clock
    this.#outageStart = this.#now()
  }

  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  opened(socket: Net.Socket) {
    this.sockets.add(socket)
    this.#totalSockets++
    socket.once("close", () => this.sockets.delete(socket))
    // A client that goes away is no news to a server that goes away on its clients.
    socket.on("error", () => {})
  }

  stamp() {
    return { number: ++this.#stamps, seconds: Math.floor(this.#clock.currentTimeMillisUnsafe() / 1_000) }
  }

  /** Counts a request and says which one of its model it is. */
  received(request: ReceivedRequest): number {
    this.#total++
    this.requests.push(request)
    if (this.requests.length > kept) this.requests.shift()
    this.#byClient.set(request.client, (this.#byClient.get(request.client) ?? 0) + 1)
    const number = (this.#byModel.get(request.model) ?? 0) + 1
    this.#byModel.set(request.model, number)
    return number
  }

  startOutage(millis: number | undefined) {
    this.#outageStart = this.#now()
    this.#outageMillis = millis
  }

  /** Whether a recovering model is still down. */
  isDown(parameter: number | undefined): boolean {
    return this.#now() - this.#outageStart < (this.#outageMillis ?? parameter ?? outageMillis)
  }

  stats(): Stats {
    return {
      total: this.#total,
      byModel: Object.fromEntries(this.#byModel),
      byClient: Object.fromEntries(this.#byClient),
      openSockets: this.sockets.size,
      totalSockets: this.#totalSockets,
      inFlight: this.inFlight,
      abortedByClient: this.aborted
    }
  }

  /** Forgets what came in. A `recovering` model is down no more. */
  reset() {
    this.requests = []
    this.aborted = 0
    this.#total = 0
    this.#totalSockets = this.sockets.size
    this.#byModel.clear()
    this.#byClient.clear()
    this.startOutage(0)
  }
}
