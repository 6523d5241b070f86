/** Every path of the gateway, who may use it, and what answers. */
import type * as Effect from "effect/Effect"
import type { Scope } from "../config/Schema.ts"
import * as Admin from "../handlers/Admin.ts"
import { audit } from "../handlers/AuditLog.ts"
import { alerts } from "../handlers/Alerts.ts"
import type { HandlerError } from "../handlers/Answering.ts"
import { chatCompletions } from "../handlers/ChatCompletions.ts"
import * as Dashboard from "../handlers/Dashboard.ts"
import { embeddings } from "../handlers/Embeddings.ts"
import { health, ready } from "../handlers/Health.ts"
import * as Live from "../handlers/Live.ts"
import { budgets, limits } from "../handlers/Limits.ts"
import { messages } from "../handlers/Messages.ts"
import { metrics } from "../handlers/Metrics.ts"
import { model, models } from "../handlers/Models.ts"
import { openApi } from "../handlers/OpenApi.ts"
import { recentRequest, recentRequests } from "../handlers/RecentRequests.ts"
import { usage } from "../handlers/Usage.ts"
import type { Exchange } from "../internal/Exchange.ts"
import type { Watching } from "../Watch.ts"

type Handler = (exchange: Exchange) => Effect.Effect<void, HandlerError>

export interface Route {
  readonly method: "GET" | "POST"
  /** Exact, or with `{id}` for the rest. */
  readonly path: string
  /** What a caller needs; `undefined` for everybody. */
  readonly scope: Scope | undefined
  /** Whether it counts against limits of requests. */
  readonly limited: boolean
  readonly summary: string
  readonly handler: Handler
}

const open = (path: string, summary: string, handler: Handler): Route => ({
  method: "GET",
  path,
  scope: undefined,
  limited: false,
  summary,
  handler
})

const guarded = (method: Route["method"], path: string, scope: Scope, summary: string, handler: Handler): Route => ({
  method,
  path,
  scope,
  limited: method === "POST" && scope !== "admin",
  summary,
  handler
})

/** What the handlers know of the server. */
interface Surroundings extends Admin.ServerState, Pick<Live.LiveOptions, "detach" | "mayStay"> {
  readonly isDraining: () => boolean
  readonly watch: Watching
}

/** The table. */
export const routesOf = (server: Surroundings): ReadonlyArray<Route> => {
  const { detach, mayStay, watch } = server
  const dashboard = Dashboard.make()
  const live = Live.events({
    hub: watch.live,
    snapshot: (engine) => Admin.snapshotText(server)(engine),
    mayStay,
    detach
  })
  const routes: ReadonlyArray<Route> = [
    guarded("POST", "/v1/chat/completions", "chat", "Chat completions, whole or streamed (OpenAI)", chatCompletions),
    guarded("POST", "/v1/messages", "chat", "Messages, whole or streamed (Anthropic)", messages),
    guarded("POST", "/v1/embeddings", "embeddings", "Embeddings (OpenAI)", embeddings),
    guarded("GET", "/v1/models", "models", "The models that may be asked for", models),
    guarded("GET", "/v1/models/{id}", "models", "One model", model),
    open("/health", "The process answers", health),
    open("/ready", "Requests can be answered", ready(server.isDraining)),
    open(
      "/openapi.json",
      "This description",
      openApi(() => routes)
    ),
    guarded("GET", "/metrics", "metrics", "Metrics for Prometheus", metrics),
    guarded("GET", "/admin/snapshot", "admin", "What the policies know", Admin.snapshot(server)),
    guarded("GET", "/admin/events", "admin", "What the policies do, as it happens", live),
    guarded("GET", "/admin/requests", "admin", "The last requests", recentRequests(watch.recent)),
    guarded("GET", "/admin/requests/{id}", "admin", "One of the last requests", recentRequest(watch.recent)),
    guarded("GET", "/admin/budgets", "admin", "What is spent of every budget", budgets),
    guarded("GET", "/admin/limits", "admin", "What is left of windows, quotas and slots", limits),
    guarded("GET", "/admin/usage", "admin", "What the ledger says was used and spent", usage),
    guarded("GET", "/admin/alerts", "admin", "What fires, and the last incidents", alerts),
    guarded("GET", "/admin/audit", "admin", "The audit log, newest first", audit),
    guarded("GET", "/admin/config", "admin", "The configuration in force, without secrets", Admin.config),
    guarded("GET", "/admin/breakers", "admin", "The circuit breakers", Admin.breakers),
    guarded("POST", "/admin/breakers", "admin", "Resets or holds a circuit breaker", Admin.changeBreaker),
    open("/dashboard", "The dashboard", dashboard),
    open("/dashboard/{id}", "Files of the dashboard", dashboard)
  ]
  return routes
}
