/** `GET /openapi.json`: the paths, made from the table of routes. */
import type * as Effect from "effect/Effect"
import { bodies, components, contents, parameters } from "../api/Description.ts"
import type { Route } from "../api/Routes.ts"
import type { Exchange } from "../internal/Exchange.ts"
import { version } from "../internal/Version.ts"

const errorOf = (path: string) => ({
  description: "An error",
  content: {
    "application/json": {
      schema: { $ref: `#/components/schemas/${path === "/v1/messages" ? "AnthropicError" : "Error"}` }
    }
  }
})

const idOf = { name: "id", in: "path", required: true, schema: { type: "string" } }

const operation = ({ method, path, scope, summary }: Route) => {
  const more = [...(path.endsWith("{id}") ? [idOf] : []), ...(parameters[path] ?? [])]
  return {
    summary,
    ...(scope === undefined ? { security: [] } : { description: `Needs the scope \`${scope}\`.` }),
    ...(more.length === 0 ? {} : { parameters: more }),
    ...(method === "POST"
      ? { requestBody: { required: true, content: { "application/json": { schema: bodies[path] ?? {} } } } }
      : {}),
    responses: {
      "200": { description: "OK", content: { [contents[path] ?? "application/json"]: {} } },
      ...(path === "/ready" ? { "503": { description: "Not ready", content: { "application/json": {} } } } : {}),
      default: errorOf(path)
    }
  }
}

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
      },
      schemas: components
    },
    security: [{ bearer: [] }, { key: [] }],
    paths
  }
}

export const openApi = (routes: () => ReadonlyArray<Route>) => {
  let text: string | undefined
  return (exchange: Exchange): Effect.Effect<void> => exchange.send(200, (text ??= JSON.stringify(describe(routes()))))
}
