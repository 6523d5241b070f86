export * as Sqlite from "./Sqlite.ts"
export * as SqlLedgerStore from "./SqlLedgerStore.ts"
