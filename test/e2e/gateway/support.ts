/** A gateway in front of two misbehaving servers, over real sockets. */
import { Gateway } from "@breakwater/gateway"
import { Upstream } from "@breakwater/testing"
import * as Effect from "effect/Effect"

/** JSON as it comes, for tests that look into it. */
export type Json = Readonly<Record<string, ReturnType<typeof JSON.parse>>>

export interface Stage {
  readonly url: string
  readonly gateway: Gateway.Gateway
  readonly first: Upstream.Upstream
  readonly second: Upstream.Upstream
}

/** Policies that do not wait for long. */
const quick = {
  backoff: { base: "20ms", cap: "100ms" },
  timeouts: { firstToken: "400ms", idle: "400ms", attempt: "3s", total: "20s" }
}

/** The providers `first` and `second` (OpenAI's wire) and `claude` (Anthropic's, at the first server). */
export const configOf = (first: string, second: string, more: object = {}): Record<string, unknown> => ({
  providers: {
    first: { type: "openai-compatible", baseUrl: `${first}/v1`, apiKey: "upstream-key", models: ["good"] },
    second: { type: "openai-compatible", baseUrl: `${second}/v1`, apiKey: "upstream-key" },
    claude: { type: "anthropic", baseUrl: first, apiKey: "upstream-key" }
  },
  defaults: quick,
  ...more
})

/** Runs a test against a gateway. */
export const onStage = <A, E>(
  use: (stage: Stage) => Effect.Effect<A, E>,
  more: object | ((first: string, second: string) => object) = {},
  options: Gateway.Options & { readonly wordDelay?: number } = {}
) =>
  Effect.gen(function* () {
    const upstream = { wordDelay: options.wordDelay ?? 0 }
    const first = yield* Upstream.make(upstream)
    const second = yield* Upstream.make(upstream)
    const extra = typeof more === "function" ? more(first.url, second.url) : more
    const gateway = yield* Gateway.make(configOf(first.url, second.url, extra), options)
    return yield* use({ url: gateway.url, gateway, first, second })
  }).pipe(Effect.scoped)

/** A promise of a client's, as an effect that fails with what it is rejected with. */
export const promised = <A>(run: (signal: AbortSignal) => Promise<A>) =>
  Effect.tryPromise({ try: run, catch: (error) => error })

export const post = (url: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  promised((signal) =>
    fetch(url, {
      method: "POST",
      signal,
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body)
    })
  )

export const chat = (model: string, more: object = {}) => ({
  model,
  messages: [{ role: "user", content: "Tell me of the harbour." }],
  ...more
})

/** Tries until it is so, for a second. */
export const eventually = <E>(check: Effect.Effect<boolean, E>): Effect.Effect<boolean, E> =>
  Effect.gen(function* () {
    for (let i = 0; i < 50; i++) {
      if (yield* check) return true
      yield* Effect.sleep("20 millis")
    }
    return false
  })
