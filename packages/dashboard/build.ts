/**
 * Builds the page into `dist/web`: Vite's output, each file beside its compressed forms.
 *
 * Nothing is done where the output is of the same inputs already. The new output takes the place of the old one at once, so
 * that whoever serves it meanwhile finds the one or the other.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { build, type InlineConfig } from "vite"
import solid from "vite-plugin-solid"

const folder = fileURLToPath(new URL(".", import.meta.url))
const [web, dist] = [join(folder, "web"), join(folder, "dist")]
const [output, stamp] = [join(dist, "web"), join(dist, ".web-inputs")]

const filesOf = (root: string): ReadonlyArray<string> =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()

/** The versions of what it is built with are exact, and written there. */
const manifests = [join(folder, "package.json"), join(folder, "../../package.json")]

const inputs = (): string => {
  const hash = createHash("sha256")
  for (const file of [...filesOf(web), ...manifests, fileURLToPath(import.meta.url)])
    hash.update(`${relative(folder, file)}\n`).update(readFileSync(file))
  return hash.digest("hex")
}

const isBuilt = (wanted: string): boolean =>
  existsSync(join(output, "index.html")) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted

const config = (outDir: string): InlineConfig => ({
  configFile: false,
  root: web,
  // The page works under any path.
  base: "./",
  logLevel: "error",
  plugins: [solid({ hot: false })],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    // Colours for light and dark are told apart by the browser, not by a copy of every rule.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Nothing is inlined: the page's policy allows no data in scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false
  }
})

const compress = (root: string): void => {
  for (const file of filesOf(root).filter((name) => /\.(?:js|css|html|svg)$/.test(name))) {
    const body = readFileSync(file)
    const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
    writeFileSync(`${file}.br`, brotliCompressSync(body, { params: quality }))
    writeFileSync(`${file}.gz`, gzipSync(body, { level: 9 }))
  }
}

const wanted = inputs()
if (!isBuilt(wanted)) {
  const [fresh, old] = [`${output}-${process.pid}`, `${output}-${process.pid}-old`]
  mkdirSync(dist, { recursive: true })
  try {
    await build(config(fresh))
    compress(fresh)
    if (existsSync(output)) renameSync(output, old)
    renameSync(fresh, output)
    writeFileSync(stamp, wanted)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}
