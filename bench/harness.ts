/**
 * How the benchmarks measure.
 *
 * A file of this folder is one benchmark. Its default export is a `Benchmark`: an Effect that prepares the works and
 * is closed when they are measured. `run.ts` finds the files by itself.
 *
 * - The subjects of a work take turns in short samples, round after round, so that a slow moment of the machine hits
 *   all of them; the median over the rounds counts. Samples are shorter than the slices of a busy machine's scheduler,
 *   so that most of them are whole.
 * - Each subject is first run until one sample takes long enough for the clock; that is the warm-up, too.
 * - A subject is measured against a bare one: the same loop, in the same way of waiting, without the library.
 * - Every result goes into a variable that is exported, so that no engine may leave the work out.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** One way to do a work. */
export interface Subject {
  readonly subject: string
  /** Whether it is somebody else's. */
  readonly peer: boolean
  /** The subject that does nothing beside the work itself. Left out: this one is bare. */
  readonly bare?: string
  /** Does the work so many times, one after the other, and answers with the nanoseconds it took. */
  readonly run: (times: number) => Promise<number>
}

/** The same work, done by several subjects. */
export interface Work {
  readonly work: string
  /** What is counted: a call, a part of a stream, a megabyte. Default: `call`. */
  readonly unit?: string
  /** How many of them one run does. Default: 1. */
  readonly unitsPerRun?: number
  readonly subjects: ReadonlyArray<Subject>
}

/** A work that measures itself, in processes of their own for one. */
export interface Survey {
  readonly work: string
  readonly unit?: string
  readonly survey: (settings: Settings) => Promise<ReadonlyArray<Row>>
}

/** What a file of this folder exports as its default. */
export type Benchmark<W extends Work | Survey = Work> = Effect.Effect<ReadonlyArray<W>, unknown, Scope.Scope>

/** One line of the result. Times are of one unit of the work. */
export interface Row {
  readonly work: string
  readonly subject: string
  readonly medianNs: number
  readonly overBareNs: number
  readonly opsPerSecond: number
  readonly peer: boolean
  /** What is no time of one unit, by its name and unit. */
  readonly figures?: Readonly<Record<string, number>>
}

// --- the loops ----------------------------------------------------------------------------------------------------

/** The latest result of any subject. */
export let sink: unknown

const nowNs = (): number => Number(process.hrtime.bigint())

/** An effect again and again in one fiber, made anew each time. It must not fail. */
export const ofEffect =
  (make: () => Effect.Effect<unknown>) =>
  (times: number): Promise<number> =>
    Effect.runPromise(
      Effect.suspend(() => {
        let left = times
        const start = nowNs()
        return Effect.map(
          Effect.whileLoop({
            while: () => left-- > 0,
            body: make,
            step: (value) => {
              sink = value
            }
          }),
          () => nowNs() - start
        )
      })
    )

/** The same for an effect whose failure is part of the work. */
export const ofFailing = (make: () => Effect.Effect<unknown, unknown>) =>
  ofEffect(() => Effect.matchEffect(make(), { onFailure: Effect.succeed, onSuccess: Effect.succeed }))

/** A promise awaited again and again; its rejection is part of the work. */
export const ofPromise =
  (call: () => Promise<unknown>) =>
  async (times: number): Promise<number> => {
    const start = nowNs()
    for (let index = 0; index < times; index++) {
      try {
        sink = await call()
      } catch (error) {
        sink = error
      }
    }
    return nowNs() - start
  }

/** A plain function again and again. */
export const ofSync =
  (call: () => unknown) =>
  (times: number): Promise<number> => {
    const start = nowNs()
    for (let index = 0; index < times; index++) sink = call()
    return Promise.resolve(nowNs() - start)
  }

// --- measuring ----------------------------------------------------------------------------------------------------

export interface Settings {
  readonly rounds: number
  /** How long one sample of one subject takes, about. */
  readonly sampleMs: number
  /** How long a subject is run before it counts. */
  readonly warmMs: number
}

export const full: Settings = { rounds: 81, sampleMs: 2.5, warmMs: 250 }

/** Shows that everything runs. The numbers mean little. */
export const short: Settings = { rounds: 3, sampleMs: 1, warmMs: 3 }

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Warms a subject up, and finds how many runs make one sample. */
const calibrate = async (subject: Subject, settings: Settings): Promise<number> => {
  let times = 1
  let spentNs = 0
  while (true) {
    const tookNs = await subject.run(times)
    spentNs += tookNs
    const wanted = settings.sampleMs * 1e6
    if (tookNs >= wanted / 2 && spentNs >= settings.warmMs * 1e6) {
      return Math.max(1, Math.round((times * wanted) / tookNs))
    }
    if (tookNs < wanted) times *= 2
  }
}

const round = (value: number): number => (Math.abs(value) < 100 ? Math.round(value * 10) / 10 : Math.round(value))

/** Measures the subjects of one work in turns. */
export const measure = async (work: Work, settings: Settings): Promise<ReadonlyArray<Row>> => {
  const units = work.unitsPerRun ?? 1
  const samples = work.subjects.map((): Array<number> => [])
  const times: Array<number> = []
  for (const subject of work.subjects) times.push(await calibrate(subject, settings))
  for (let index = 0; index < settings.rounds; index++) {
    for (let at = 0; at < work.subjects.length; at++) {
      // Every round begins with another subject, so that none always runs after the same one.
      const turn = (at + index) % work.subjects.length
      samples[turn]!.push((await work.subjects[turn]!.run(times[turn]!)) / times[turn]! / units)
    }
  }
  const medians = new Map(work.subjects.map((each, at) => [each.subject, median(samples[at]!)]))
  return work.subjects.map(({ bare, peer, subject }): Row => {
    const took = medians.get(subject)!
    const without = bare === undefined ? took : medians.get(bare)
    if (without === undefined) throw new Error(`${work.work}: ${subject} is measured against ${bare}, which is none`)
    return {
      work: work.work,
      subject,
      medianNs: round(took),
      overBareNs: round(took - without),
      opsPerSecond: round(1e9 / took),
      peer
    }
  })
}

/** A bare effect and a bare promise, to measure others against. */
export const bareEffect = "bare effect"
export const barePromise = "bare promise"
