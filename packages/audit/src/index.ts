export * as Audit from "./Audit.ts"
export * as FileAuditStore from "./FileAuditStore.ts"
export * as KeyRing from "./KeyRing.ts"
