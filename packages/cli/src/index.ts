export * as Breakwater from "./Breakwater.ts"
