/**
 * Fits the weights of the core's estimate of tokens, and writes them to `tokenWeights.ts`.
 *
 * `node scripts/fit-token-estimate.ts SAMPLES.json [--check]`. SAMPLES is an array of
 * `{ text, o200k, cl100k, claude, weight }`: a text, its tokens by three tokenizers, and how much it counts (default 1).
 * With `--check` nothing is written, and how far off the weights are on the samples is printed.
 *
 * The samples of the weights in use (17,600): sentences of words drawn by their frequency in 44 languages, three quarters
 * of the Universal Declaration of Human Rights in 60 languages (counted twice), pieces of code, markup, data and readmes,
 * and made up base64, hexadecimal, logs, numbers, addresses, emoji, formulas, capitals, tables and white space. Counts
 * by gpt-tokenizer 4.0.0 (o200k, cl100k) and ai-tokenizer 1.0.6 (Claude). The corpus in `test/fixtures/tokens` is not
 * among them: it is what the tests measure by.
 *
 * A ridge regression of the relative error, by the normal equations: a sample weighs its weight over (tokens + 10)^1.5.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { estimate } from "../packages/core/src/internal/tokenEstimate.ts"
import { features, pairKinds, pairOf, scan } from "../packages/core/src/internal/tokenFeatures.ts"
import { workspaceRoot } from "./files.ts"

const profiles = ["o200k", "cl100k", "claude"] as const
type Profile = (typeof profiles)[number]

interface Sample extends Readonly<Record<Profile, number>> {
  readonly text: string
  readonly weight?: number
}

/** How strongly a weight is drawn to zero: hardly for a feature, so that pairs say only what features do not. */
const ridge = { feature: 1e-3, pair: 0.02 }
const [zero, scale] = [128, 48]
const size = features.length + pairKinds

type Row = ReadonlyArray<readonly [index: number, count: number]>

/** Which kind each pair of ASCII letters is of. */
const kindsOfLetters = Uint16Array.from({ length: 1_024 }, (_, pair) =>
  pairOf(pair >> 5 === 0 ? 0 : (pair >> 5) + 96, (pair & 31) === 0 ? 0 : (pair & 31) + 96)
)

/** Counts the pairs of a text by arrays that note what is read of them. */
const rowOf = (text: string): Row => {
  const counts = new Float64Array(features.length)
  const pairs = new Map<number, number>()
  const noting = (kindOf: (index: number) => number | undefined) =>
    new Proxy([] as unknown as Int8Array, {
      get: (_, index) => {
        const kind = kindOf(Number(index))
        if (kind !== undefined) pairs.set(features.length + kind, (pairs.get(features.length + kind) ?? 0) + 1)
        return 0
      }
    })
  scan(
    text,
    counts,
    noting((kind) => kind),
    // Between two that are no letters there is no pair.
    noting((letters) => (letters === 0 ? undefined : kindsOfLetters[letters]))
  )
  return [...[...counts.entries()].filter(([, count]) => count > 0), ...pairs]
}

const solve = (matrix: ReadonlyArray<Float64Array>, right: Float64Array): Float64Array => {
  const x = right
  for (let i = 0; i < size; i++) {
    const row = matrix[i]!
    for (let j = 0; j <= i; j++) {
      const other = matrix[j]!
      let sum = row[j]!
      for (let k = 0; k < j; k++) sum -= row[k]! * other[k]!
      row[j] = i === j ? Math.sqrt(sum) : sum / other[j]!
    }
  }
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i]! -= matrix[i]![k]! * x[k]!
    x[i]! /= matrix[i]![i]!
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= matrix[k]![i]! * x[k]!
    x[i]! /= matrix[i]![i]!
  }
  return x
}

const fit = (samples: ReadonlyArray<Sample>, rows: ReadonlyArray<Row>, by: Profile): Float64Array => {
  const matrix = Array.from({ length: size }, () => new Float64Array(size))
  const right = new Float64Array(size)
  for (const [index, row] of rows.entries()) {
    const { [by]: tokens, weight: given = 1 } = samples[index]!
    const weight = given / (tokens + 10) ** 1.5
    for (const [i, count] of row) {
      right[i]! += weight * count * tokens
      for (const [j, other] of row) if (j <= i) matrix[i]![j]! += weight * count * other
    }
  }
  for (let i = 0; i < size; i++) matrix[i]![i]! += i < features.length ? ridge.feature : ridge.pair
  return solve(matrix, right)
}

const byteOf = (weight: number): number => Math.min(255, Math.max(0, Math.round(weight * scale) + zero))

const packedOf = (weights: Float64Array): string => {
  const pairs = Buffer.from(Uint8Array.from(weights.subarray(features.length), byteOf)).toString("base64")
  const lines = pairs.match(/.{1,108}/g)!.map((line) => `      "${line}"`)
  const own = [...weights.subarray(0, features.length)].map((weight) => Number(weight.toFixed(3)))
  return `{\n    features: [${own.join(", ")}],\n    pairs:\n${lines.join(" +\n")}\n  }`
}

const [file, flag] = process.argv.slice(2)
if (file === undefined) throw new Error("Name a file of samples.")
const samples = JSON.parse(readFileSync(file, "utf8")) as ReadonlyArray<Sample>
if (flag === "--check") {
  for (const by of profiles) {
    const long = samples.filter((sample) => sample[by] >= 50)
    const off = long.reduce((sum, sample) => sum + Math.abs(estimate(sample.text, by) / sample[by] - 1), 0)
    const all = long.reduce((sum, sample) => sum + estimate(sample.text, by), 0)
    const exact = long.reduce((sum, sample) => sum + sample[by], 0)
    const percent = (value: number): string => `${(100 * value).toFixed(1)} %`
    console.log(`${by}: ${percent(off / long.length)} a text, ${percent(all / exact - 1)} in sum, of ${long.length}`)
  }
} else {
  const rows = samples.map(({ text }) => rowOf(text))
  const parts = profiles.map((by) => `  ${by}: ${packedOf(fit(samples, rows, by))}`)
  const text = `/** Made by \`scripts/fit-token-estimate.ts\`: what each feature and each kind of a pair of letters adds, in tokens. */

/** A pair's weight is (byte - pairZero) / pairScale. */
export const pairZero = ${zero}
export const pairScale = ${scale}

/** Weights of the features in their order, and of the pairs in base64. */
export const packed = {
${parts.join(",\n")}
} as const
`
  writeFileSync(join(workspaceRoot, "packages/core/src/internal/tokenWeights.ts"), text)
}
