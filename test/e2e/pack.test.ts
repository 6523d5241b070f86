/** Installs the packages as a stranger would, from tarballs and into an empty folder, and uses them there. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { filesUnder, packagesOf, workspaceRoot } from "../../scripts/files.ts"

const minutes = 60_000
const packages = packagesOf(workspaceRoot).filter(({ manifest }) => manifest.private !== true)
const entries = packages.flatMap(({ manifest }) =>
  Object.keys(manifest.exports ?? {})
    .filter((entry) => entry !== "./package.json")
    .map((entry) => manifest.name + entry.slice(1))
)

const everyFile = (folder: string, ending: string) => filesUnder(folder, ending, new Set())

const consumer = mkdtempSync(join(tmpdir(), "breakwater-pack-"))
afterAll(() => rmSync(consumer, { recursive: true, force: true }))

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  // A consumer knows nothing of the conditions and variables this test itself runs under.
  const { NODE_OPTIONS: _, ...env } = process.env
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error ?? ""}`
  expect(result.status, `${command} ${args.join(" ")}\n${output}`).toBe(0)
  return result.stdout
}

const runProgram = (name: string, code: string): string => {
  writeFileSync(join(consumer, name), code)
  return run(process.execPath, [name], consumer)
}

beforeAll(() => {
  run("npm", ["run", "build"], workspaceRoot)
  const workspaces = packages.map(({ folder }) => `--workspace=packages/${folder}`)
  run("npm", ["pack", "--ignore-scripts", "--pack-destination", consumer, ...workspaces], workspaceRoot)
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  const tarballs = readdirSync(consumer)
    .filter((name) => name.endsWith(".tgz"))
    .map((name) => `./${name}`)
  run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", ...tarballs], consumer)
}, 5 * minutes)

describe("a packed package", () => {
  it.each(packages)("$manifest.name has nothing that publint minds", async ({ path, manifest }) => {
    const { messages } = await publint({ pkgDir: path, pack: "npm", strict: true })
    expect(messages.map((message) => formatMessage(message, manifest))).toEqual([])
  })

  it.each(packages)("$manifest.name ships its build, and no leavings of it", ({ manifest }) => {
    const installed = join(consumer, "node_modules", manifest.name)
    const files = everyFile(installed, "")
    expect(files.filter((file) => file.endsWith(".tsbuildinfo"))).toEqual([])
    const dist = join(installed, "dist")
    expect(readdirSync(dist)).toContain("index.js")
    const leaks = everyFile(dist, ".js").filter((file) => /from "\.[^"]*\.ts"/.test(readFileSync(file, "utf8")))
    expect(leaks).toEqual([])
  })

  it.each(entries)("%s is imported by plain Node, from dist", (entry) => {
    const program = `import * as entry from "${entry}"
console.log(JSON.stringify({ from: import.meta.resolve("${entry}"), names: Object.keys(entry) }))`
    const { from, names } = JSON.parse(runProgram("import.mjs", program))
    expect(from).toContain("/dist/")
    expect(names).not.toEqual([])
  })

  it("runs a program of two lines", () => {
    const program = `import { Usage } from "@breakwater/core"
console.log(typeof Usage, Object.keys(Usage).length > 0)`
    expect(runProgram("program.mjs", program).trim()).toBe("object true")
  })

  it("has one copy of effect", () => {
    const copies = everyFile(join(consumer, "node_modules"), "package.json").filter((file) =>
      file.endsWith("/node_modules/effect/package.json")
    )
    expect(copies).toHaveLength(1)
  })

  it("has declarations that a strict consumer's compiler accepts", { timeout: 2 * minutes }, () => {
    const imports = entries.map((entry, index) => `import * as entry${index} from "${entry}"`)
    const uses = entries.map((_, index) => `entry${index}`)
    writeFileSync(join(consumer, "index.ts"), `${imports.join("\n")}\nconsole.log(${uses.join(", ")})\n`)
    const compilerOptions = {
      module: "nodenext",
      moduleResolution: "nodenext",
      target: "es2023",
      lib: ["es2024", "dom", "dom.iterable"],
      types: ["node"],
      typeRoots: [join(workspaceRoot, "node_modules/@types")],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false
    }
    writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["index.ts"] }))
    run("tsc", ["-p", "tsconfig.json"], consumer)
  })
})
