/**
 * What an estimate of tokens goes by: a text's words, digits, punctuation and letters of each kind of script, counted
 * in one pass over its UTF-16 units.
 *
 * Tokenizers of byte pairs cut a text into words, runs of punctuation and groups of three digits before they merge
 * anything, so words and runs say more than characters do. What a letter costs beyond that is a matter of its script.
 */

/** The features, in the order of the weights. */
export const features = [
  "words",
  "longLetters",
  "oddCapitals",
  "foreignLetters",
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

export type Feature = (typeof features)[number]

const at = Object.fromEntries(features.map((name, index) => [name, index])) as Record<Feature, number>

/** Letters of a word beyond these are likely to need another token. */
const longWord = 6

/** An accent makes its word and so many after it words of a language that is not English: they cost more. */
const foreignFor = 20

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

const classOf = (unit: number): number => {
  if (unit >= 128) return kinds.other
  if ((unit >= 97 && unit <= 122) || (unit >= 65 && unit <= 90)) return kinds.letter
  if (unit >= 48 && unit <= 57) return kinds.digit
  if (unit === 10 || unit === 13) return kinds.break
  return unit === 32 || (unit >= 9 && unit <= 12) ? kinds.space : kinds.punctuation
}

const ascii = Uint8Array.from({ length: 128 }, (_, unit) => classOf(unit))

/** Counts the features of `text` from `start` to `end`. */
export const featuresOf = (text: string, start = 0, end = text.length): Float64Array => {
  const out = new Float64Array(features.length)
  let previous = -1
  let run = 0
  let foreign = 0
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 128) {
      const feature = blocks[unit >> 4]!
      out[feature]! += 1
      if (feature === at.latinExtended || feature === at.vietnamese) {
        // Accents do not end a word.
        if (previous !== kinds.letter) {
          out[at.words]! += 1
          run = 0
        }
        if (++run > longWord) out[at.foreignLetters]! += 1
        foreign = foreignFor
        previous = kinds.letter
      } else previous = kinds.other
      continue
    }
    const kind = ascii[unit]!
    const same = kind === previous
    run = same ? run + 1 : 1
    if (kind === kinds.letter) {
      const capital = unit < 97
      if (!same) {
        out[at.words]! += 1
        if (foreign > 0) foreign--
      } else if (capital) out[at.oddCapitals]! += 1
      if (run > longWord) out[foreign > 0 ? at.foreignLetters : at.longLetters]! += 1
    } else if (kind === kinds.digit) {
      if (run % 3 === 1) out[at.digitGroups]! += 1
    } else if (kind === kinds.punctuation) {
      out[same ? at.punctuationRest : at.punctuationRuns]! += 1
    } else if (kind === kinds.space && run === 2) out[at.spaceRuns]! += 1
    previous = kind
  }
  return out
}
