export * as RedisStores from "./redis/RedisStores.ts"
