/**
 * `GET /dashboard/`: the page's files, from memory. They hold no data, so everybody may have them; what the page shows it
 * asks for under `/admin`, with the key of whoever looks at it.
 */
import { folder } from "@breakwater/dashboard"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { extname, join } from "node:path"
import type { Exchange } from "../internal/Exchange.ts"
import { type Problem, problem } from "../internal/Problem.ts"

/** The page may load, and be, nothing but what comes from here. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const everyFile: Readonly<Record<string, string>> = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  vary: "accept-encoding"
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml"
}

type Encoding = "br" | "gzip"
const endings: { readonly [E in Encoding]: string } = { br: ".br", gzip: ".gz" }

interface Asset {
  readonly type: string
  readonly etag: string
  readonly cacheControl: string
  readonly body: Buffer
  readonly encoded: { readonly [E in Encoding]?: Buffer }
}

type Assets = ReadonlyMap<string, Asset>

const load = async (root: string): Promise<Assets> => {
  const names = await readdir(root, { recursive: true })
  const read = (name: string) => (names.includes(name) ? readFile(join(root, name)) : Promise.resolve(undefined))
  const assets = new Map<string, Asset>()
  for (const name of names) {
    const type = types[extname(name)]
    if (type === undefined) continue
    const body = await readFile(join(root, name))
    const [br, gzip] = await Promise.all([read(name + endings.br), read(name + endings.gzip)])
    assets.set(name.replaceAll("\\", "/"), {
      type,
      body,
      etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`,
      // Vite writes a hash of the content into the names below assets/.
      cacheControl: /^assets[/\\]/.test(name) ? "public, max-age=31536000, immutable" : "no-cache",
      encoded: { ...(br === undefined ? {} : { br }), ...(gzip === undefined ? {} : { gzip }) }
    })
  }
  return assets
}

const notFound = problem("not-found", "There is nothing at this path.", { code: "not_found" })
const notBuilt = problem("not-found", "The dashboard is not built; run npm run build.", { code: "not_found" })

const accepts = (header: string, encoding: Encoding): boolean =>
  header.split(",").some((each) => {
    const [name, weight] = each.split(";")
    return name!.trim() === encoding && !/^\s*q=0(?:\.0*)?\s*$/.test(weight ?? "")
  })

const choose = (asset: Asset, header: string): readonly [Encoding | undefined, Buffer] => {
  for (const encoding of ["br", "gzip"] as const) {
    const encoded = asset.encoded[encoding]
    if (encoded !== undefined && accepts(header, encoding)) return [encoding, encoded]
  }
  return [undefined, asset.body]
}

const answer = (exchange: Exchange, asset: Asset): void => {
  exchange.set({ ...everyFile, etag: asset.etag, "cache-control": asset.cacheControl })
  if (exchange.header("if-none-match")?.includes(asset.etag) === true) return exchange.notModifiedNow()
  const [encoding, body] = choose(asset, exchange.header("accept-encoding") ?? "")
  if (encoding !== undefined) exchange.set({ "content-encoding": encoding })
  exchange.sendNow(200, body, asset.type)
}

const prefix = "/dashboard"

/**
 * A handler of `/dashboard` and everything below. A path is looked up among the names of the files that were read at the
 * first request: nothing that it says reaches the file system.
 */
export const make = (root: string = folder): ((exchange: Exchange) => Effect.Effect<void, Problem>) => {
  let loading: Promise<Assets> | undefined
  const assets = Effect.tryPromise({
    try: () => (loading ??= load(root)),
    catch: () => {
      loading = undefined
      return notBuilt
    }
  })
  return (exchange) =>
    Effect.flatMap(assets, (known) => {
      const name = exchange.path.slice(prefix.length + 1)
      // The page names its files relative to itself, so that it works under any path of a proxy.
      if (name === "" && !/^[^?]*\/(?:\?|$)/.test(exchange.req.url ?? "")) {
        exchange.set({ location: "./dashboard/", "cache-control": "no-cache" })
        return exchange.send(308, "")
      }
      const asset = known.get(name === "" ? "index.html" : name)
      return asset === undefined ? Effect.fail(notFound) : Effect.sync(() => answer(exchange, asset))
    })
}
