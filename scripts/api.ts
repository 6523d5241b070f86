/**
 * Writes the public API of every package as text, from the declarations the compiler emits, so that a review
 * sees it change.
 *
 * `npm run api` writes `api/<package>.api.txt`; `npm run lint:api` fails if the checked-in text differs.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { type Package, packagesOf, workspaceRoot } from "./files.ts"
import { withoutComments } from "./imports.ts"

const statementStart = /^(?=(?:export|declare|import|interface|type|class|const|function|abstract|namespace)\b)/m
const reexport = /^export (?:\* as (\w+)|(\*)|(?:type )?\{([^}]*)\}) from "(\.[^"]+)";?$/

/** The file a declaration means by a relative specifier: `./A.ts` and `./A.js` are both `A.d.ts` there. */
const declarationFile = (from: string, specifier: string): string =>
  resolve(dirname(from), specifier).replace(/\.[jt]s$/, ".d.ts")

const statementsOf = (file: string): ReadonlyArray<string> =>
  withoutComments(readFileSync(file, "utf8"))
    .split(statementStart)
    .map((statement) =>
      statement
        .split("\n")
        .map((line) => line.trimEnd())
        .filter((line) => line !== "")
        .join("\n")
    )
    .filter((statement) => statement !== "" && statement !== "export {};")

/** Names that several statements share (a type and its value, overloads) keep the order they are written in. */
const nameOf = (statement: string): string =>
  /^(?:export |declare |default |abstract )*(?:interface|type|class|const|function|namespace|let|var|enum) (\w+)/.exec(
    statement
  )?.[1] ?? statement

/** The declarations that can be reached from a declaration file by its exports, under headings. */
export const describeApi = (file: string, heading: string): string => {
  const lines: Array<string> = []
  const written = new Map<string, string>()
  const visit = (current: string, name: string): void => {
    const earlier = written.get(current)
    if (earlier !== undefined) {
      lines.push(`# ${name} = ${earlier}`, "")
      return
    }
    written.set(current, name)
    const inner: Array<readonly [string, string]> = []
    const own: Array<string> = []
    for (const statement of statementsOf(current)) {
      const match = reexport.exec(statement)
      if (match === null) {
        if (!statement.startsWith("import ")) own.push(statement)
        continue
      }
      const target = declarationFile(current, match[4]!)
      if (match[1] !== undefined) inner.push([target, `${name}.${match[1]}`])
      else if (match[2] !== undefined) inner.push([target, `${name} (all of ${relative(dirname(file), target)})`])
      else own.push(statement)
    }
    own.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0))
    lines.push(`# ${name}`, "", ...own.flatMap((statement) => [statement, ""]))
    for (const [target, title] of inner.sort((a, b) => (a[1] < b[1] ? -1 : 1))) visit(target, title)
  }
  visit(file, heading)
  return `${lines.join("\n").trimEnd()}\n`
}

/** Every entry point that a package's `exports` give declarations for. */
const entriesOf = ({ manifest, path }: Package): ReadonlyArray<readonly [string, string]> =>
  Object.entries(manifest.exports ?? {}).flatMap(([entry, target]) =>
    typeof target === "object" && target.types !== undefined
      ? [[manifest.name + entry.slice(1), join(path, target.types)] as const]
      : []
  )

/** The text of a package's API file. */
export const apiOf = (own: Package): string =>
  entriesOf(own)
    .map(([heading, file]) => describeApi(file, heading))
    .join("\n")

/** The first line in which two texts differ, as a reader wants to see it. */
export const firstDifference = (before: string, after: string): string => {
  const [was, is] = [before.split("\n"), after.split("\n")]
  const at = is.findIndex((line, index) => line !== was[index])
  const line = at === -1 ? is.length : at
  return `line ${line + 1}\n  - ${was[line] ?? "(end)"}\n  + ${is[line] ?? "(end)"}`
}

const main = (check: boolean): number => {
  const build = spawnSync("tsc", ["-b", "tsconfig.build.json"], { cwd: workspaceRoot, encoding: "utf8" })
  if (build.status !== 0) {
    console.error(`The build fails, so the API is unknown:\n${build.stdout ?? ""}${build.stderr ?? ""}`)
    return 1
  }
  mkdirSync(join(workspaceRoot, "api"), { recursive: true })
  let stale = 0
  for (const own of packagesOf(workspaceRoot)) {
    const file = join(workspaceRoot, "api", `${own.folder}.api.txt`)
    const before = existsSync(file) ? readFileSync(file, "utf8") : ""
    const after = apiOf(own)
    if (before === after) continue
    stale++
    if (check)
      console.error(`api/${own.folder}.api.txt is not what the package exports: ${firstDifference(before, after)}`)
    else writeFileSync(file, after)
  }
  if (!check) console.log(`${stale} API files written.`)
  else if (stale > 0) console.error('If the change is meant, run "npm run api" and commit the files.')
  return check && stale > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = main(process.argv.includes("--check"))
