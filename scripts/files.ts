/** Files of the workspace, found the same way by every check. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The top folder of this workspace. */
export const workspaceRoot = dirname(dirname(fileURLToPath(import.meta.url)))

const skipped = new Set(["node_modules", "dist", ".git"])

/**
 * Every file under a folder whose name ends so, sorted; none if the folder does not exist. What is installed or built is
 * left out, unless `skip` says otherwise.
 */
export const filesUnder = (
  folder: string,
  ending: string,
  skip: ReadonlySet<string> = skipped
): ReadonlyArray<string> => {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return skip.has(entry.name) ? [] : filesUnder(path, ending, skip)
      return entry.name.endsWith(ending) ? [path] : []
    })
    .sort()
}

export interface Package {
  /** The folder's name: `core`. */
  readonly folder: string
  readonly path: string
  readonly manifest: {
    readonly name: string
    readonly version: string
    readonly private?: boolean
    readonly exports?: Record<string, string | Record<string, string>>
    readonly bin?: Record<string, string>
  }
}

/** The packages of a workspace, sorted by folder. */
export const packagesOf = (root: string): ReadonlyArray<Package> =>
  readdirSync(join(root, "packages"))
    .sort()
    .filter((folder) => existsSync(join(root, "packages", folder, "package.json")))
    .map((folder) => {
      const path = join(root, "packages", folder)
      return { folder, path, manifest: JSON.parse(readFileSync(join(path, "package.json"), "utf8")) }
    })
