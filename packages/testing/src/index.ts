export * as Failures from "./Failures.ts"
export * as FaultInjector from "./FaultInjector.ts"
export * as ScriptedProvider from "./ScriptedProvider.ts"
export * as Upstream from "./upstream/Upstream.ts"
