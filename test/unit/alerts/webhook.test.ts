import { Webhook } from "@breakwater/alerts"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { createHmac } from "node:crypto"

const secret = "a secret of more than sixteen"
const key: Webhook.Key = { id: "2026", secret: Redacted.make(secret) }
const other: Webhook.Key = { id: "2025", secret: Redacted.make("another secret, an older one") }

describe("the signature", () => {
  it.effect("is HMAC-SHA-256 over time and body, as anybody can compute it", () =>
    Effect.gen(function* () {
      const header = yield* Webhook.sign(key, '{"a":"ü"}', 1_767_225_600)
      const digest = createHmac("sha256", secret).update('1767225600.{"a":"ü"}').digest("hex")
      expect(header).toBe(`t=1767225600,kid=2026,v1=${digest}`)
    })
  )

  it.effect("is verified, also while one key follows another", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_767_225_600_000)
      for (const each of [key, other]) {
        const header = yield* Webhook.sign(each, "body", 1_767_225_600)
        expect(yield* Webhook.verify({ header, body: "body", keys: [key, other] })).toBe(each.id)
      }
    })
  )

  it.effect("is refused when anything of it is wrong", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_767_225_600_000)
      const header = yield* Webhook.sign(key, "body", 1_767_225_600)
      const refused = (options: Parameters<typeof Webhook.verify>[0]) =>
        Effect.map(Effect.flip(Webhook.verify(options)), (error) => error.message)
      const keys = [key]
      expect(yield* refused({ header, body: "body ", keys })).toContain("wrong")
      expect(
        yield* refused({ header: header.replace(/.$/, (c) => (c === "0" ? "1" : "0")), body: "body", keys })
      ).toContain("wrong")
      expect(yield* refused({ header: header.replace("600", "601"), body: "body", keys })).toContain("wrong")
      expect(yield* refused({ header, body: "body", keys: [other] })).toContain("not known")
      expect(yield* refused({ header, body: "body", keys: [{ ...other, id: "2026" }] })).toContain("wrong")
      for (const bad of [undefined, "", "t=1", `${header},x=1`, header.toUpperCase()]) {
        expect(yield* refused({ header: bad, body: "body", keys })).toContain("cannot be read")
      }
      // Either way from now: a clock that is wrong is no reason to take what is old.
      yield* TestClock.adjust("6 minutes")
      expect(yield* refused({ header, body: "body", keys })).toContain("too old")
      const future = yield* Webhook.sign(key, "body", 1_767_225_600 + 1_000)
      expect(yield* refused({ header: future, body: "body", keys })).toContain("too old")
      expect(yield* Webhook.verify({ header, body: "body", keys, tolerance: "10 minutes" })).toBe("2026")
    })
  )
})

describe("the options of a webhook", () => {
  it.effect.each([
    ["nonsense", "https"],
    ["ftp://example.com/secret-token", "https"],
    ["http://example.com/secret-token", "https"],
    ["https://user:secret-token@example.com/", "user and password"],
    ["https://user@example.com/secret-token", "user and password"]
  ] as const)("%s is refused, and not shown", ([url, word]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Webhook.make({ url }))
      expect(error.cause.message).toContain(word)
      expect(error.cause.message).not.toContain("secret-token")
      expect(error.cause.message).not.toContain("nonsense")
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
  )

  it.effect("a weak secret, a strange key and wrong times are refused", () =>
    Effect.gen(function* () {
      const url = "https://example.com/hook"
      for (const options of [
        { url, key: { id: "a", secret: Redacted.make("short") } },
        { url, key: { id: "a,b", secret: key.secret } },
        { url, timeout: 0 },
        { url, capacity: 0 },
        { url, giveUpAfter: Infinity }
      ]) {
        const error = yield* Effect.flip(Webhook.make(options))
        expect(error.cause.message).not.toContain("short")
      }
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
  )

  it.effect("the name is the origin: Slack's URLs are secrets", () =>
    Effect.gen(function* () {
      const url = Redacted.make("https://hooks.slack.com/services/T000/B000/token")
      const notifier = yield* Webhook.make({ url, format: "slack" })
      expect(notifier.stats()).toMatchObject({ name: "https://hooks.slack.com", queued: 0 })
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
  )
})
