#!/usr/bin/env node
// Plain JavaScript on purpose: this has to run, and explain itself, on a Node that is too old for the rest. It is
// checked in, since a file of the build is not there yet when npm links commands.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const oldest = [22, 19]
const main = new URL("../dist/main.js", import.meta.url)

const isOldEnough = () => {
  const [major, minor] = process.versions.node.split(".").map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
}

/** The Node that the workspace brings as a dependency, if it is there and this is not it already. */
const broughtNode = () => {
  if (process.env.BREAKWATER_NODE_TRIED !== undefined) return undefined
  try {
    const manifest = createRequire(import.meta.url).resolve("node/package.json")
    const path = join(dirname(manifest), "bin", process.platform === "win32" ? "node.exe" : "node")
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

const runWith = (node) => {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, BREAKWATER_NODE_TRIED: "1" }
  })
  // A terminal sends its signals to both; those that are sent to this process alone are handed on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("error", (error) => {
    console.error(`breakwater: cannot start ${node}: ${error.message}`)
    process.exitCode = 1
  })
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal === "SIGINT" ? 130 : 143)
  })
}

if (isOldEnough()) {
  if (existsSync(main)) await import(main.href)
  else {
    console.error('breakwater: the command is not built yet; run "npm run build" in the workspace.')
    process.exitCode = 1
  }
} else {
  const node = broughtNode()
  if (node !== undefined) runWith(node)
  else {
    console.error(
      `breakwater: Node ${oldest.join(".")} or later is needed, and this is Node ${process.versions.node}. ` +
        'Update Node, or run "npm ci" in the workspace, which brings its own.'
    )
    process.exitCode = 1
  }
}
