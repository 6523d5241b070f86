import { describe, expect, it } from "vitest"
import { problemsIn } from "../../scripts/tracked-files.ts"

const problems = (line: string) => problemsIn("a.txt", `first\n${line}`, "/builds/checkout")

// Put together here, so that this file passes the check it tests.
const random = "Zq8Lw3Rt6Yp1Mk9Vb4Nc7Xd2Hs5Jg0Fa"

describe("the search of tracked files", () => {
  it.each([
    ["see /builds/checkout/README.md", "the path of this checkout"],
    [`see /${"home"}/somebody/notes`, "a path of somebody's machine"],
    [`"resolved": "${"https"}://host.invalid/a.tgz"`, "a host in the lockfile"],
    [`registry${"="}https://host.invalid`, "a registry setting"],
    [`key: sk-${random}`, "a provider's key"],
    [`-----BEGIN ${"PRIVATE"} KEY-----\\n${random}`, "a private key"],
    [`ghp_${random}Tw4z`, "an access token"]
  ])("finds %s", (line, what) => {
    expect(problems(line)).toEqual([`a.txt:2: ${what}`])
  })

  it.each(["https://example.com/home/page", "key: sk-test-" + random, '"resolved": "packages/core"', "ask-" + random])(
    "lets %s be",
    (line) => {
      expect(problems(line)).toEqual([])
    }
  )
})
