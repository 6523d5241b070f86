import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { clientFailure } from "../../../../packages/providers/src/internal/TransportFailure.ts"

const request = HttpClientRequest.post("https://x.test/v1", { headers: { authorization: "Bearer top-secret" } })
const target = { provider: "test", model: "m" }

const failure = (cause: unknown, sent = false) =>
  clientFailure(
    new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) }),
    target,
    sent
  )

const coded = (code: string, message = "x", more: object = {}) => Object.assign(new Error(message), { code }, more)

describe("the phase of a broken connection", () => {
  const rows: ReadonlyArray<readonly [name: string, cause: unknown, phase: string, sent?: boolean]> = [
    ["no such host", coded("ENOTFOUND", "getaddrinfo ENOTFOUND x", { syscall: "getaddrinfo" }), "dns"],
    ["resolver away", coded("EAI_AGAIN"), "dns"],
    ["refused", coded("ECONNREFUSED"), "connect"],
    [
      "refused on every address",
      Object.assign(new AggregateError([coded("ECONNREFUSED")], ""), { code: "ECONNREFUSED" }),
      "connect"
    ],
    ["every address, no code outside", new AggregateError([coded("EHOSTUNREACH")], ""), "connect"],
    ["no route", coded("ENETUNREACH"), "connect"],
    ["fetch's wrapper", new TypeError("fetch failed", { cause: coded("ECONNREFUSED") }), "connect"],
    ["certificate has expired", coded("CERT_HAS_EXPIRED"), "tls"],
    ["self-signed", coded("DEPTH_ZERO_SELF_SIGNED_CERT"), "tls"],
    ["unknown issuer", coded("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "tls"],
    ["another host's certificate", coded("ERR_TLS_CERT_ALTNAME_INVALID"), "tls"],
    ["not TLS", coded("ERR_SSL_WRONG_VERSION_NUMBER"), "tls"],
    [
      "reset while greeting",
      coded("ECONNRESET", "Client network socket disconnected before secure TLS connection was established"),
      "tls"
    ],
    ["reset", coded("ECONNRESET"), "reset"],
    ["undici: other side closed", coded("UND_ERR_SOCKET", "other side closed"), "reset"],
    ["undici, with what is inside", coded("UND_ERR_SOCKET", "x", { cause: coded("ECONNRESET") }), "reset"],
    ["cut short", coded("UND_ERR_RES_CONTENT_LENGTH_MISMATCH"), "reset", true],
    ["fetch: terminated", new TypeError("terminated"), "reset", true],
    ["broken pipe", coded("EPIPE"), "write"],
    ["unreadable answer", coded("HPE_INVALID_CONSTANT"), "read", true],
    ["nothing known", undefined, "connect"],
    ["nothing known, while reading", "odd", "read", true]
  ]
  for (const [name, cause, phase, sent] of rows) {
    it(name, () => {
      const error = failure(cause, sent)
      const { _tag, model, provider } = error
      const found = error._tag === "TransportError" ? error.phase : undefined
      assert.deepStrictEqual([_tag, found, provider, model], ["TransportError", phase, "test", "m"])
      assert.isTrue(error.isRetryable)
    })
  }
})

describe("timeouts of the client", () => {
  it("connecting, with the limit it names", () => {
    const message = "Connect Timeout Error (attempted address: x.test:443, timeout: 1500ms)"
    const error = failure(coded("UND_ERR_CONNECT_TIMEOUT", message))
    assert.deepInclude(error, { _tag: "RequestTimeoutError", phase: "connect" })
    assert.strictEqual(error._tag === "RequestTimeoutError" && Duration.toMillis(error.limit), 1500)
    assert.isTrue(error.isRetryable)
    assert.deepInclude(failure(coded("ETIMEDOUT", "connect ETIMEDOUT", { syscall: "connect" })), {
      _tag: "RequestTimeoutError",
      phase: "connect"
    })
  })

  it("waiting for the head or the body", () => {
    assert.deepInclude(failure(coded("UND_ERR_HEADERS_TIMEOUT")), { _tag: "RequestTimeoutError", phase: "firstToken" })
    assert.deepInclude(failure(coded("UND_ERR_BODY_TIMEOUT"), true), { _tag: "RequestTimeoutError", phase: "idle" })
  })
})

describe("what is kept", () => {
  it("the fault, but never the request with its headers", () => {
    const fault = coded("ECONNREFUSED")
    const error = failure(new TypeError("fetch failed", { cause: fault }))
    assert.strictEqual(error._tag === "TransportError" && error.cause, fault)
    const bare = failure(undefined)
    assert.notProperty(bare, "cause")
    assert.notInclude(JSON.stringify([error, bare]) + String(error) + String(error.stack), "top-secret")
  })

  it("a URL or a body that cannot be sent is the request's fault", () => {
    const wrap = (reason: HttpClientError.HttpClientErrorReason) =>
      clientFailure(new HttpClientError.HttpClientError({ reason }), target, false)
    assert.deepInclude(wrap(new HttpClientError.InvalidUrlError({ request })), {
      _tag: "InvalidRequestError",
      parameter: "baseUrl"
    })
    assert.deepInclude(wrap(new HttpClientError.EncodeError({ request })), { _tag: "InvalidRequestError" })
  })
})
