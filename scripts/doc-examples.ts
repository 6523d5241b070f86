/**
 * Turns the TypeScript blocks of the documentation into programs: those in doc comments under `packages`, in
 * README.md and in `docs`. A block's info says what happens to it: `ts` is type-checked and run, `ts no-run`
 * is only type-checked. In a block, `expression // => value` asserts that both are equal.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { filesUnder } from "./files.ts"

export interface DocExample {
  /** Where it stands: `README.md:12`. */
  readonly name: string
  readonly code: string
  readonly run: boolean
}

const fence = /^( *)```ts\b([^\n]*)\n([^]*?)^ *```/gm

/** The blocks of a Markdown text; `firstLine` is the line of the file the text begins at. */
export const examplesInMarkdown = (file: string, text: string, firstLine = 1): ReadonlyArray<DocExample> =>
  [...text.matchAll(fence)].map((match) => {
    const [, indent, info, code] = match
    const line = firstLine + text.slice(0, match.index).split("\n").length - 1
    const word = info!.trim()
    if (word !== "" && word !== "no-run") {
      throw new Error(`${file}:${line}: a block is "ts" or "ts no-run", not "ts ${word}"`)
    }
    return { name: `${file}:${line}`, code: code!.replaceAll(new RegExp(`^${indent}`, "gm"), ""), run: word === "" }
  })

const docComment = /^[ \t]*\/\*\*[^]*?\*\//gm

/** The blocks of a source's doc comments. */
export const examplesInSource = (file: string, source: string): ReadonlyArray<DocExample> =>
  [...source.matchAll(docComment)].flatMap((comment) =>
    examplesInMarkdown(
      file,
      comment[0].replaceAll(/^[ \t]*\*(?!\/) ?/gm, ""),
      source.slice(0, comment.index).split("\n").length
    )
  )

/** Every block of a workspace, in the order of its files. */
export const docExamples = (root: string): ReadonlyArray<DocExample> => {
  const read = (file: string) => [relative(root, file), readFileSync(file, "utf8")] as const
  const readme = join(root, "README.md")
  return [
    ...[...(existsSync(readme) ? [readme] : []), ...filesUnder(join(root, "docs"), ".md")].flatMap((file) =>
      examplesInMarkdown(...read(file))
    ),
    ...filesUnder(join(root, "packages"), ".ts").flatMap((file) => examplesInSource(...read(file)))
  ]
}

const assertion = /^(\s*(?:(?:export )?(?:const|let) (\w+)[^=]*= )?)(.*\S)\s*\/\/ => (.+)$/
const printed = /^console\.log\((.*)\)$/

/** Replaces `expression // => value` by an assertion. Lines keep their numbers. */
export const withAssertions = (code: string): string =>
  code
    .split("\n")
    .map((line) => {
      const match = assertion.exec(line)
      if (match === null) return line
      const [, head, variable, expression, value] = match
      if (variable !== undefined) return `${head}${expression}; assertSame(${variable}, ${value})`
      return `${head};assertSame((${printed.exec(expression!)?.[1] ?? expression}), (${value}))`
    })
    .join("\n")

const support = `import * as Equal from "effect/Equal"
import { deepStrictEqual } from "node:assert/strict"

export const assertSame = (actual: unknown, expected: unknown): void => {
  if (!Equal.equals(actual, expected)) deepStrictEqual(actual, expected)
}
`

const configuration = {
  extends: "../tsconfig.base.json",
  compilerOptions: {
    noEmit: true,
    composite: false,
    declaration: false,
    declarationMap: false,
    rewriteRelativeImportExtensions: false,
    noUnusedLocals: false,
    noUnusedParameters: false
  },
  include: ["*.ts"]
}

/** The folder, under the workspace's root, that the programs are written to. */
const docExamplesFolder = ".doc-examples"

/** The program of the n-th block. */
export const programOf = (root: string, index: number): string =>
  join(root, docExamplesFolder, `example-${index + 1}.ts`)

/** Writes every block as a program, in place of those of an earlier run. */
export const writePrograms = (root: string, examples: ReadonlyArray<DocExample>): void => {
  const folder = join(root, docExamplesFolder)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  writeFileSync(join(folder, "support.ts"), support)
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(configuration))
  examples.forEach((example, index) => {
    // On the first line, so that line numbers in messages are those of the block.
    writeFileSync(programOf(root, index), `import { assertSame } from "./support.ts"; ${withAssertions(example.code)}`)
  })
}

/** Type-checks all programs at once; the compiler's complaints by the number of the block. */
export const typeErrors = (root: string): ReadonlyMap<number, ReadonlyArray<string>> => {
  const run = spawnSync("tsc", ["-p", join(docExamplesFolder, "tsconfig.json"), "--pretty", "false"], {
    cwd: root,
    encoding: "utf8"
  })
  if (run.error !== undefined) throw run.error
  const errors = new Map<number, Array<string>>()
  for (const line of run.stdout.split("\n")) {
    const match = /example-(\d+)\.ts(\(.*)$/.exec(line)
    if (match === null) continue
    const index = Number(match[1]) - 1
    errors.set(index, [...(errors.get(index) ?? []), match[2]!])
  }
  return errors
}
