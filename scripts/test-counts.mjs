// Reads the JSON report of vitest and prints "<passed> <failed> <skipped>". A file that could not be loaded, or an error
// outside every test, is a failure although no test of that name exists.
import { existsSync, readFileSync } from "node:fs"

const [file, exitCode] = process.argv.slice(2)

const count = () => {
  if (!existsSync(file)) return [0, 1, 0]
  const report = JSON.parse(readFileSync(file, "utf8"))
  const unloaded = report.testResults.filter(
    (result) => result.status === "failed" && !result.assertionResults.some((test) => test.status === "failed")
  ).length
  const failed = report.numFailedTests + unloaded
  const stray = exitCode !== "0" && failed === 0 ? 1 : 0
  return [report.numPassedTests, failed + stray, report.numPendingTests + report.numTodoTests]
}

console.log(count().join(" "))
