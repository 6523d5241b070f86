import { pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { docExamples, programOf, typeErrors, writePrograms } from "../../scripts/doc-examples.ts"
import { workspaceRoot } from "../../scripts/files.ts"

const examples = docExamples(workspaceRoot)
writePrograms(workspaceRoot, examples)
const errors = typeErrors(workspaceRoot)

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => undefined)
})

afterEach(() => {
  vi.restoreAllMocks()
})

describe("the examples of the documentation", () => {
  it("exist", () => {
    expect(examples.length).toBeGreaterThan(0)
  })

  it.each(examples.map((example, index) => ({ ...example, index })))("$name", async ({ index, run }) => {
    expect(errors.get(index) ?? []).toEqual([])
    if (run) await import(pathToFileURL(programOf(workspaceRoot, index)).href)
  })
})
