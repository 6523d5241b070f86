/** What goes wrong in the demonstration: one fault of the upstream for each prompt, in turns. */

export interface Scene {
  /** The model of the upstream, on the first target. */
  readonly model: string
  /** What the provider does, for somebody who has never seen it. */
  readonly what: string
}

const scenes: ReadonlyArray<Scene> = [
  { model: "rate-limit-once", what: "429, too many requests: come back in a second" },
  { model: "error-500-once", what: "500, once" },
  { model: "cut-stream", what: "the connection breaks in the middle of the answer" },
  { model: "overloaded-529", what: "529, overloaded, for as long as one asks" },
  { model: "silence", what: "takes the request and never says a word" },
  { model: "good", what: "nothing: the provider is well" },
  { model: "stalled-stream", what: "stops in the middle and keeps the line open" },
  { model: "reset-before-headers", what: "resets the connection before it answers" },
  { model: "malformed-event", what: "a piece of the stream is garbage" },
  { model: "context-overflow", what: "400, the prompt does not fit this model" },
  { model: "slow-first-token:6000", what: "sends its headers, and the first word far too late" },
  { model: "wrong-content-type", what: "200, and a page of HTML in place of an answer" }
]

/** The scene of the n-th prompt, counted from 0. */
export const sceneOf = (index: number): Scene => scenes[index % scenes.length]!
