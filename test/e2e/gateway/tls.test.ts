/** TLS by files. */
import { Gateway } from "@breakwater/gateway"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as Https from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { promised } from "./support.ts"

const noOpenssl = spawnSync("openssl", ["version"]).status !== 0

const get = (url: string, ca: string) =>
  promised(
    () =>
      new Promise<number | undefined>((resolve, reject) => {
        Https.get(url, { ca, agent: false }, (response) => {
          response.resume()
          resolve(response.statusCode)
        }).on("error", reject)
      })
  )

describe.skipIf(noOpenssl)("TLS", () => {
  it.live("is spoken with the certificate of the configuration, found beside it", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "tls-"))),
        (made) => Effect.sync(() => rmSync(made, { recursive: true }))
      )
      const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
      const how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
      const args = [...how.split(" "), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
      const made = spawnSync("openssl", args)
      assert.strictEqual(made.status, 0, made.stderr.toString())
      const file = join(folder, "gateway.json")
      const provider = { type: "openai-compatible", baseUrl: "http://127.0.0.1:9/v1" }
      writeFileSync(file, JSON.stringify({ providers: { p: provider }, tls: { cert: "cert.pem", key: "key.pem" } }))
      const gateway = yield* Gateway.fromFile(file)
      assert.match(gateway.url, /^https:/)
      assert.strictEqual(yield* get(`${gateway.url}/health`, readFileSync(cert, "utf8")), 200)
      writeFileSync(file, JSON.stringify({ providers: { p: provider }, tls: { cert: "gone.pem", key: "key.pem" } }))
      const error = yield* Effect.flip(Gateway.fromFile(file))
      assert.match(error.message, /^tls: .*gone\.pem/)
    }).pipe(Effect.scoped)
  )
})
