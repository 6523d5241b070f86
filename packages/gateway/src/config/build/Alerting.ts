/** Alerts of a configuration. They hear the events of all engines, through a place that a reload puts them into. */
import { Alerts, Remedy, Webhook } from "@breakwater/alerts"
import { type CircuitBreaker, Event } from "@breakwater/core"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type ConfigurationError, secretOf } from "../Load.ts"
import { type GatewayConfig, millisOf } from "../Schema.ts"
import type { AlertsConfig } from "../schema/Alerts.ts"
import { at } from "./Failure.ts"
import { type Kept, keyOf } from "./Kept.ts"

type Breakers = ReadonlyMap<string, Pick<CircuitBreaker.CircuitBreakerService, "forceOpen">>

/** Whom events are handed to, and the breakers in force. */
export interface Post {
  alerts: Alerts.AlertsService | undefined
  breakers: Breakers
}

/** The place of the alerts; a gateway that is put together without {@link layer} has one that hears nothing. */
const Place = Context.Reference<Post>("@breakwater/gateway/Alerts", {
  defaultValue: () => ({ alerts: undefined, breakers: new Map() })
})

/** Listens to the events, beside whoever listens already. */
export const layer: Layer.Layer<never> = Layer.effectContext(
  Effect.gen(function* () {
    const post: Post = { alerts: undefined, breakers: new Map() }
    const outer = yield* Event.EventSink
    const sink = (event: Event.PolicyEvent): void => {
      post.alerts?.handle(event)
      outer?.(event)
    }
    return Context.make(Place, post).pipe(Context.add(Event.EventSink, sink))
  })
)

const webhookOf = (hook: NonNullable<AlertsConfig["webhooks"]>[number], path: string) =>
  Effect.gen(function* () {
    const { allowHttp, format, key } = hook
    const url = yield* secretOf(hook.url, `${path}.url`)
    const secret = key === undefined ? undefined : yield* secretOf(key.secret, `${path}.key.secret`)
    return yield* at(
      path,
      ""
    )(
      Webhook.make({
        url,
        ...(format === undefined ? {} : { format }),
        ...(allowHttp === undefined ? {} : { allowHttp }),
        ...(key === undefined || secret === undefined ? {} : { key: { id: key.id, secret } })
      })
    )
  })

/** Every breaker that is in force then: a target may be asked by several routes. */
const holdOpen = ({ for: time, perHour, rules }: NonNullable<AlertsConfig["holdOpen"]>, post: Post): Remedy.Remedy => ({
  ...Remedy.openBreaker({
    rules,
    breaker: {
      forceOpen: (key) =>
        Effect.map(
          Effect.forEach([...post.breakers.values()], (breaker) => breaker.forceOpen(key)),
          (releases) => Effect.all(releases, { discard: true })
        )
    },
    ...(perHour === undefined ? {} : { perHour })
  }),
  ...(time === undefined ? {} : { maxFor: Duration.millis(millisOf(time)) })
})

const made = (config: AlertsConfig, post: Post) =>
  Effect.gen(function* () {
    const notify: Array<Effect.Effect<Effect.Success<ReturnType<typeof webhookOf>>>> = []
    for (const [index, hook] of (config.webhooks ?? []).entries()) {
      notify.push(Effect.succeed(yield* webhookOf(hook, `alerts.webhooks[${index}]`)))
    }
    const { every, remindEvery, rules } = config
    return yield* at(
      "alerts",
      ""
    )(
      Alerts.make({
        notify,
        ...(rules === undefined ? {} : { rules }),
        ...(every === undefined ? {} : { every: Duration.millis(millisOf(every)) }),
        ...(remindEvery === undefined ? {} : { remindEvery: Duration.millis(millisOf(remindEvery)) }),
        ...(config.holdOpen === undefined ? {} : { remedies: [holdOpen(config.holdOpen, post)] })
      })
    )
  })

/** The alerts of a configuration; a reload that does not change them changes nothing of what they know. */
export const make = (
  { alerts, http }: GatewayConfig,
  client: Context.Context<HttpClient.HttpClient>,
  kept: Kept
): Effect.Effect<Alerts.AlertsService | undefined, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    if (alerts === undefined) return undefined
    const post = yield* Place
    // They go with the pool that their webhooks use.
    return yield* kept.keep(keyOf("alerts", { alerts, http }), Effect.provide(made(alerts, post), client))
  })

/** Puts an engine's alerts and breakers in force. */
export const enter = (alerts: Alerts.AlertsService | undefined, breakers: Breakers): Effect.Effect<void> =>
  Effect.map(Effect.service(Place), (post) => {
    post.alerts = alerts
    post.breakers = breakers
  })
