export * as Postgres from "./Postgres.ts"
export * as SqlBudgetStore from "./SqlBudgetStore.ts"
export * as Sqlite from "./Sqlite.ts"
export * as SqlLedgerStore from "./SqlLedgerStore.ts"
