import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workspaceRoot } from "../../scripts/files.ts"
import { temporaryTree } from "./helpers.ts"

const counts = (report: unknown, exitCode: number): string => {
  const root = temporaryTree(report === undefined ? {} : { "tests.json": JSON.stringify(report) })
  const script = join(workspaceRoot, "scripts/test-counts.mjs")
  return spawnSync(process.execPath, [script, join(root, "tests.json"), `${exitCode}`], {
    encoding: "utf8"
  }).stdout.trim()
}

const report = (failed: number, testResults: ReadonlyArray<unknown> = []) => ({
  numPassedTests: 5,
  numFailedTests: failed,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults
})

describe("the count of tests", () => {
  it("is that of the report", () => {
    expect(counts(report(0), 0)).toBe("5 0 3")
    expect(counts(report(4), 1)).toBe("5 4 3")
  })

  it("takes a file that did not load for a failure", () => {
    expect(counts(report(0, [{ status: "failed", assertionResults: [] }]), 1)).toBe("5 1 3")
  })

  it("takes a failed run without a failed test for a failure", () => {
    expect(counts(report(0), 1)).toBe("5 1 3")
  })

  it("takes a missing report for a failure", () => {
    expect(counts(undefined, 0)).toBe("0 1 0")
  })
})
