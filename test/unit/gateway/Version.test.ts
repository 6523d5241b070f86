import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { version } from "../../../packages/gateway/src/internal/Version.ts"

it("the version that the gateway tells is that of its package", () => {
  const text = readFileSync(new URL("../../../packages/gateway/package.json", import.meta.url), "utf8")
  expect((JSON.parse(text) as { version: string }).version).toBe(version)
})
