/** From what waits to an MLflow server: one run after another, each begun when there is something to say. */
import type { Event } from "@breakwater/core"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Client, MLflowError, Run, RunStatus } from "../MLflowClient.ts"
import { keyOf } from "./limits.ts"
import { type Batch, isEmpty, Outbox } from "./outbox.ts"
import { metricsOf, Totals } from "./totals.ts"

export interface Settings {
  readonly experiment: string
  readonly runName: string
  /** `Infinity` for one run. */
  readonly runMs: number
  readonly params: Readonly<Record<string, string>>
  readonly tags: Readonly<Record<string, string>>
  readonly calls: boolean
  readonly capacity: number
  readonly session: string
}

const sessionTag = "breakwater.session"

/** A run that is over, and what it has still to hear. */
interface Closing {
  readonly run: Run
  readonly status: RunStatus
  readonly endTime: number
  readonly outbox: Outbox
}

const parts = ({ metrics, params, tags }: Batch): ReadonlyArray<Batch> =>
  [
    { metrics, params: [], tags: [] },
    { metrics: [], params, tags: [] },
    { metrics: [], params: [], tags }
  ].filter((part) => !isEmpty(part))

const isGone = ({ code, status }: MLflowError): boolean => code === "RESOURCE_DOES_NOT_EXIST" || status === 404

/** The server refuses a whole batch for a step that is no whole number. */
const wholeStep = (step: number): number =>
  Number.isFinite(step) ? Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, Math.trunc(step))) : 0

const sizeOf = ({ metrics, params, tags }: Batch): number => metrics.length + params.length + tags.length

export class Tracking {
  outbox: Outbox
  /** Entries that the server took, and those that it refused for good. */
  sent = 0
  refused = 0
  lastError: string | undefined
  run: Run | undefined
  private readonly client: Client
  private readonly settings: Settings
  private readonly clock: Clock.Clock
  private readonly turn = Semaphore.makeUnsafe(1)
  private readonly asking = Semaphore.makeUnsafe(1)
  private readonly knownParams = new Set<string>()
  private experimentId: string | undefined
  private totals = new Totals()
  private steps = 0
  private runs = 0
  /** When the run began: by the clock on the wall, for the server, and by the monotonic one, for its end. */
  private begunMs: number | undefined
  private begunTickMs: number | undefined
  private closing: Closing | undefined
  /** A run may have been made without our having heard of it. */
  private uncertain = false
  private greeted = false
  private planTold = false
  private onWork: () => void = () => {}

  constructor(client: Client, settings: Settings, clock: Clock.Clock) {
    this.client = client
    this.settings = settings
    this.clock = clock
    this.outbox = new Outbox(settings.capacity)
    this.greet()
  }

  /** Calls `wake` whenever there is something new. */
  listen(wake: () => void): void {
    this.onWork = wake
  }

  /** Entries that are not sent yet. */
  get waiting(): number {
    return this.outbox.size + (this.closing?.outbox.size ?? 0)
  }

  readonly handle = (event: Event.PolicyEvent): void => {
    if (event.type === "request-started") {
      this.greet()
      if (this.planTold) return
      this.planTold = true
      this.param("targets", event.targets.join(", "))
      this.param("max_attempts", String(event.maxAttempts))
    } else if (event.type === "request-finished") {
      this.greet()
      this.begin(event.startedAt)
      this.totals.add(event)
      const step = this.steps++
      if (this.settings.calls) {
        for (const [key, value] of Object.entries(metricsOf(event))) this.metric(key, value, step)
      }
      this.onWork()
    }
  }

  metric(key: string, value: number, step = 0): void {
    this.greet()
    this.outbox.metric({ key, value, step: wholeStep(step), timestamp: this.wallMs() })
    this.onWork()
  }

  /** The first value of a run counts. */
  param(key: string, value: string): void {
    // By the name that the server sees: two keys may become one.
    const name = keyOf(key)
    if (this.knownParams.has(name)) return
    if (this.knownParams.size < 1_000) this.knownParams.add(name)
    this.outbox.param(key, value)
    this.onWork()
  }

  tag(key: string, value: string): void {
    this.outbox.tag(key, value)
    this.onWork()
  }

  /** The experiment's id; asked for until it is known, by one at a time: runs and spans want it at once. */
  readonly experiment: Effect.Effect<string, MLflowError> = Effect.suspend(() =>
    this.experimentId !== undefined ? Effect.succeed(this.experimentId) : this.asking.withPermits(1)(this.askExperiment)
  )

  /** Sends all that waits now, and begins another run when the time of this one is over. Fails at the first failure. */
  readonly flush: Effect.Effect<void, MLflowError> = Effect.suspend(() =>
    this.turn.withPermits(1)(
      Effect.andThen(
        Effect.suspend(() => this.sendWaiting),
        Effect.suspend(() => (this.isOver ? this.end("FINISHED") : Effect.void))
      )
    )
  ).pipe(
    Effect.tapError((error) =>
      Effect.sync(() => {
        this.lastError = error.message
      })
    )
  )

  /** Sends all that waits, and ends the run. */
  readonly finish = (status: RunStatus): Effect.Effect<void, MLflowError> =>
    this.turn.withPermits(1)(
      Effect.andThen(
        Effect.suspend(() => this.sendWaiting),
        Effect.suspend(() => this.end(status))
      )
    )

  /** Waits until the time of the run is over; for ever where there is no run, or no time. */
  readonly over: Effect.Effect<void> = Effect.suspend(() =>
    this.run === undefined || !Number.isFinite(this.settings.runMs)
      ? Effect.never
      : Effect.sleep(Math.max(0, this.settings.runMs - this.ageMs()))
  )

  /** The run there is, or a new one. */
  readonly ensureRun: Effect.Effect<Run, MLflowError> = Effect.suspend(() => {
    if (this.run !== undefined) return Effect.succeed(this.run)
    const session = `${this.settings.session}-${this.runs}`
    return Effect.flatMap(this.experiment, (experimentId) => {
      const found = this.uncertain
        ? this.client.findRun(experimentId, sessionTag, session)
        : Effect.succeed<Run | undefined>(undefined)
      const startTime = this.begin(this.wallMs())
      const create = Effect.suspend(() => {
        this.uncertain = true
        return this.client.createRun({
          experimentId,
          name: this.runs === 0 ? this.settings.runName : `${this.settings.runName}-${this.runs + 1}`,
          startTime,
          tags: { [sessionTag]: session, "mlflow.source.name": "breakwater", "mlflow.source.type": "LOCAL" }
        })
      })
      return Effect.map(
        Effect.flatMap(found, (run) => (run === undefined ? create : Effect.succeed(run))),
        (run) => {
          this.uncertain = false
          this.run = run
          this.onWork()
          return run
        }
      )
    })
  })

  private readonly askExperiment: Effect.Effect<string, MLflowError> = Effect.suspend(() =>
    this.experimentId !== undefined
      ? Effect.succeed(this.experimentId)
      : Effect.tap(this.client.experiment(this.settings.experiment), (id) =>
          Effect.sync(() => {
            this.experimentId = id
          })
        )
  )

  private get isOver(): boolean {
    return this.run !== undefined && this.ageMs() >= this.settings.runMs
  }

  /** The first thing that happens begins the run. */
  private begin(wallMs: number): number {
    this.begunTickMs ??= this.tickMs()
    return (this.begunMs ??= wallMs)
  }

  private ageMs(): number {
    return this.tickMs() - (this.begunTickMs ?? this.tickMs())
  }

  private tickMs(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private wallMs(): number {
    return Math.round(this.clock.currentTimeMillisUnsafe())
  }

  /** What every run begins with. Another run is begun by the first thing that is said of it. */
  private greet(): void {
    if (this.greeted) return
    this.greeted = true
    for (const [key, value] of Object.entries(this.settings.params)) this.param(key, value)
    for (const [key, value] of Object.entries(this.settings.tags)) this.tag(key, value)
  }

  /** What comes in meanwhile waits for the next time: calls that never end must not keep it sending for ever. */
  private readonly sendWaiting: Effect.Effect<void, MLflowError> = Effect.suspend(() => {
    const current = Effect.suspend(() => {
      const { outbox } = this
      if (outbox.size > 0) return this.sendFrom(outbox, this.ensureRun, outbox.size)
      // Sums are something to say, too.
      return this.totals.count > 0 ? Effect.asVoid(this.ensureRun) : Effect.void
    })
    return this.closing === undefined ? current : Effect.andThen(this.close(this.closing), current)
  })

  private sendFrom(
    outbox: Outbox,
    to: Effect.Effect<Run, MLflowError>,
    left: number
  ): Effect.Effect<void, MLflowError> {
    if (left <= 0 || outbox.size === 0) return Effect.void
    return Effect.flatMap(to, (run) => {
      const batch = outbox.next()
      return Effect.flatMap(this.send(run, batch), () => {
        outbox.sent(batch)
        return this.sendFrom(outbox, to, left - sizeOf(batch))
      })
    })
  }

  /** What the server refuses is tried once in its parts; a part that it refuses still is given up. */
  private send(run: Run, batch: Batch): Effect.Effect<void, MLflowError> {
    const took = Effect.sync(() => {
      this.sent += sizeOf(batch)
    })
    return Effect.matchEffect(this.client.logBatch(run.runId, batch), {
      onSuccess: () => took,
      onFailure: (error) => {
        if (isGone(error)) {
          this.gone(run)
          return Effect.fail(error)
        }
        const isRefusal = error.status === 400 || error.status === 413 || error.status === 422
        if (error.retryable || !isRefusal) return Effect.fail(error)
        const smaller = parts(batch)
        if (smaller.length > 1) return Effect.forEach(smaller, (part) => this.send(run, part), { discard: true })
        return Effect.sync(() => {
          this.refused += sizeOf(batch)
          this.lastError = error.message
        })
      }
    })
  }

  /** Somebody has deleted the run: another one is begun. What one that was over had still to hear is lost. */
  private gone(run: Run): void {
    if (this.closing?.run === run) {
      this.refused += this.closing.outbox.size
      this.closing = undefined
    }
    if (this.run !== run) return
    this.run = undefined
    this.begunMs = this.begunTickMs = undefined
    this.runs++
  }

  /** From here on what happens belongs to the next run; this one gets what is left of its own. */
  private end(status: RunStatus): Effect.Effect<void, MLflowError> {
    const { outbox, run, totals } = this
    if (run === undefined) return Effect.void
    const endTime = this.wallMs()
    for (const [key, value] of Object.entries(totals.metrics())) {
      outbox.metric({ key, value, timestamp: endTime, step: 0 })
    }
    this.closing = { run, status, endTime, outbox }
    this.outbox = new Outbox(this.settings.capacity, outbox.dropped)
    this.run = undefined
    this.begunMs = this.begunTickMs = undefined
    this.runs++
    this.steps = 0
    this.totals = new Totals()
    this.knownParams.clear()
    this.greeted = this.planTold = false
    return this.close(this.closing)
  }

  private close(closing: Closing): Effect.Effect<void, MLflowError> {
    const { endTime, outbox, run, status } = closing
    return this.sendFrom(outbox, Effect.succeed(run), outbox.size).pipe(
      Effect.andThen(this.client.updateRun(run.runId, status, endTime)),
      Effect.tapError((error) => Effect.sync(() => (isGone(error) ? this.gone(run) : undefined))),
      Effect.andThen(() => {
        this.closing = undefined
        return Effect.void
      })
    )
  }
}
