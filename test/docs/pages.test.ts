import * as AuditPackage from "@breakwater/audit"
import * as Core from "@breakwater/core"
import * as Providers from "@breakwater/providers"
import * as Stores from "@breakwater/stores"
import * as Testing from "@breakwater/testing"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"
import { describe, expect, it } from "vitest"
import { eventsOf } from "../../scripts/docs-tables/source.ts"
import { filesUnder, workspaceRoot } from "../../scripts/files.ts"

const pages = [join(workspaceRoot, "README.md"), ...filesUnder(join(workspaceRoot, "docs"), ".md")].map((path) => ({
  path,
  page: relative(workspaceRoot, path),
  text: readFileSync(path, "utf8")
}))

const packages = { audit: AuditPackage, core: Core, providers: Providers, stores: Stores, testing: Testing }

/** The file of each module that a package exports by name, and what it exports as values. */
const modules = new Map(
  Object.entries(packages).flatMap(([folder, exported]) => {
    const src = join(workspaceRoot, "packages", folder, "src")
    const index = readFileSync(join(src, "index.ts"), "utf8")
    return [...index.matchAll(/export \* as (\w+) from "\.\/([^"]+)"/g)].map(([, name, file]) => {
      const values = Object.keys((exported as Readonly<Record<string, object>>)[name!] ?? {})
      return [name!, { values: new Set(values), source: readFileSync(join(src, file!), "utf8") }] as const
    })
  })
)

/** Whether a module exports a name, as a value or as a type. */
const isExported = (module: string, name: string): boolean => {
  const { source, values } = modules.get(module)!
  return (
    values.has(name) || new RegExp(String.raw`export (?:(?:interface|type) |(?:type )?\{[^}]*\b)${name}\b`).test(source)
  )
}

const events = new Map(eventsOf("core/src/domain/Event.ts").map(({ fields, type }) => [type, fields]))

const pascal = (name: string): string => name.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())

describe("the pages", () => {
  it.each(pages.filter(({ page }) => page.startsWith("docs/policies/")))("$page is of a module", ({ page, text }) => {
    const name = pascal(basename(page, ".md"))
    expect([...modules.keys()]).toContain(name)
    // Its example shows it in use.
    expect(text).toMatch(new RegExp(String.raw`import \{[^}]*\b${name}\b[^}]*\} from "@breakwater/`))
  })

  it.each(pages)("$page names only what exists", ({ text }) => {
    const named = [...text.matchAll(/`(\w+)\.(\w+)\b[^`\n]*`/g)].filter(
      ([, module, name]) => modules.has(module!) && name !== "ts"
    )
    expect(named.filter(([, module, name]) => !isExported(module!, name!)).map(([whole]) => whole)).toEqual([])
  })

  it.each(pages)("$page tells of events as they are", ({ text }) => {
    const telemetry = text.split(/^## /m).filter((section) => section.startsWith("Telemetry\n"))
    const rows = telemetry.flatMap((section) => [
      ...section.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \|[^|]*\|([^|\n]*)/gm)
    ])
    for (const [, types, carried = ""] of rows) {
      for (const [, type] of types!.matchAll(/`([^`]+)`/g)) {
        expect([...events.keys()]).toContain(type)
        const fields = [...carried.replace(/\([^)]*\)/g, "").matchAll(/`([^`]+)`/g)].map(([, field]) => field)
        expect(events.get(type!)).toEqual(expect.arrayContaining(fields))
      }
    }
  })

  it.each(pages)("$page links to what is there", ({ path, text }) => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(([, link]) => link!)
    expect(links.filter((link) => !existsSync(join(dirname(path), link)))).toEqual([])
  })
})
