/** `GET /openapi.json`: the paths, made from the table of routes. */
import type * as Effect from "effect/Effect"
import type { Route } from "../api/Routes.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { version } from "../internal/Version.ts"

const chatSchema = {
  type: "object",
  required: ["model", "messages"],
  properties: {
    model: { type: "string", description: "provider/model, an alias, a route, or auto" },
    messages: { type: "array", minItems: 1, items: { type: "object" } },
    stream: { type: "boolean" },
    fallbacks: { type: "array", items: { type: "string" } }
  },
  additionalProperties: true
}

const schemas: { readonly [path: string]: object } = {
  "/v1/chat/completions": chatSchema,
  "/v1/messages": { ...chatSchema, required: ["model", "max_tokens", "messages"] },
  "/v1/embeddings": {
    type: "object",
    required: ["model", "input"],
    properties: {
      model: { type: "string" },
      input: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] }
    },
    additionalProperties: true
  },
  "/admin/breakers": {
    type: "object",
    required: ["key", "action"],
    properties: {
      key: { type: "string" },
      action: { enum: ["reset", "force-open", "force-closed", "disable", "release"] },
      route: { type: "string" }
    }
  }
}

const error = { content: { "application/json": { schema: { type: "object" } } } }

const operation = ({ method, path, scope, summary }: Route) => ({
  summary,
  ...(scope === undefined ? { security: [] } : {}),
  ...(path.endsWith("{id}")
    ? { parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }] }
    : {}),
  ...(method === "POST"
    ? { requestBody: { required: true, content: { "application/json": { schema: schemas[path] ?? {} } } } }
    : {}),
  responses: { "200": { description: "OK" }, default: { description: "An error", ...error } }
})

/** The description of a table of routes. */
const describe = (routes: ReadonlyArray<Route>): object => {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route)
  return {
    openapi: "3.1.0",
    info: { title: "Breakwater gateway", version },
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        key: { type: "apiKey", in: "header", name: "x-api-key" }
      }
    },
    security: [{ bearer: [] }, { key: [] }],
    paths
  }
}

export const openApi = (routes: () => ReadonlyArray<Route>) => {
  let text: string | undefined
  return (exchange: Exchange): Effect.Effect<void> => exchange.send(200, (text ??= JSON.stringify(describe(routes()))))
}
