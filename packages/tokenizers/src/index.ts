export * as Encodings from "./Encodings.ts"
export * as Tokenizers from "./Tokenizers.ts"
export * as Windows from "./Windows.ts"
