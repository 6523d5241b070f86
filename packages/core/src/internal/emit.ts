/**
 * Handing events to whoever listens, from code that runs in a fiber.
 */
import * as Context from "effect/Context"
import { EventSink, type PolicyEvent } from "../domain/Event.ts"

/** Builds and hands on an event if the context, such as a fiber's, has a sink. A sink that throws is its own problem. */
export const emit = (from: { readonly context: Context.Context<never> }, event: () => PolicyEvent): void => {
  const sink = Context.get(from.context, EventSink)
  if (sink === undefined) return
  try {
    sink(event())
  } catch {
    // What a policy decided stands, whatever its observers do.
  }
}

type Sink = (event: PolicyEvent) => void

/** Two listeners as one. One that throws keeps nothing from the other. */
export const joined = (first: Sink, second: Sink | undefined): Sink =>
  second === undefined
    ? first
    : (event) => {
        try {
          first(event)
        } catch {
          // Its own problem.
        }
        second(event)
      }
