/**
 * Measures the semantic cache on the labelled pairs: precision and recall by threshold, without and with the guard.
 *
 * Run with `npm run semantic-cache:eval [-- --verbose]`; `--verbose` lists what the guard lets through and refuses
 * wrongly.
 */
import { SemanticCache } from "@breakwater/core"
import { MiniLM } from "@breakwater/embedder"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { workspaceRoot } from "./files.ts"

interface Pair {
  readonly kind: "paraphrase" | "near-miss" | "unrelated"
  /** Written after the rules of the guard, and none was changed for them. */
  readonly set?: "held-out"
  readonly a: string
  readonly b: string
}

interface Measured extends Pair {
  readonly similarity: number
  readonly refused: string | undefined
}

/** One line of the table. */
export interface Line {
  readonly threshold: number
  readonly guard: boolean
  readonly answered: number
  readonly precision: number
  readonly recall: number
}

const thresholds = [0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99]

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let dot = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return dot / Math.sqrt(aa * bb)
}

const pairs = JSON.parse(
  readFileSync(join(workspaceRoot, "test/fixtures/semantic-cache/pairs.json"), "utf8")
) as ReadonlyArray<Pair>

/** Embeds all pairs; about twenty seconds. */
export const measured: Effect.Effect<ReadonlyArray<Measured>, unknown> = Effect.scoped(
  Effect.gen(function* () {
    const embedder = yield* MiniLM.make
    const texts = Array.from(new Set(pairs.flatMap(({ a, b }) => [a, b])))
    const vectors = yield* embedder.embed(texts)
    const vectorOf = new Map(texts.map((text, index) => [text, vectors[index]!]))
    return pairs.map((pair) => ({
      ...pair,
      similarity: cosine(vectorOf.get(pair.a)!, vectorOf.get(pair.b)!),
      refused: SemanticCache.nearMiss(pair.b, pair.a)
    }))
  })
)

/** Precision: of the pairs that would have been answered, those that mean the same. Recall: of those, the answered. */
export const linesOf = (all: ReadonlyArray<Measured>): ReadonlyArray<Line> => {
  const same = all.filter(({ kind }) => kind === "paraphrase").length
  return [false, true].flatMap((guard) =>
    thresholds.map((threshold) => {
      const answered = all.filter((pair) => pair.similarity >= threshold && !(guard && pair.refused !== undefined))
      const right = answered.filter(({ kind }) => kind === "paraphrase").length
      return {
        threshold,
        guard,
        answered: answered.length,
        precision: answered.length === 0 ? 1 : right / answered.length,
        recall: right / same
      }
    })
  )
}

const printTable = (name: string, all: ReadonlyArray<Measured>): void => {
  const same = all.filter(({ kind }) => kind === "paraphrase").length
  console.log(`\n${name}: ${all.length} pairs, ${same} of the same meaning`)
  console.log("guard  threshold  answered  precision  recall")
  for (const { answered, guard, precision, recall, threshold } of linesOf(all)) {
    const cells = [threshold.toFixed(2).padStart(9), String(answered).padStart(8), precision.toFixed(3).padStart(9)]
    console.log(`${guard ? "on   " : "off  "}  ${cells.join("  ")}  ${recall.toFixed(3).padStart(6)}`)
  }
}

const print = (all: ReadonlyArray<Measured>): void => {
  printTable("all", all)
  printTable(
    "held out",
    all.filter(({ set }) => set === "held-out")
  )
  if (!process.argv.includes("--verbose")) return
  for (const { a, b, kind, refused, similarity } of all) {
    const wrong = kind === "paraphrase" ? refused !== undefined : refused === undefined
    if (wrong) console.log(`${similarity.toFixed(3)} ${kind} ${refused ?? "let through"}: ${a} | ${b}`)
  }
}

if (import.meta.main) print(await Effect.runPromise(measured))
