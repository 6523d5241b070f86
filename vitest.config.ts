import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["breakwater-source"] },
  ssr: { resolve: { conditions: ["breakwater-source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000
  }
})
