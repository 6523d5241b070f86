/** From what waits to an MLflow server: one run after another, each begun when there is something to say. */
import type { Event } from "@breakwater/core"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Client, MLflowError, Run, RunStatus } from "../MLflowClient.ts"
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

const parts = ({ metrics, params, tags }: Batch): ReadonlyArray<Batch> =>
  [
    { metrics, params: [], tags: [] },
    { metrics: [], params, tags: [] },
    { metrics: [], params: [], tags }
  ].filter((part) => !isEmpty(part))

const sizeOf = ({ metrics, params, tags }: Batch): number => metrics.length + params.length + tags.length

export class Tracking {
  readonly outbox: Outbox
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
  private begunMs: number | undefined
  /** A run may have been made without our having heard of it. */
  private uncertain = false
  private greeted = false
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

  readonly handle = (event: Event.PolicyEvent): void => {
    if (event.type === "request-started") {
      if (this.knownParams.has("targets")) return
      this.param("targets", event.targets.join(", "))
      this.param("max_attempts", String(event.maxAttempts))
    } else if (event.type === "request-finished") {
      this.greet()
      this.begunMs ??= event.startedAt
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
    this.outbox.metric({ key, value, step, timestamp: this.wallMs() })
    this.onWork()
  }

  /** The first value of a run counts. */
  param(key: string, value: string): void {
    if (this.knownParams.has(key)) return
    if (this.knownParams.size < 1_000) this.knownParams.add(key)
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

  /** Sends all that waits, and begins another run when the time of this one is over. Fails at the first failure. */
  readonly flush: Effect.Effect<void, MLflowError> = Effect.suspend(() =>
    this.turn.withPermits(1)(
      Effect.andThen(
        Effect.suspend(() => this.sendAll),
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
        this.sendAll,
        Effect.suspend(() => this.end(status))
      )
    )

  /** The run there is, or a new one. */
  readonly ensureRun: Effect.Effect<Run, MLflowError> = Effect.suspend(() => {
    if (this.run !== undefined) return Effect.succeed(this.run)
    const session = `${this.settings.session}-${this.runs}`
    return Effect.flatMap(this.experiment, (experimentId) => {
      const found = this.uncertain
        ? this.client.findRun(experimentId, sessionTag, session)
        : Effect.succeed<Run | undefined>(undefined)
      const startTime = (this.begunMs ??= this.wallMs())
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
    return this.run !== undefined && this.begunMs !== undefined && this.wallMs() - this.begunMs >= this.settings.runMs
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

  private readonly sendAll: Effect.Effect<void, MLflowError> = Effect.suspend(() =>
    this.outbox.size === 0
      ? Effect.void
      : Effect.flatMap(this.ensureRun, (run) => Effect.andThen(this.sendNext(run), this.sendAll))
  )

  private sendNext(run: Run): Effect.Effect<void, MLflowError> {
    const batch = this.outbox.next()
    return Effect.flatMap(this.send(run, batch), () =>
      Effect.sync(() => {
        this.outbox.sent(batch)
      })
    )
  }

  /** What the server refuses is tried once in its parts; a part that it refuses still is given up. */
  private send(run: Run, batch: Batch): Effect.Effect<void, MLflowError> {
    const took = Effect.sync(() => {
      this.sent += sizeOf(batch)
    })
    return Effect.matchEffect(this.client.logBatch(run.runId, batch), {
      onSuccess: () => took,
      onFailure: (error) => {
        if (error.code === "RESOURCE_DOES_NOT_EXIST" || error.status === 404) {
          // Somebody has deleted the run: another one is begun.
          this.run = undefined
          this.begunMs = undefined
          this.runs++
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

  private end(status: RunStatus): Effect.Effect<void, MLflowError> {
    const { run, totals } = this
    if (run === undefined) return Effect.void
    const timestamp = this.wallMs()
    const metrics = Object.entries(totals.metrics()).map(([key, value]) => ({ key, value, timestamp, step: 0 }))
    return Effect.andThen(
      this.send(run, { metrics, params: [], tags: [] }),
      Effect.andThen(this.client.updateRun(run.runId, status, timestamp), () => {
        this.run = undefined
        this.begunMs = undefined
        this.runs++
        this.steps = 0
        this.totals = new Totals()
        this.knownParams.clear()
        this.greeted = false
        return Effect.void
      })
    )
  }
}
