/**
 * Watches what the policies do and says when somebody should know: objectives whose error budget burns, open circuits,
 * spent budgets, lost stores.
 *
 * **When to use**
 *
 * Use it where no Prometheus watches, or beside one: the same rules, in the process, with an incident that says what
 * happened.
 *
 * **Details**
 *
 * It hears the events of everything that is given its {@link layer}, and looks at its rules every ten seconds. An alert
 * is pending for as long as its rule says, then fires, and is resolved when it has been over for a minute. What fires
 * is told once, again as a reminder every four hours, and once more when it is resolved. Memory is bounded by the
 * rules, not by the calls; a call pays for a few additions.
 *
 * **Gotchas**
 *
 * Windows begin with the process. A burn rate is judged only after its short window has been lived through.
 *
 * **Example** (An alert for failing calls)
 *
 * ```ts
 * import { Alerts } from "@breakwater/alerts"
 * import { LLM, LLMProvider } from "@breakwater/core"
 * import { Failures, ScriptedProvider } from "@breakwater/testing"
 * import { Effect, Layer } from "effect"
 *
 * const llm = LLM.layerPreset("strict", { targets: ["demo/any"] }).pipe(
 *   Layer.provide(LLMProvider.layer(
 *     ScriptedProvider.layer({ name: "demo", script: [ScriptedProvider.fail(Failures.authentication())] })
 *   ))
 * )
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.ignore(LLM.generateText("Hello?"))
 *   const alerts = yield* Alerts.Alerts
 *   yield* alerts.evaluate
 *   const { firing, incidents } = yield* alerts.snapshot
 *   return [firing[0]?.id, incidents[0]?.causes[0]?.name]
 * }).pipe(
 *   Effect.provide(llm.pipe(Layer.provideMerge(
 *     Alerts.layer({ rules: [{ kind: "error-ratio", name: "failing", ratio: 0.5, minimumCalls: 1 }] })
 *   )))
 * )
 *
 * await Effect.runPromise(program) // => ["failing", "credentials"]
 * ```
 */
import { Event, Money, Options as Checks } from "@breakwater/core"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Incident } from "./Incident.ts"
import { Book } from "./internal/book.ts"
import { type Alert, Evaluator } from "./internal/evaluator.ts"
import { Outbox } from "./internal/outbox.ts"
import * as Remedies from "./internal/remedies.ts"
import type * as Notifier from "./Notifier.ts"
import * as Remedy from "./Remedy.ts"
import * as Rules from "./Rules.ts"

export type { Alert, Change } from "./internal/evaluator.ts"
export type { RemedyEvent } from "./internal/remedies.ts"

/** What happened, for whoever wants to keep it. `at` is in milliseconds since 1970. */
export type AlertRecord = { readonly at: number } & (
  | { readonly type: "alert-pending" | "alert-firing" | "alert-resolved" | "alert-cleared"; readonly alert: Alert }
  | { readonly type: "incident-opened" | "incident-closed"; readonly incident: Incident }
  | Remedies.RemedyEvent
)

/** Options of {@link make}. `R` is what the notifiers need. */
export interface Options<R = never> {
  /** What is watched. Default: `Rules.recommended`. */
  readonly rules?: ReadonlyArray<Rules.Rule>
  /** How often the rules are looked at, above zero. Default 10 seconds. */
  readonly every?: Duration.Input
  /** What fires for longer than this is told again. Default 4 hours. */
  readonly remindEvery?: Duration.Input
  /** Who is told: `Webhook.make({ … })`, `Notifier.make({ … })`. Default: nobody. */
  readonly notify?: ReadonlyArray<Effect.Effect<Notifier.Notifier, Config.ConfigError, R>>
  /** What is done by itself. Default: nothing. */
  readonly remedies?: ReadonlyArray<Remedy.Remedy>
  /** Called at once for every record. Must be quick; one that throws harms nobody. */
  readonly onRecord?: (record: AlertRecord) => void
}

/** Defaults of {@link make}. */
export const defaults = { every: "10 seconds", remindEvery: "4 hours" } as const

/** Alerts that are not told, and for which nothing is done, for a while. */
export interface Silence {
  readonly id: string
  /** Names a rule; default: all. */
  readonly rule?: string
  /** A key of it; default: all. */
  readonly key?: string
  /** Milliseconds since 1970. */
  readonly until: number
  readonly comment: string
}

/** A rule and how it stands. */
export interface RuleState {
  readonly name: string
  readonly kind: Rules.Kind
  readonly state: "inactive" | "pending" | "firing"
  readonly rule: Rules.Rule
}

/** Everything there is to see, in plain data that goes into JSON as it is. */
export interface Snapshot {
  readonly rules: ReadonlyArray<RuleState>
  readonly firing: ReadonlyArray<Alert & { readonly silenced: boolean }>
  readonly pending: ReadonlyArray<Alert>
  /** The open one first, then the last fifty that were closed. */
  readonly incidents: ReadonlyArray<Incident>
  readonly silences: ReadonlyArray<Silence>
  readonly notifiers: ReadonlyArray<Notifier.Stats>
}

export interface AlertsService {
  /** Takes an event; the Layer puts this in place. Never throws, never waits. */
  readonly handle: (event: Event.PolicyEvent) => void
  /** Looks at the rules now. */
  readonly evaluate: Effect.Effect<void>
  readonly snapshot: Effect.Effect<Snapshot>
  /** Silences alerts for a time, above zero. What still fires afterwards is told then. */
  readonly silence: (options: {
    readonly rule?: string
    readonly key?: string
    readonly for: Duration.Input
    readonly comment?: string
  }) => Effect.Effect<Silence, Config.ConfigError>
  /** Ends a silence before its time. */
  readonly unsilence: (id: string) => Effect.Effect<void>
  /** Adds a remedy for as long as the scope is open: for breakers that are made after the alerts. */
  readonly withRemedy: (remedy: Remedy.Remedy) => Effect.Effect<void, Config.ConfigError, Scope.Scope>
}

/** The alerts in the context. */
export class Alerts extends Context.Service<Alerts, AlertsService>()("@breakwater/alerts/Alerts") {}

/** Silences at once at most; the one that ends first gives way. */
const maxSilences = 100

const nanosOf = (dollars: string): number => Number(Money.parse(dollars) ?? 0n)

/** A silence, and when it ends by the monotonic clock: nobody means to silence alerts for a day longer by setting a clock. */
interface Silencing {
  readonly silence: Silence
  readonly untilMs: number
}

const silenceApplies = ({ silence, untilMs }: Silencing, alert: Alert, nowMs: number): boolean =>
  nowMs < untilMs &&
  (silence.rule === undefined || silence.rule === alert.rule) &&
  (silence.key === undefined || silence.key === alert.key)

/**
 * Alerts that hear nothing until somebody calls `handle`; {@link layer} does.
 *
 * Fails with a `ConfigError` for a wrong option or rule. The scope ends the looking, the notifiers and the remedies.
 */
export const make = <R = never>(
  options: Options<R> = {}
): Effect.Effect<AlertsService, Config.ConfigError, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function* () {
    const { every = defaults.every, onRecord, remedies = [], remindEvery = defaults.remindEvery } = options
    const rules = yield* Rules.decode(options.rules ?? Rules.recommended)
    yield* Checks.validate([
      Checks.positiveDuration("every", every),
      Checks.positiveDuration("remindEvery", remindEvery)
    ])
    const clock = yield* Clock.Clock
    const now = () => ({
      ms: Number(clock.monotonicTimeNanosUnsafe() / 1_000n) / 1_000,
      wallMs: clock.currentTimeMillisUnsafe()
    })
    const prefix = `inc-${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
    const evaluator = new Evaluator(rules, nanosOf, now())
    const book = new Book(prefix)
    let silences: ReadonlyArray<Silencing> = []
    let silenceCount = 0
    const silenced = (alert: Alert, nowMs: number) => silences.some((each) => silenceApplies(each, alert, nowMs))
    const record = (entry: AlertRecord): void => {
      try {
        onRecord?.(entry)
      } catch {
        // A listener that fails harms nobody.
      }
    }

    const notifiers: Array<Notifier.Notifier> = []
    for (const notifier of options.notify ?? []) notifiers.push(yield* notifier)
    const acting = yield* Remedies.make((event) => {
      const at = now()
      book.line(at, `${event.type.replaceAll("-", " ")}: ${event.remedy} for ${event.alert}`)
      record({ at: at.wallMs, ...event })
    })
    for (const remedy of remedies) {
      yield* Remedy.check(remedy)
      acting.add(remedy)
    }
    const outbox = new Outbox(notifiers, Checks.millisOf(remindEvery)!, acting)

    const evaluateNow = (): void => {
      const at = now()
      const changes = evaluator.tick(at)
      const incidents = book.changes(at, changes)
      for (const { alert, type } of changes) record({ at: at.wallMs, type: `alert-${type}`, alert })
      for (const { incident, type } of incidents) record({ at: at.wallMs, type: `incident-${type}`, incident })
      const closed = incidents.findLast(({ type }) => type === "closed")?.incident
      outbox.update(at, evaluator.alerts(), changes, (alert) => silenced(alert, at.ms), book.current(at) ?? closed)
    }
    // Whatever goes wrong at one look, there is a next one.
    const look = Effect.catchCause(Effect.sync(evaluateNow), (cause) =>
      Effect.logError("The rules of alerts could not be looked at", cause)
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(every), look)))

    return {
      handle: (event) => {
        try {
          const at = now()
          evaluator.event(at, event)
          book.event(at, event)
        } catch {
          // What is no event of the library is none of ours; whoever listens beside goes on hearing.
        }
      },
      evaluate: look,
      snapshot: Effect.sync(() => {
        const at = now()
        const alerts = evaluator.alerts()
        const firing = alerts.filter(({ state }) => state === "firing")
        const pending = alerts.filter(({ state }) => state === "pending")
        const stateOf = (name: string): RuleState["state"] =>
          firing.some(({ rule }) => rule === name)
            ? "firing"
            : pending.some(({ rule }) => rule === name)
              ? "pending"
              : "inactive"
        return {
          rules: rules.map((rule) => ({ name: rule.name, kind: rule.kind, state: stateOf(rule.name), rule })),
          firing: firing.map((alert) => ({ ...alert, silenced: silenced(alert, at.ms) })),
          pending,
          incidents: book.all(at),
          silences: silences
            .filter(({ untilMs }) => at.ms < untilMs)
            .map(({ silence, untilMs }) => ({ ...silence, until: Math.round(at.wallMs + untilMs - at.ms) })),
          notifiers: notifiers.map((notifier) => notifier.stats())
        }
      }),
      silence: ({ comment = "", for: time, key, rule }) =>
        Effect.map(Checks.validate([Checks.positiveDuration("for", time)]), () => {
          const at = now()
          const lastsMs = Checks.millisOf(time)!
          const silence: Silence = {
            id: `silence-${++silenceCount}`,
            ...(rule === undefined ? {} : { rule }),
            ...(key === undefined ? {} : { key }),
            until: Math.round(at.wallMs + lastsMs),
            comment: comment.slice(0, 500)
          }
          const kept = silences.filter(({ untilMs }) => at.ms < untilMs).sort((a, b) => b.untilMs - a.untilMs)
          silences = [{ silence, untilMs: at.ms + lastsMs }, ...kept.slice(0, maxSilences - 1)]
          return silence
        }),
      unsilence: (id) =>
        Effect.sync(() => {
          silences = silences.filter(({ silence }) => silence.id !== id)
        }),
      withRemedy: (remedy) =>
        Effect.andThen(
          Remedy.check(remedy),
          Effect.acquireRelease(
            Effect.sync(() => acting.add(remedy)),
            () => acting.remove(remedy)
          )
        )
    }
  }) as Effect.Effect<AlertsService, Config.ConfigError, Exclude<R, Scope.Scope> | Scope.Scope>

/**
 * Alerts of everything that is given this Layer. Another listener that is already in place goes on hearing the events.
 * Policies that tell events from behind a call (breakers, stores) take their listener when they are made: build them on
 * this Layer (`Layer.provideMerge`).
 */
export const layer = <R = never>(
  options: Options<R> = {}
): Layer.Layer<Alerts, Config.ConfigError, Exclude<R, Scope.Scope>> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const outer = yield* Event.EventSink
      const alerts = yield* make(options)
      return Context.make(Alerts, alerts).pipe(
        Context.add(Event.EventSink, (event) => {
          alerts.handle(event)
          outer?.(event)
        })
      )
    })
  ) as Layer.Layer<Alerts, Config.ConfigError, Exclude<R, Scope.Scope>>
