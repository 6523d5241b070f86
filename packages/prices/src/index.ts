export * as Prices from "./Prices.ts"
