/**
 * Tells questions that only look alike from questions that mean the same.
 *
 * Embeddings place "10 USD" beside "100 USD", and "enable" beside "disable": nearer than most paraphrases, so that no
 * threshold parts them. These rules look at what such pairs differ in. They would rather pay for a call than give a
 * wrong answer. The words are English; numbers, quoted texts, codes and names work in most languages.
 */
import { fillers, negations, numberWords, opposites, past, synonyms, units } from "./nearMissWords.ts"

/** What two questions differ in. */
export type NearMiss = "numbers" | "units" | "negation" | "quoted" | "names" | "opposites" | "tense" | "order" | "words"

interface Reading {
  readonly tokens: ReadonlyArray<string>
  readonly numbers: ReadonlyArray<string>
  readonly units: ReadonlyArray<string>
  readonly negations: number
  readonly quoted: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
  /** What the question is about: no fillers, endings cut. */
  readonly matter: ReadonlyArray<string>
}

/** Longer questions are compared by their first characters only. */
const maxCharacters = 20_000

const quotedTexts =
  /"([^"\n]{1,200})"|“([^”\n]{1,200})”|`([^`\n]{1,200})`|(?<![\p{L}\p{N}])'([^'\n]{1,200})'(?![\p{L}\p{N}])/gu
/** A word that is more than a word: an address, a path, a code, a version, a name with signs in it. */
const isCode = (word: string): boolean => /[@_/\\#:=<>]|[\p{L}]\d|\d[\p{L}]|\p{Ll}\p{Lu}|\.\p{L}/u.test(word)
const wordPattern = /[$€£%]|[\p{L}\p{N}](?:[\p{L}\p{N}]|[.,'’_@/\\:#+*&=<>-](?=[\p{L}\p{N}]))*[+#]*/gu

const stem = (word: string): string => {
  if (word.length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`
  if (word.length > 3 && word.endsWith("s") && !word.endsWith("ss") && !word.endsWith("us") && !word.endsWith("is")) {
    return word.slice(0, -1)
  }
  return word
}

/** The plain forms a word may be an inflection of. */
const forms = (word: string): ReadonlyArray<string> => {
  const out = [word, stem(word)]
  for (const ending of ["ing", "ed", "d", "er"]) {
    if (word.length <= ending.length + 2 || !word.endsWith(ending)) continue
    const base = word.slice(0, -ending.length)
    out.push(base, `${base}e`)
    if (base.at(-1) === base.at(-2)) out.push(base.slice(0, -1))
  }
  return out
}

const numberOf = (word: string): string | undefined => {
  const known = numberWords.get(word)
  if (known !== undefined) return known
  const match = /^(\d[\d.,]*)(st|nd|rd|th|s|k|m)?$/.exec(word)
  if (match === null) return undefined
  const plain = match[1]!.replaceAll(/,(?=\d{3}(?:\D|$))/g, "")
  const value = Number(plain)
  return `${Number.isNaN(value) ? plain : value}${match[2] ?? ""}`
}

const read = (question: string): Reading => {
  const text = question.slice(0, maxCharacters).replaceAll("’", "'")
  const quoted = Array.from(text.matchAll(quotedTexts), (match) => match.slice(1).find(Boolean)!.toLowerCase())
  const out = {
    tokens: [] as Array<string>,
    numbers: [] as Array<string>,
    units: [] as Array<string>,
    names: [] as Array<string>,
    matter: [] as Array<string>
  }
  let negated = 0
  for (const match of text.matchAll(wordPattern)) {
    const raw = match[0]
    const word = raw.toLowerCase().replace(/'s$/, "")
    const bare = word.replaceAll("'", "")
    out.tokens.push(word)
    if (negations.has(bare) || word.endsWith("n't")) {
      negated++
      continue
    }
    const split = /^(\d[\d.,]*)(\p{L}{1,4})$/u.exec(word)
    const [amount, unitText] = split !== null && units.has(split[2]!) ? [split[1]!, split[2]!] : [word, word]
    const number = numberOf(amount)
    if (number !== undefined) out.numbers.push(number)
    const unit = units.get(unitText) ?? units.get(stem(unitText))
    if (unit !== undefined) out.units.push(unit)
    if (number !== undefined || unit !== undefined) continue
    if (isCode(raw)) quoted.push(word)
    else if (isName(raw, text, match.index)) out.names.push(stem(word))
    if (!fillers.has(bare)) out.matter.push(synonyms.get(word) ?? synonyms.get(stem(word)) ?? stem(word))
  }
  return { ...out, quoted, negations: negated }
}

/** A word with a capital that does not owe it to its place; of those that begin a sentence only abbreviations. */
const isName = (raw: string, text: string, at: number): boolean => {
  if (!/^\p{Lu}/u.test(raw) || raw === "I" || raw.startsWith("I'")) return false
  if (raw.length > 1 && raw === raw.toUpperCase()) return true
  const before = text.slice(0, at).trimEnd()
  return before.length > 0 && !/[.!?:\n]$/.test(before)
}

const sameBag = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean =>
  a.length === b.length && a.toSorted().join(" ") === b.toSorted().join(" ")

const sameSet = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean => {
  const inA = new Set(a)
  const inB = new Set(b)
  return inA.size === inB.size && a.every((each) => inB.has(each))
}

/** Every name of one is somewhere in the other, in whatever case. */
const namesWithin = (names: ReadonlyArray<string>, tokens: ReadonlyArray<string>): boolean => {
  if (names.length === 0) return true
  const there = new Set(tokens.map(stem))
  return names.every((name) => there.has(name))
}

const formsOf = (tokens: ReadonlyArray<string>): Set<string> => new Set(tokens.flatMap(forms))

const opposed = (a: Reading, b: Reading): boolean => {
  const inA = formsOf(a.tokens)
  const inB = formsOf(b.tokens)
  for (const word of inA) {
    if (inB.has(word)) continue
    for (const other of opposites.get(word) ?? []) if (inB.has(other) && !inA.has(other)) return true
  }
  return false
}

const isPast = ({ tokens }: Reading): boolean => tokens.some((word) => past.has(word.replaceAll("'", "")))

/** The same words of matter in another order, names and all: who does what to whom may have changed. */
const turned = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean =>
  a.length > 1 && sameBag(a, b) && a.some((word, at) => word !== b[at])

/** Both are about something the other does not mention. */
const differ = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean => {
  const fa = formsOf(a)
  const fb = formsOf(b)
  const without = (these: ReadonlyArray<string>, there: Set<string>) =>
    these.some((word) => !forms(word).some((form) => there.has(form)))
  return without(a, fb) || without(b, fa)
}

/** What two questions differ in that makes their answers differ; `undefined` if nothing of the kind is seen. */
export const nearMiss = (question: string, known: string): NearMiss | undefined => {
  if (question === known) return undefined
  const a = read(question)
  const b = read(known)
  if (!sameBag(a.numbers, b.numbers)) return "numbers"
  if (!sameSet(a.units, b.units)) return "units"
  if (a.negations % 2 !== b.negations % 2) return "negation"
  if (!sameSet(a.quoted, b.quoted)) return "quoted"
  if (!namesWithin(a.names, b.tokens) || !namesWithin(b.names, a.tokens)) return "names"
  if (opposed(a, b)) return "opposites"
  if (isPast(a) !== isPast(b)) return "tense"
  if (turned(a.matter, b.matter) || turned(a.numbers, b.numbers) || turned(a.units, b.units)) return "order"
  return differ(a.matter, b.matter) ? "words" : undefined
}
