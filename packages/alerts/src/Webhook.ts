/**
 * Tells a URL of alerts: a signed `POST` of JSON, or of what Slack and its likes read.
 *
 * **Details**
 *
 * - The signature is HMAC-SHA-256 (RFC 2104) over `timestamp.body`, in the header `breakwater-signature` with the
 *   timestamp (seconds since 1970, of this try) and the name of the key: `t=1767225600,kid=2026,v1=9f86…`. Whoever
 *   receives it checks it with {@link verify}, and refuses what is older than five minutes.
 * - `breakwater-delivery` is the same for every try of one notification.
 * - 2xx is success; 408, 425, 429, 5xx and broken connections are tried again; anything else, redirects included, is
 *   given up: a signed body goes to the address it was meant for, or nowhere.
 *
 * The URL may be a secret itself (Slack's are): no error, no span and no snapshot shows more of it than its origin.
 */
import { Options as Checks } from "@breakwater/core"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { jsonBody, slackBody } from "./internal/bodies.ts"
import * as Notifier from "./Notifier.ts"

/** A key to sign with, and the name that the header says. */
export interface Key {
  /** 1 to 64 letters, digits, dots, hyphens and underscores. */
  readonly id: string
  /** At least 16 characters. */
  readonly secret: Redacted.Redacted<string>
}

export interface Options extends Notifier.Bounds {
  /** `https`, or `http` to this machine; no user or password in it. */
  readonly url: string | Redacted.Redacted<string>
  /** For stats. Default: the URL's origin. */
  readonly name?: string
  /** What it is signed with. Default: not signed. */
  readonly key?: Key
  /** `json`: everything, for programs. `slack`: a message for people, as Slack's incoming webhooks take it. Default `json`. */
  readonly format?: "json" | "slack"
  /** `http` to other machines, too. Default false. */
  readonly allowHttp?: boolean
  /** How long one try may take. Default 10 seconds. */
  readonly timeout?: Duration.Input
}

/** Defaults of {@link make} and {@link verify}. */
export const defaults = {
  ...Notifier.defaults,
  format: "json",
  allowHttp: false,
  timeout: "10 seconds",
  tolerance: "5 minutes"
} as const

/** Characters of a secret at least. */
const shortestSecret = 16

/** The header of the signature, and that of the notification's id. */
export const signatureHeader = "breakwater-signature"
export const deliveryHeader = "breakwater-delivery"

// --- signatures ---------------------------------------------------------------------------------------------------

/** A signature that is missing, wrong, by an unknown key, or too old. */
export class SignatureError extends Schema.TaggedError<SignatureError>("@breakwater/alerts/SignatureError")(
  "SignatureError",
  { message: Schema.String }
) {}

const encoder = new TextEncoder()
const algorithm = { name: "HMAC", hash: "SHA-256" }

const importKey = (secret: Redacted.Redacted<string>, usage: "sign" | "verify") =>
  crypto.subtle.importKey("raw", encoder.encode(Redacted.value(secret)), algorithm, false, [usage])

const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The value of the signature's header for a body, at a time in seconds since 1970. */
export const sign = (key: Key, body: string, seconds: number): Effect.Effect<string> =>
  Effect.promise(async () => {
    const signature = await crypto.subtle.sign(
      "HMAC",
      await importKey(key.secret, "sign"),
      encoder.encode(`${seconds}.${body}`)
    )
    return `t=${seconds},kid=${key.id},v1=${hex(signature)}`
  })

const headerPattern = /^t=(\d{1,12}),kid=([\w.-]{1,64}),v1=([0-9a-f]{64})$/

const refuse = (message: string) => Effect.fail(new SignatureError({ message }))

/**
 * Checks a notification that was received: its body as it came, byte for byte, the header {@link signatureHeader}, and
 * the keys by their names (several, while one is replaced by another; a secret below 16 characters is none). The comparison takes the same time for every
 * wrong signature. Answers with the key's name.
 *
 * Fails with a `SignatureError`; also for a timestamp further from now than `tolerance` (default 5 minutes), so that
 * what somebody has recorded cannot be played again later. Within that time remember the {@link deliveryHeader}.
 */
export const verify = (options: {
  readonly header: string | undefined
  readonly body: string
  readonly keys: ReadonlyArray<Key>
  readonly tolerance?: Duration.Input
}): Effect.Effect<string, SignatureError> =>
  Effect.gen(function* () {
    const match = headerPattern.exec(options.header ?? "")
    if (match === null) return yield* refuse("there is no signature, or it cannot be read")
    const [, seconds, id, signature] = match as unknown as [string, string, string, string]
    // A secret that was left out by mistake would let everybody in.
    const key = options.keys.find((each) => each.id === id && Redacted.value(each.secret).length >= shortestSecret)
    if (key === undefined) return yield* refuse("the key of the signature is not known")
    const now = yield* Clock.currentTimeMillis
    const toleranceMs = Duration.toMillis(Duration.fromInputUnsafe(options.tolerance ?? defaults.tolerance))
    if (Math.abs(now - Number(seconds) * 1_000) > toleranceMs) return yield* refuse("the signature is too old")
    const bytes = Uint8Array.from(signature.match(/../g)!, (pair) => Number.parseInt(pair, 16))
    const right = yield* Effect.promise(async () =>
      crypto.subtle.verify(
        "HMAC",
        await importKey(key.secret, "verify"),
        bytes,
        encoder.encode(`${seconds}.${options.body}`)
      )
    )
    return right ? id : yield* refuse("the signature is wrong")
  })

// --- sending ------------------------------------------------------------------------------------------------------

const hidden = "<hidden>"
const local = new Set(["localhost", "127.0.0.1", "[::1]"])

/** The URL, or what is wrong with it, without showing it. */
const endpoint = (given: Options["url"], allowHttp: boolean): URL | Config.ConfigError => {
  const text = typeof given === "string" ? given : Redacted.value(given)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:"))
    return Checks.optionError("url", hidden, "a URL of https")
  if (url.username !== "" || url.password !== "")
    return Checks.optionError("url", hidden, "a URL without user and password")
  if (url.protocol === "http:" && !allowHttp && !local.has(url.hostname))
    return Checks.optionError("url", `http://${hidden}`, "https; http only to this machine, or with allowHttp")
  return url
}

const checkKey = (key: Key | undefined): Config.ConfigError | undefined => {
  if (key === undefined) return undefined
  if (!/^[\w.-]{1,64}$/.test(key.id)) return Checks.optionError("key.id", key.id, "1 to 64 letters, digits, . - and _")
  return Redacted.value(key.secret).length >= shortestSecret
    ? undefined
    : Checks.optionError("key.secret", hidden, "at least 16 characters")
}

const retryAfterOf = (response: HttpClientResponse.HttpClientResponse): { readonly retryAfter?: Duration.Duration } => {
  const seconds = Number(response.headers["retry-after"] ?? Number.NaN)
  return seconds >= 0 && Number.isFinite(seconds) ? { retryAfter: Duration.seconds(seconds) } : {}
}

const isTransient = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

const outcome = (
  response: HttpClientResponse.HttpClientResponse,
  name: string
): Effect.Effect<void, Notifier.NotifyError> => {
  const { status } = response
  // What it says is nothing to us, and may have no end.
  const rest = Effect.ignore(Effect.timeout(Stream.runDrain(Stream.take(response.stream, 4)), "1 second"))
  if (status >= 200 && status < 300) return rest
  const error = new Notifier.NotifyError({
    message: `${name} answered ${status}`,
    retryable: isTransient(status),
    ...(isTransient(status) ? retryAfterOf(response) : {})
  })
  return Effect.andThen(rest, Effect.fail(error))
}

/**
 * A notifier that posts to a URL.
 *
 * Fails with a `ConfigError` for a wrong option. While the endpoint is away the notifications wait, tries are bounded,
 * and nothing else is held up.
 */
export const make = (
  options: Options
): Effect.Effect<Notifier.Notifier, Config.ConfigError, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { allowHttp = defaults.allowHttp, format = defaults.format, key, timeout = defaults.timeout } = options
    const url = endpoint(options.url, allowHttp)
    if (!(url instanceof URL)) return yield* Effect.fail(url)
    yield* Checks.validate([checkKey(key), Checks.positiveDuration("timeout", timeout)])
    const name = options.name ?? url.origin
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const post = (body: string, id: string): Effect.Effect<void, Notifier.NotifyError> =>
      Effect.gen(function* () {
        const seconds = Math.floor((yield* Clock.currentTimeMillis) / 1_000)
        const signature = key === undefined ? {} : { [signatureHeader]: yield* sign(key, body, seconds) }
        const request = HttpClientRequest.post(url).pipe(
          HttpClientRequest.setHeaders({ "user-agent": "breakwater-alerts", [deliveryHeader]: id, ...signature }),
          HttpClientRequest.bodyText(body, "application/json")
        )
        const response = yield* Effect.mapError(
          client.execute(request),
          () => new Notifier.NotifyError({ message: `${name} cannot be reached`, retryable: true })
        )
        yield* outcome(response, name)
      }).pipe(
        Effect.scoped,
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
        Effect.provideService(HttpClient.TracerPropagationEnabled, false),
        Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(new Notifier.NotifyError({ message: `${name} did not answer in time`, retryable: true }))
        })
      )
    return yield* Notifier.make({
      ...options,
      name,
      send: (notification) =>
        Effect.suspend(() =>
          post(format === "slack" ? slackBody(notification) : jsonBody(notification), notification.id)
        )
    })
  })
