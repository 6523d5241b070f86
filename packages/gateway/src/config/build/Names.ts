/** What the names of requests stand for. */
import { Model } from "@breakwater/core"
import type { GatewayConfig, Route } from "../Schema.ts"

/** The target of an entry of a route. */
export const targetOf = (each: Route["targets"][number]): string => (typeof each === "string" ? each : each.target)

/** Aliases written out, and models of the only provider, or of the one that lists them, with its name in front. */
export const canonical = (config: GatewayConfig): ((text: string) => string | undefined) => {
  const names = Object.keys(config.providers)
  const only = names.length === 1 ? names[0] : undefined
  const listed = new Map<string, string>()
  for (const name of names)
    for (const model of config.providers[name]!.models ?? []) if (!listed.has(model)) listed.set(model, name)
  return (text) => {
    const name = Object.hasOwn(config.aliases ?? {}, text) ? config.aliases![text]! : text
    const owner = listed.get(name)
    const ref = Model.parseTarget(name, (provider) => Object.hasOwn(config.providers, provider), owner ?? only)
    return ref === undefined ? undefined : Model.targetId(ref)
  }
}

/** Every name that is listed. */
export const modelsOf = (config: GatewayConfig): ReadonlyArray<{ readonly id: string; readonly ownedBy: string }> => [
  ...Object.keys(config.routes ?? {}).map((id) => ({ id, ownedBy: "route" })),
  ...Object.keys(config.aliases ?? {}).map((id) => ({ id, ownedBy: "alias" })),
  ...Object.entries(config.providers).flatMap(([name, { models = [] }]) =>
    models.map((model) => ({ id: `${name}/${model}`, ownedBy: name }))
  )
]
