// First, so that tests on a wrong Node end in a sentence instead of a crash.
import "./scripts/require-node.mjs"
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["breakwater-source"] },
  ssr: { resolve: { conditions: ["breakwater-source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    maxWorkers: 2
  }
})
