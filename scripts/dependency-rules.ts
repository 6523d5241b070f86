/**
 * Who may import whom. The rules are those of ARCHITECTURE.md; this file is where they are enforced.
 *
 * Run with `npm run lint:deps`.
 */
import { readFileSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"
import { filesUnder, type Package, packagesOf, workspaceRoot } from "./files.ts"
import { importsOf } from "./imports.ts"

interface Rule {
  /** Layers whose values may be imported. */
  readonly values: ReadonlyArray<string>
  /** Layers of which only types may be imported, besides. */
  readonly types?: ReadonlyArray<string>
  /** Files of the layer do not know each other. */
  readonly apart?: boolean
}

const below = ["domain", "errors", "internal", "store"]

/** The layers of the core, by the first part of the path under `src`. A layer may always import itself, unless `apart`. */
const coreLayers: Record<string, Rule> = {
  // Outcomes and events name the error they report: by its type.
  domain: { values: [], types: ["errors"] },
  errors: { values: ["domain"] },
  // Pure code: it builds errors and reads data, and knows no service, policy or store.
  internal: { values: ["domain", "errors"] },
  store: { values: ["domain", "errors", "internal"] },
  LLMProvider: { values: ["domain", "errors", "internal"] },
  policy: { values: below, apart: true },
  guard: { values: below, apart: true },
  // Routing reads the state of policies through their types, and knows the port but no provider.
  routing: { values: [...below, "LLMProvider"], types: ["policy"] },
  // The plan is the pipeline's engine: it schedules attempts, and so knows the policies that bound and repeat them.
  plan: { values: [...below, "LLMProvider", "policy", "routing"] },
  // The bridge is two adapters between our port or service and Effect's LanguageModel.
  bridge: { values: [...below, "LLM", "LLMProvider"] },
  // Metrics of budgets read them through their type; the program hands the service in.
  observe: { values: below, types: ["policy"] }
}

/** Files that put the parts together: they may import all of the core, and no layer imports them unless its rule says so. */
const coreTop = new Set(["LLM", "Pipeline", "Presets", "Config", "LanguageModelBridge", "index"])

/** Imports that break a layer's rule, each with its reason. */
const coreExceptions: ReadonlyArray<{ readonly from: string; readonly to: string; readonly reason: string }> = [
  {
    from: "domain/Call.ts",
    to: "errors/LLMError.ts",
    reason: "the record of an attempt is stored with its error's schema"
  },
  ...["ContextWindow.ts", "ContextWindow/fit.ts"].map((file) => ({
    from: `policy/${file}`,
    to: "policy/Tokenizer.ts",
    reason: "a window is measured in tokens: the counter is the one policy that another is made of"
  }))
]

/** Which of our packages a package may import, always by their public entry points. */
const packageRules: Record<string, ReadonlyArray<string>> = {
  core: [],
  providers: ["core"],
  testing: ["core"],
  alerts: ["core"],
  audit: ["core"],
  mlflow: ["core"],
  embedder: ["core"],
  stores: ["core"],
  prices: ["core"],
  tokenizers: ["core"],
  gateway: [
    "core",
    "alerts",
    "providers",
    "stores",
    "prices",
    "tokenizers",
    "embedder",
    "testing",
    "dashboard",
    "audit"
  ],
  cli: ["core", "providers", "stores", "prices", "tokenizers", "testing", "gateway", "audit"],
  dashboard: []
}

const layerOf = (path: string): string => path.split("/")[0]!.replace(/\.ts$/, "")

/** Of two files in a layer whose files are apart: a concept is a file, and the folder of that name beside it. */
const conceptOf = (path: string): string => (path.split("/")[1] ?? path).replace(/\.ts$/, "").toLowerCase()

const coreViolation = (from: string, to: string, typeOnly: boolean): string | undefined => {
  if (coreExceptions.some((each) => each.from === from && each.to === to)) return undefined
  const [source, target] = [layerOf(from), layerOf(to)]
  if (coreTop.has(source)) return undefined
  const rule = coreLayers[source]
  if (rule === undefined) return `${source} is no layer of the core; give it a rule in scripts/dependency-rules.ts`
  if (source === target) {
    return rule.apart === true && conceptOf(from) !== conceptOf(to)
      ? `files of ${source} do not import each other`
      : undefined
  }
  if (rule.values.includes(target)) return undefined
  if (rule.types?.includes(target) === true) {
    return typeOnly ? undefined : `${source} may import only types of ${target}`
  }
  return `${source} may not import ${target}`
}

const posix = (path: string): string => path.split(sep).join("/")

const packageViolation = (
  packages: ReadonlyArray<Package>,
  own: string | undefined,
  specifier: string
): string | undefined => {
  const [scope, name, ...rest] = specifier.split("/")
  if (scope !== "@breakwater") return undefined
  const target = packages.find((each) => each.manifest.name === `${scope}/${name}`)
  if (target === undefined) return `${scope}/${name} is no package of the workspace`
  if (target.folder === own) return "a package imports its own files by path"
  if (own !== undefined && packageRules[own]?.includes(target.folder) !== true) {
    return `package ${own} may not import package ${target.folder}`
  }
  const entry = rest.length === 0 ? "." : `./${rest.join("/")}`
  return entry in (target.manifest.exports ?? {}) ? undefined : `${specifier} is not a public entry point`
}

/** Cycles of value imports: each is listed once, from its alphabetically first file. */
const cyclesOf = (graph: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlyArray<string> => {
  const state = new Map<string, "open" | "done">()
  const cycles = new Set<string>()
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    if (state.get(file) === "done") return
    if (state.get(file) === "open") {
      const cycle = path.slice(path.indexOf(file))
      const first = cycle.indexOf([...cycle].sort()[0]!)
      const turned = [...cycle.slice(first), ...cycle.slice(0, first)]
      cycles.add([...turned, turned[0]].join(" → "))
      return
    }
    state.set(file, "open")
    for (const next of graph.get(file) ?? []) visit(next, [...path, file])
    state.set(file, "done")
  }
  for (const file of graph.keys()) visit(file, [])
  return [...cycles]
}

/** A package's sources, and those of the page that it is built into. */
const sourcesOf = ({ path }: Package): ReadonlyArray<string> => [
  ...filesUnder(join(path, "src"), ".ts"),
  ...filesUnder(join(path, "web"), ".ts"),
  ...filesUnder(join(path, "web"), ".tsx")
]

const checkPackage = (root: string, packages: ReadonlyArray<Package>, own: Package): ReadonlyArray<string> => {
  const found: Array<string> = []
  const graph = new Map<string, Array<string>>()
  for (const file of sourcesOf(own)) {
    const src = file.startsWith(join(own.path, "web") + sep) ? join(own.path, "web") : join(own.path, "src")
    const edges: Array<string> = []
    graph.set(posix(relative(root, file)), edges)
    for (const { specifier, typeOnly, line } of importsOf(readFileSync(file, "utf8"))) {
      const report = (problem: string | undefined): void => {
        if (problem !== undefined) found.push(`${posix(relative(root, file))}:${line} "${specifier}": ${problem}`)
      }
      if (!specifier.startsWith(".")) {
        report(packageViolation(packages, own.folder, specifier))
        continue
      }
      const target = resolve(dirname(file), specifier)
      if (!target.startsWith(src + sep)) {
        report("a relative import may not leave the package's src")
        continue
      }
      if (!typeOnly) edges.push(posix(relative(root, target)))
      if (own.folder === "core") {
        report(coreViolation(posix(relative(src, file)), posix(relative(src, target)), typeOnly))
      }
    }
  }
  return [...found, ...cyclesOf(graph).map((cycle) => `cycle of value imports: ${cycle}`)]
}

/** Examples are what a reader copies: they see what a user of the packages sees. */
const checkExamples = (root: string, packages: ReadonlyArray<Package>): ReadonlyArray<string> =>
  filesUnder(join(root, "examples"), ".ts").flatMap((file) =>
    importsOf(readFileSync(file, "utf8")).flatMap(({ specifier, line }) => {
      const problem = specifier.includes("/packages/")
        ? "an example imports packages by name"
        : packageViolation(packages, undefined, specifier)
      return problem === undefined ? [] : [`${posix(relative(root, file))}:${line} "${specifier}": ${problem}`]
    })
  )

/** Every broken rule under a workspace's root, one line each; empty when all is well. */
export const dependencyViolations = (root: string): ReadonlyArray<string> => {
  const packages = packagesOf(root)
  const unknown = packages.filter(({ folder }) => !(folder in packageRules))
  return [
    ...unknown.map(({ folder }) => `packages/${folder}: give it a rule in scripts/dependency-rules.ts`),
    ...packages.flatMap((own) => checkPackage(root, packages, own)),
    ...checkExamples(root, packages)
  ]
}

if (import.meta.main) {
  const violations = dependencyViolations(workspaceRoot)
  for (const violation of violations) console.error(violation)
  console.log(
    violations.length === 0 ? "No dependency rule is broken." : `${violations.length} broken dependency rules.`
  )
  process.exitCode = violations.length === 0 ? 0 : 1
}
