/**
 * What went wrong on the way, from the error codes of Node, undici and fetch.
 */
import { LLMError } from "@breakwater/core"
import * as Duration from "effect/Duration"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { Target } from "./Failure.ts"

type Phase = LLMError.TransportError["phase"]

interface Fault {
  readonly code: string | undefined
  readonly message: string
  readonly syscall: string | undefined
  readonly error: unknown
}

const textField = (u: object, key: string): string | undefined => {
  const value = (u as Record<string, unknown>)[key]
  return typeof value === "string" ? value : undefined
}

const nested = (u: object): unknown => {
  const fields = u as { readonly cause?: unknown; readonly errors?: unknown; readonly reason?: unknown }
  if (Array.isArray(fields.errors) && fields.errors.length > 0) return fields.errors[0]
  return fields.cause
}

/** The innermost error that has a code, else the innermost at all. Never Effect's wrapper, which holds headers. */
const faultOf = (cause: unknown): Fault => {
  let current: unknown = cause
  let last: Fault = { code: undefined, message: "the connection failed", syscall: undefined, error: undefined }
  for (let depth = 0; depth < 6 && typeof current === "object" && current !== null; depth++) {
    const code = textField(current, "code")
    const fault = {
      code,
      message: textField(current, "message") || last.message,
      syscall: textField(current, "syscall"),
      error: current
    }
    // undici reports any broken connection as UND_ERR_SOCKET; what broke it is inside.
    if (code !== undefined || last.code === undefined) last = fault
    current = nested(current)
  }
  return last
}

const dns = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_NODATA", "EAI_NONAME", "EAI_FAIL", "ENODATA", "ETIMEOUT"])
const connect = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "EACCES",
  "ENOENT",
  "EMFILE",
  "ENFILE"
])
const reset = new Set([
  "ECONNRESET",
  "ECONNABORTED",
  "UND_ERR_SOCKET",
  "UND_ERR_CLOSED",
  "UND_ERR_DESTROYED",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_HTTP2_STREAM_ERROR",
  "ERR_HTTP2_SESSION_ERROR"
])

/** What came was no answer: the request had been sent, and may have been billed. */
const isNoAnswer = ({ code = "", error }: Fault): boolean =>
  code.startsWith("HPE_") ||
  code === "UND_ERR_HEADERS_OVERFLOW" ||
  // Not every one of its errors has a code.
  (error instanceof Error && error.name === "HTTPParserError")

const isTls = (fault: Fault): boolean => {
  const code = fault.code ?? ""
  return (
    /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/.test(code) ||
    fault.message.includes("before secure TLS connection")
  )
}

const phaseOf = (fault: Fault, sent: boolean): Phase => {
  const code = fault.code ?? ""
  if (isTls(fault)) return "tls"
  if (dns.has(code) || fault.syscall === "getaddrinfo") return "dns"
  if (connect.has(code)) return "connect"
  if (code === "EPIPE") return "write"
  if (isNoAnswer(fault)) return "read"
  if (reset.has(code) || /other side closed|socket hang up|terminated|aborted|premature/i.test(fault.message)) {
    return "reset"
  }
  if (fault.syscall === "connect") return "connect"
  if (fault.syscall === "write") return "write"
  return sent ? "read" : "connect"
}

const timeoutPhase = (fault: Fault): LLMError.RequestTimeoutError["phase"] | undefined => {
  switch (fault.code) {
    case "UND_ERR_CONNECT_TIMEOUT":
      return "connect"
    case "UND_ERR_HEADERS_TIMEOUT":
      return "firstToken"
    case "UND_ERR_BODY_TIMEOUT":
      return "idle"
    case "ETIMEDOUT":
      return fault.syscall === "read" || fault.syscall === "write" ? "idle" : "connect"
    default:
      return undefined
  }
}

/** The limit a client names in its message ("timeout: 10000ms"), else undici's default of 10 s. */
const limitOf = (message: string): Duration.Duration => {
  const match = /timeout: (\d{1,9})ms/.exec(message)
  return Duration.millis(match === null ? 10_000 : Number(match[1]))
}

const sentences: { readonly [P in Phase]: string } = {
  dns: "The name of the provider's host could not be resolved",
  connect: "The connection to the provider could not be made",
  tls: "The secure connection to the provider could not be made",
  write: "The request could not be sent",
  read: "The answer could not be read",
  reset: "The provider closed the connection"
}

const describe = (sentence: string, fault: Fault): string =>
  fault.code === undefined ? `${sentence}.` : `${sentence} (${fault.code}).`

type TransportFailure = LLMError.TransportError | LLMError.RequestTimeoutError

/**
 * The error for a failed connection. `sent` says that the answer's head had been read, so that an unknown
 * fault is one of reading.
 */
export const transportFailure = (cause: unknown, target: Target, sent: boolean): TransportFailure => {
  const fault = faultOf(cause)
  const timeout = timeoutPhase(fault)
  if (timeout !== undefined) {
    return new LLMError.RequestTimeoutError({
      ...target,
      message: describe(
        timeout === "connect" ? "The connection to the provider took too long" : "The provider did not answer in time",
        fault
      ),
      phase: timeout,
      limit: limitOf(fault.message)
    })
  }
  const phase = phaseOf(fault, sent)
  return new LLMError.TransportError({
    ...target,
    message: describe(sentences[phase], fault),
    phase,
    ...(fault.error === undefined ? {} : { cause: fault.error })
  })
}

/** The error for an address that is none. */
export const wrongUrl = (target: Target): LLMError.InvalidRequestError =>
  new LLMError.InvalidRequestError({ ...target, message: "The provider's URL is not valid.", parameter: "baseUrl" })

/** The same for the error of an `HttpClient`. */
export const clientFailure = (
  { reason }: HttpClientError,
  target: Target,
  sent: boolean
): TransportFailure | LLMError.InvalidRequestError => {
  if (reason._tag === "InvalidUrlError") return wrongUrl(target)
  if (reason._tag === "EncodeError") {
    return new LLMError.InvalidRequestError({ ...target, message: "The request could not be encoded." })
  }
  return transportFailure("cause" in reason ? reason.cause : undefined, target, sent)
}
