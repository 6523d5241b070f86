/**
 * A store as last seen. One that fails once, or so many times in a row, is lost: from then on it is not asked, so that
 * no call waits for it, but for one call at a time after pauses that double.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { StoreError } from "../errors/LLMError.ts"
import { emit } from "./emit.ts"
import { clockOf, monotonicMs } from "./time.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

export interface StoreWatchSettings {
  readonly store: string
  readonly mode: "fail-closed" | "fail-open" | "local"
  readonly firstMs: number
  readonly longestMs: number
  /** Failures in a row after which the store is lost. Default 1. */
  readonly failures?: number
}

/** Knows whether a store is lost, and tells when that changes. */
export class StoreWatch {
  private lost: { readonly sinceMs: number; error: StoreError; pauseMs: number; probeAtMs: number } | undefined
  private probing = false
  private inARow = 0
  private readonly settings: StoreWatchSettings

  constructor(settings: StoreWatchSettings) {
    this.settings = settings
  }

  get isLost(): boolean {
    return this.lost !== undefined
  }

  /** The store's answer, or `instead`. */
  ask<A>(
    effect: Effect.Effect<A, StoreError>,
    instead: (error: StoreError) => Effect.Effect<A, StoreError>
  ): Effect.Effect<A, StoreError> {
    return Effect.withFiber((fiber) => {
      const lost = this.lost
      if (lost === undefined) {
        return Effect.catch(this.inARow === 0 ? effect : this.forgetting(effect), (error) => {
          this.failed(fiber, error)
          return instead(error)
        })
      }
      if (this.probing || monotonicMs(clockOf(fiber)) < lost.probeAtMs) return instead(lost.error)
      return this.probe(fiber, lost.error, effect, instead)
    })
  }

  /** Failures are in a row when nothing that was asked after the first of them has succeeded. */
  private forgetting<A>(effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> {
    return Effect.map(effect, (value) => {
      this.inARow = 0
      return value
    })
  }

  private failed(fiber: AnyFiber, error: StoreError): void {
    if (++this.inARow >= (this.settings.failures ?? 1)) this.lose(fiber, error)
  }

  private probe<A>(
    fiber: AnyFiber,
    known: StoreError,
    effect: Effect.Effect<A, StoreError>,
    instead: (error: StoreError) => Effect.Effect<A, StoreError>
  ): Effect.Effect<A, StoreError> {
    let probes = false
    // Chosen only when its end is sure to be heard: the fiber may be interrupted, or give way to another, on the way.
    const looking = Effect.suspend(() => {
      if (this.probing) return instead(known)
      this.probing = probes = true
      return effect
    })
    const tried = Effect.onExit(looking, (exit) =>
      Effect.sync(() => {
        if (!probes) return
        this.probing = false
        if (exit._tag === "Success") this.found(fiber)
      })
    )
    return Effect.catch(tried, (error) => {
      if (!probes) return Effect.fail(error)
      if (this.lost !== undefined) {
        this.lost.error = error
        this.lost.pauseMs = Math.min(this.settings.longestMs, this.lost.pauseMs * 2)
        this.lost.probeAtMs = monotonicMs(clockOf(fiber)) + this.lost.pauseMs
      }
      return instead(error)
    })
  }

  /** Of many calls that were under way when the store was lost, the first to fail tells it. */
  private lose(fiber: AnyFiber, error: StoreError): void {
    if (this.lost !== undefined) return
    const nowMs = monotonicMs(clockOf(fiber))
    const { firstMs, mode, store } = this.settings
    this.lost = { sinceMs: nowMs, error, pauseMs: firstMs, probeAtMs: nowMs + firstMs }
    emit(fiber, () => ({ type: "store-lost", store, mode, error }))
  }

  private found(fiber: AnyFiber): void {
    const lost = this.lost
    if (lost === undefined) return
    this.lost = undefined
    this.inARow = 0
    const lostMs = monotonicMs(clockOf(fiber)) - lost.sinceMs
    emit(fiber, () => ({ type: "store-recovered", store: this.settings.store, mode: this.settings.mode, lostMs }))
  }
}
