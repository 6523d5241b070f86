/**
 * What an estimate of tokens goes by: a text's words, digits, punctuation and letters of each kind of script, and every
 * pair of letters that follow each other, counted in one pass over its UTF-16 units.
 *
 * Tokenizers of byte pairs cut a text into words, runs of punctuation and groups of three digits before they merge
 * anything, so words and runs say more than characters do. What is merged in a word is what is frequent: a pair of
 * letters that is common in the vocabulary's languages costs little, another one more.
 */

/** The features, in the order of the weights. */
export const features = [
  "words",
  "oddCapitals",
  "digitGroups",
  "punctuationRuns",
  "punctuationRest",
  "spaceRuns",
  "latinExtended",
  "vietnamese",
  "cyrillic",
  "greek",
  "hebrew",
  "arabic",
  "devanagari",
  "bengali",
  "otherIndic",
  "thai",
  "kana",
  "ideographs",
  "hangul",
  "symbols",
  "astral",
  "other"
] as const

type Feature = (typeof features)[number]

const at = Object.fromEntries(features.map((name, index) => [name, index])) as Record<Feature, number>

// Ends of ranges of UTF-16 units, each with the feature of the units below it that no earlier range has.
const ranges: ReadonlyArray<readonly [end: number, feature: number]> = [
  [0xc0, at.symbols],
  [0x1a0, at.latinExtended],
  [0x1b1, at.vietnamese],
  [0x300, at.latinExtended],
  [0x370, at.vietnamese],
  [0x400, at.greek],
  [0x530, at.cyrillic],
  [0x590, at.other],
  [0x600, at.hebrew],
  [0x780, at.arabic],
  [0x900, at.other],
  [0x980, at.devanagari],
  [0xa00, at.bengali],
  [0xe00, at.otherIndic],
  [0xf00, at.thai],
  [0x1e00, at.other],
  [0x1f00, at.vietnamese],
  [0x2000, at.greek],
  [0x2e80, at.symbols],
  [0x3000, at.ideographs],
  [0x3040, at.symbols],
  [0x3100, at.kana],
  [0x3400, at.other],
  [0xa000, at.ideographs],
  [0xac00, at.other],
  [0xd800, at.hangul],
  [0xe000, at.astral],
  [0xf900, at.other],
  [0xfb00, at.ideographs],
  [0xfe00, at.arabic],
  [0xfe70, at.symbols],
  [0xff00, at.arabic],
  [0x10000, at.symbols]
]

/** The feature of each block of 16 units: looked up once a character. */
const blocks = Uint8Array.from({ length: 0x1000 }, (_, block) => ranges.find(([end]) => block * 16 < end)![1])

const kinds = { other: 0, letter: 1, digit: 2, space: 3, break: 4, punctuation: 5 } as const

const kindOf = (unit: number): number => {
  if ((unit >= 97 && unit <= 122) || (unit >= 65 && unit <= 90)) return kinds.letter
  if (unit >= 48 && unit <= 57) return kinds.digit
  if (unit === 10 || unit === 13) return kinds.break
  return unit === 32 || (unit >= 9 && unit <= 12) ? kinds.space : kinds.punctuation
}

const ascii = Uint8Array.from({ length: 128 }, (_, unit) => kindOf(unit))

/** Kinds of pairs of letters: each pair is of one of them, by a hash. */
export const pairKinds = 4_096

/** The kind of a pair of units, the first of them 0 at the beginning of a word, the second 0 at its end. */
export const pairOf = (first: number, second: number): number => {
  const mixed = Math.imul(first, 0x9e3779b1) + Math.imul(second, 0x85ebca6b)
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 20
}

/** Letters of ASCII by their lowest five bits, small or capital; 0 for all else in ASCII. */
const letterCodes = Uint8Array.from({ length: 128 }, (_, unit) => (ascii[unit] === kinds.letter ? unit & 31 : 0))

/** What pairs of ASCII letters weigh: the most of most texts, so that they are looked up without a hash. */
export const lettersOf = (pairs: Int8Array): Int8Array => {
  const unitOf = (code: number): number => (code === 0 ? 0 : code + 96)
  return Int8Array.from({ length: 1_024 }, (_, pair) =>
    pair === 0 ? 0 : pairs[pairOf(unitOf(pair >> 5), unitOf(pair & 31))]!
  )
}

const tally = new Int32Array(features.length)

/**
 * Counts the features of a text into `counts`, and answers with the sum of `pairs` over its pairs of letters, of which
 * `letters` are those of ASCII. Capitals of ASCII count as small letters in pairs.
 *
 * Words of ASCII letters have a loop of their own, with whole numbers: they are what most texts are made of.
 */
export const scan = (text: string, counts: Float64Array, pairs: Int8Array, letters: Int8Array): number => {
  tally.fill(0)
  let [words, oddCapitals] = [0, 0]
  let [digitGroups, punctuationRuns, punctuationRest, spaceRuns] = [0, 0, 0, 0]
  let sum = 0
  let previous: number = -1
  // The letter before, as a code; or the unit before, if it is not of ASCII.
  let before = 0
  let run = 0
  const end = text.length
  let i = 0
  while (i < end) {
    let unit = text.charCodeAt(i++)
    if (unit >= 128) {
      const feature = blocks[unit >> 4]!
      tally[feature]! += 1
      sum += pairs[pairOf(before !== 0 && before < 128 ? before + 96 : before, unit)]!
      before = unit
      if (feature === at.latinExtended || feature === at.vietnamese) {
        // Accents do not end a word.
        if (previous !== kinds.letter) words++
        previous = kinds.letter
      } else previous = kinds.other
      continue
    }
    let code = letterCodes[unit]!
    if (code !== 0) {
      sum += before < 128 ? letters[(before << 5) | code]! : pairs[pairOf(before, code + 96)]!
      if (previous !== kinds.letter) words++
      else if (unit < 97) oddCapitals++
      before = code
      while (i < end) {
        unit = text.charCodeAt(i)
        if (unit >= 128) break
        code = letterCodes[unit]!
        sum += letters[(before << 5) | code]!
        before = code
        if (code === 0) break
        if (unit < 97) oddCapitals++
        i++
      }
      previous = kinds.letter
      continue
    }
    if (before !== 0) {
      sum += pairs[pairOf(before, 0)]!
      before = 0
    }
    const kind = ascii[unit]!
    const same = kind === previous
    previous = kind
    run = same ? run + 1 : 1
    if (kind === kinds.space) {
      if (run === 2) spaceRuns++
    } else if (kind === kinds.punctuation) {
      if (same) punctuationRest++
      else punctuationRuns++
    } else if (kind === kinds.digit && run % 3 === 1) digitGroups++
  }
  for (let feature = 0; feature < tally.length; feature++) counts[feature]! += tally[feature]!
  counts[at.words]! += words
  counts[at.oddCapitals]! += oddCapitals
  counts[at.digitGroups]! += digitGroups
  counts[at.punctuationRuns]! += punctuationRuns
  counts[at.punctuationRest]! += punctuationRest
  counts[at.spaceRuns]! += spaceRuns
  return sum
}
