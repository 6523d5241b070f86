/**
 * How a broken answer is joined to the text of another attempt: pure, so that every case can be tried.
 *
 * A target that accepts a prefill goes on from the partial answer. Another one starts over, and as much of its
 * text as repeats what was already handed on is dropped; if it does not repeat it, the two do not agree.
 */

/** What came of a piece of text: the part that is new, or the word that the texts disagree. */
type Joined = { readonly _tag: "text"; readonly text: string } | { readonly _tag: "disagrees" }

/** Joins one continuing attempt, piece by piece. */
export interface Joiner {
  readonly push: (delta: string) => Joined
  /** Whether everything handed on before has been repeated (or need not be). */
  readonly caughtUp: () => boolean
}

const text = (value: string): Joined => ({ _tag: "text", text: value })
const disagrees: Joined = { _tag: "disagrees" }

/** The part of a partial answer that may be sent as a prefill: providers refuse trailing white space. */
export const prefillText = (partial: string): string => partial.trimEnd()

/**
 * For an attempt that goes on from a prefill. White space that was cut from the end of the prefill is dropped
 * where the model writes it again.
 */
export const afterPrefill = (partial: string): Joiner => {
  let cut = partial.slice(prefillText(partial).length)
  return {
    caughtUp: () => true,
    push: (delta) => {
      if (cut.length === 0 || delta.length === 0) return text(delta)
      let same = 0
      while (same < cut.length && same < delta.length && cut[same] === delta[same]) same++
      cut = same === delta.length ? cut.slice(same) : ""
      return text(delta.slice(same))
    }
  }
}

/** For an attempt that starts over: its text must begin with `partial`, which is dropped. */
export const afterRestart = (partial: string): Joiner => {
  let matched = 0
  return {
    caughtUp: () => matched === partial.length,
    push: (delta) => {
      const due = partial.length - matched
      if (due === 0) return text(delta)
      const overlap = Math.min(due, delta.length)
      if (!partial.startsWith(delta.slice(0, overlap), matched)) return disagrees
      matched += overlap
      return text(delta.slice(overlap))
    }
  }
}
