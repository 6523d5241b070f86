import { describe, expect, it } from "vitest"
import { dependencyViolations } from "../../scripts/dependency-rules.ts"
import { temporaryTree } from "./helpers.ts"

const manifest = (folder: string) => JSON.stringify({ name: `@breakwater/${folder}`, exports: { ".": {} } })

const violations = (files: Record<string, string>): ReadonlyArray<string> =>
  dependencyViolations(
    temporaryTree({
      "packages/core/package.json": manifest("core"),
      "packages/providers/package.json": manifest("providers"),
      "packages/testing/package.json": manifest("testing"),
      ...files
    })
  )

describe("the dependency rules", () => {
  it("let a policy use what is below it", () => {
    const policy = 'import { a } from "../domain/Usage.ts"\nimport * as B from "../internal/window.ts"'
    expect(violations({ "packages/core/src/policy/Retry.ts": policy })).toEqual([])
  })

  it("keep policies apart", () => {
    expect(violations({ "packages/core/src/policy/Retry.ts": 'import type { A } from "./Budget.ts"' })).toEqual([
      'packages/core/src/policy/Retry.ts:1 "./Budget.ts": files of policy do not import each other'
    ])
  })

  it("let a policy be split into a folder of its name", () => {
    const files = {
      "packages/core/src/policy/CircuitBreaker.ts": 'import { a } from "./circuitBreaker/Engine.ts"',
      "packages/core/src/policy/circuitBreaker/Engine.ts": 'import { b } from "./Options.ts"'
    }
    expect(violations(files)).toEqual([])
  })

  it("keep the domain free of errors, but for their types and the files named with a reason", () => {
    const source = 'import { LLMError } from "../errors/LLMError.ts"'
    expect(
      violations({
        "packages/core/src/domain/Usage.ts": source,
        "packages/core/src/domain/Call.ts": source,
        "packages/core/src/domain/Event.ts": source.replace("import", "import type")
      })
    ).toEqual(['packages/core/src/domain/Usage.ts:1 "../errors/LLMError.ts": domain may import only types of errors'])
  })

  it("tell a type from a value", () => {
    const files = {
      "packages/core/src/routing/a.ts": 'import type { Retry } from "../policy/Retry.ts"',
      "packages/core/src/routing/b.ts": 'import { Retry } from "../policy/Retry.ts"'
    }
    expect(violations(files)).toEqual([
      'packages/core/src/routing/b.ts:1 "../policy/Retry.ts": routing may import only types of policy'
    ])
  })

  it("let nothing below import observers or the pipeline", () => {
    const files = {
      "packages/core/src/policy/Retry.ts": 'import { a } from "../observe/Events.ts"',
      "packages/core/src/routing/Router.ts": 'import { a } from "../Pipeline.ts"',
      "packages/core/src/Pipeline.ts": 'import { a } from "./observe/Events.ts"'
    }
    expect(violations(files).map((each) => each.split(": ")[1])).toEqual([
      "policy may not import observe",
      "routing may not import Pipeline"
    ])
  })

  it("ask for a rule where there is none", () => {
    expect(violations({ "packages/core/src/misc/a.ts": 'import "../domain/Usage.ts"' })[0]).toContain(
      "no layer of the core"
    )
    expect(violations({ "packages/extra/package.json": manifest("extra") })[0]).toContain("packages/extra")
  })

  it("close packages to each other but for their entry points", () => {
    const files = {
      "packages/providers/src/a.ts": 'import "@breakwater/core"',
      "packages/providers/src/b.ts": 'import "@breakwater/core/src/LLM.ts"',
      "packages/providers/src/c.ts": 'import "../../core/src/LLM.ts"',
      "packages/providers/src/d.ts": 'import "@breakwater/testing"',
      "examples/01-a.ts": 'import "../packages/core/src/index.ts"'
    }
    expect(violations(files).map((each) => each.split('": ')[1])).toEqual([
      "@breakwater/core/src/LLM.ts is not a public entry point",
      "a relative import may not leave the package's src",
      "package providers may not import package testing",
      "an example imports packages by name"
    ])
  })

  it("find a cycle of values, and let types be", () => {
    const files = {
      "packages/testing/src/a.ts": 'import { b } from "./b.ts"',
      "packages/testing/src/b.ts": 'import { c } from "./c.ts"',
      "packages/testing/src/c.ts": 'import { a } from "./a.ts"\nimport type { B } from "./b.ts"',
      "packages/testing/src/d.ts": 'import type { E } from "./e.ts"',
      "packages/testing/src/e.ts": 'import { d } from "./d.ts"'
    }
    const path = (name: string) => `packages/testing/src/${name}.ts`
    expect(violations(files)).toEqual([`cycle of value imports: ${["a", "b", "c", "a"].map(path).join(" → ")}`])
  })
})
