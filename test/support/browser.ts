/**
 * A browser for tests: Chromium without a head, from the registry. Where it cannot run, tests that need it are skipped by
 * name. `BREAKWATER_TEST_BROWSER=none` skips them anyway; the path of another Chromium takes its place.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser } from "playwright-core"
import { workspaceRoot } from "../../scripts/files.ts"

const args = ["--no-sandbox", "--no-zygote", "--disable-gpu", "--font-render-hinting=none"]

interface Binary {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
}

const works = ({ env, path }: Binary): boolean =>
  spawnSync(path, ["--version", "--no-sandbox"], { env, timeout: 20_000, stdio: "ignore" }).status === 0

/** Libraries that a small machine may lack come with it. */
const withItsLibraries = async (path: string): Promise<Binary> => {
  const { inflate } = await import("@sparticuz/chromium")
  const packed = join(workspaceRoot, "node_modules/@sparticuz/chromium/bin/al2023.tar.br")
  if (!existsSync(packed)) return { path, env: process.env }
  await inflate(packed)
  return { path, env: { ...process.env, LD_LIBRARY_PATH: join(tmpdir(), "al2023/lib") } }
}

const find = async (): Promise<Binary | undefined> => {
  const wanted = process.env["BREAKWATER_TEST_BROWSER"]
  if (wanted === "none") return undefined
  try {
    if (wanted !== undefined && wanted !== "") return { path: wanted, env: process.env }
    const { default: chromium } = await import("@sparticuz/chromium")
    const plain = { path: await chromium.executablePath(), env: process.env }
    if (works(plain)) return plain
    const whole = await withItsLibraries(plain.path)
    return works(whole) ? whole : undefined
  } catch {
    return undefined
  }
}

const binary = await find()

/** For the names of tests that are skipped. */
export const noBrowser = binary === undefined

/** Starts it; whoever does closes it. */
export const launchBrowser = async (env: Readonly<Record<string, string>> = {}): Promise<Browser> => {
  if (binary === undefined) throw new Error("there is no browser here")
  const { chromium } = await import("playwright-core")
  const whole = Object.fromEntries(
    Object.entries({ ...binary.env, ...env }).filter((entry): entry is [string, string] => entry[1] !== undefined)
  )
  return chromium.launch({ executablePath: binary.path, args, env: whole })
}
