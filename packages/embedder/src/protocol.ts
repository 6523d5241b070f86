/**
 * What the threads say to each other.
 */

export interface Question {
  readonly id: number
  readonly texts: ReadonlyArray<string>
}

export type Answer =
  | { readonly id: number; readonly vectors: ReadonlyArray<Float32Array> }
  | { readonly id: number; readonly failure: string }
