/**
 * Reads the imports of a TypeScript file from its text. TypeScript 7 has no API to ask, and an import
 * declaration is regular enough once comments are out of the way.
 */

export interface Import {
  readonly specifier: string
  /** A type-only import is erased; under `verbatimModuleSyntax`, `import { type A }` is not. */
  readonly typeOnly: boolean
  readonly line: number
}

const stringOrComment = /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`)|\/\*[^]*?\*\/|\/\/[^\n]*/g

/** Replaces comments by blanks, so that what is left keeps its line. */
export const withoutComments = (source: string): string =>
  source.replace(stringOrComment, (text, literal?: string) => literal ?? text.replace(/[^\n]/g, " "))

const declaration = /^[ \t]*(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]*?\sfrom\s*)?"([^"]+)"/gm
const call = /(typeof\s+)?\bimport\(\s*"([^"]+)"\s*\)(\s*\.\s*[A-Z])?/g

const lineAt = (source: string, index: number): number => source.slice(0, index).split("\n").length

/** Every static import, re-export and `import("…")` of a source text, in order. */
export const importsOf = (source: string): ReadonlyArray<Import> => {
  const text = withoutComments(source)
  const found: Array<Import & { readonly at: number }> = []
  for (const match of text.matchAll(declaration)) {
    // The leading blank lines belong to the match: count from the keyword.
    const at = match.index + match[0].search(/\S/)
    found.push({ specifier: match[2]!, typeOnly: match[1] !== undefined, line: lineAt(text, at), at })
  }
  for (const match of text.matchAll(call)) {
    const typeOnly = match[3] !== undefined || match[1] !== undefined
    found.push({ specifier: match[2]!, typeOnly, line: lineAt(text, match.index), at: match.index })
  }
  return found.sort((a, b) => a.at - b.at).map(({ specifier, typeOnly, line }) => ({ specifier, typeOnly, line }))
}
