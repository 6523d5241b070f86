/**
 * Answers that are kept in a file from one run to the next: the flags, and the cache they stand for.
 */
import { type Cache, CacheStore, LLMConfig, type Pricing, ResponseCache } from "@breakwater/core"
import type * as Config from "effect/Config"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { report, SettingError } from "./Failure.ts"

/** The flags. */
export const cacheFlags = {
  cache: Flag.String("cache").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("Keep answers in this file, and answer the same request from it, whatever its temperature"),
    Flag.optional
  ),
  cacheFor: Flag.String("cache-for").pipe(
    Flag.withMetavar("time"),
    Flag.withDescription("With --cache, how long an answer is kept (default: 1h)"),
    Flag.optional
  ),
  noCache: Flag.Boolean("no-cache").pipe(
    Flag.withDescription("With --cache, ask anew, and keep the new answer"),
    Flag.withDefault(false)
  )
}

/** The flags as they were given. */
export type Caching = {
  readonly [Name in keyof typeof cacheFlags]: (typeof cacheFlags)[Name] extends Flag.Flag<infer A> ? A : never
}

/** What the call says to the cache. */
export const controlsOf = ({ noCache }: Caching): Cache.CacheControls => (noCache ? { noCache } : {})

const wrong = (message: string) => Layer.effect(ResponseCache.ResponseCache, Effect.fail(new SettingError({ message })))

/** The cache of a file; made if it is not there. The database is loaded only for those who want one. */
export const layerCache = ({
  cache,
  cacheFor
}: Caching): Layer.Layer<ResponseCache.ResponseCache, SettingError | Config.ConfigError, Pricing.Pricing> => {
  if (Option.isNone(cache)) {
    return Option.isNone(cacheFor) ? ResponseCache.layerNoop : wrong("--cache-for is for --cache, which is missing")
  }
  const filename = cache.value
  if (filename.trim() === "") return wrong("--cache is empty; name a file")
  const ttl = Option.map(cacheFor, LLMConfig.parseDuration)
  if (Option.isSome(ttl) && ttl.value === undefined) {
    return wrong(
      `--cache-for is ${JSON.stringify(Option.getOrThrow(cacheFor))}; allowed: a time such as 30m, 12h or 7d`
    )
  }
  const store = Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("@breakwater/stores/sql")),
      ({ SqlCacheStore, Sqlite }) => SqlCacheStore.layer.pipe(Layer.provide(Sqlite.layer({ filename })))
    )
  ).pipe(
    Layer.catch((error) =>
      Layer.effect(
        CacheStore.CacheStore,
        Effect.fail(
          new SettingError({
            message: `--cache ${filename} cannot be used, so nothing was asked: ${report(error).message}`
          })
        )
      )
    )
  )
  return ResponseCache.layerShared({
    // Who names a file wants the same answer again, also from a model that would say something else.
    cacheable: () => true,
    ...(Option.isSome(ttl) ? { ttl: ttl.value! } : {})
  }).pipe(Layer.provide(store))
}
