/**
 * Looks through every file that git tracks for what must not be published: paths of somebody's machine, hosts of
 * a private registry, and secrets.
 *
 * Run with `npm run lint:tracked`.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { workspaceRoot } from "./files.ts"

interface Ban {
  readonly what: string
  readonly pattern: RegExp
}

const bans: ReadonlyArray<Ban> = [
  { what: "a path of somebody's machine", pattern: /(?<![\w.:/@-])\/(?:home|Users|root)\/[\w.-]+/ },
  { what: "a path of somebody's machine", pattern: /\b[A-Z]:\\Users\\\w+/ },
  { what: "a host in the lockfile", pattern: /"resolved": "https?:/ },
  { what: "a registry setting", pattern: /^\s*(?:@[\w-]+:)?registry\s*=/ },
  { what: "a registry credential", pattern: /_(?:authToken|password|auth)\s*=\s*\S/ },
  {
    what: "a private registry's address",
    pattern: /https?:\/\/[\w.-]*(?:artifactory|verdaccio|nexus|npm-mirror)[\w.-]*/i
  },
  { what: "a private key", pattern: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*(?:\\n)?[A-Za-z0-9+/]{20}/ },
  { what: "a provider's key", pattern: /\bsk-(?:ant-|proj-|or-v1-)?[A-Za-z0-9_-]{32,}/ },
  { what: "a cloud key", pattern: /\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}\b/ },
  {
    what: "an access token",
    pattern: /\bgh[pousr]_[A-Za-z0-9]{36}|\bhf_[A-Za-z0-9]{30,}|\bxox[abpr]-[0-9A-Za-z-]{20,}/
  }
]

/** A made-up secret says so in its own text, which keeps tests of redaction honest. */
const madeUp = /example|sample|fake|dummy|test|secret|not-?real|0123456789|abcdef|([A-Za-z0-9])\1{5}/i

/** What is wrong with a file's text, one line each; `checkout` is the folder the workspace happens to be in. */
export const problemsIn = (name: string, text: string, checkout: string): ReadonlyArray<string> =>
  text.split("\n").flatMap((line, index) => {
    const where = `${name}:${index + 1}`
    const named = line.includes(checkout) ? [`${where}: the path of this checkout`] : []
    return bans.reduce<ReadonlyArray<string>>((found, { what, pattern }) => {
      const match = pattern.exec(line)
      return match === null || madeUp.test(match[0]) ? found : [...found, `${where}: ${what}`]
    }, named)
  })

const main = (): number => {
  const listed = spawnSync("git", ["ls-files", "-z"], { cwd: workspaceRoot, encoding: "utf8" })
  if (listed.status !== 0) {
    console.error(`git does not list the tracked files: ${listed.stderr}`)
    return 1
  }
  const problems = listed.stdout
    .split("\0")
    .filter((name) => name !== "" && existsSync(join(workspaceRoot, name)))
    .flatMap((name) => {
      const bytes = readFileSync(join(workspaceRoot, name))
      return bytes.includes(0) ? [] : problemsIn(name, bytes.toString("utf8"), workspaceRoot)
    })
  for (const problem of problems) console.error(problem)
  return problems.length === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = main()
