export * as MiniLM from "./MiniLM.ts"
