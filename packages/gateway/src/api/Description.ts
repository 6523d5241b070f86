/** What the paths take and answer, for `/openapi.json`: a test asks every path by this description. */

const text = (description: string) => ({ type: "string", description })
const texts = { type: "array", items: { type: "string" } }
const number = (minimum: number, maximum: number) => ({ type: "number", minimum, maximum })
const whole = (minimum: number) => ({ type: "integer", minimum })

const model = text("`provider/model`, an alias, a route, or `auto`")
const fallbacks = { ...texts, maxItems: 16, description: "Who is asked next, in order" }

const message = (roles: ReadonlyArray<string>) => ({
  type: "object",
  required: ["role", "content"],
  properties: {
    role: { enum: roles },
    content: {
      anyOf: [{ type: "string" }, { type: "array", minItems: 1, items: { $ref: "#/components/schemas/TextPart" } }]
    }
  },
  additionalProperties: true
})

const chat = {
  type: "object",
  required: ["model", "messages"],
  properties: {
    model,
    messages: {
      type: "array",
      minItems: 1,
      items: message(["system", "user", "assistant"]),
      contains: message(["user"])
    },
    stream: { type: "boolean" },
    fallbacks,
    max_tokens: whole(1),
    temperature: number(0, 2),
    top_p: number(0.01, 1),
    seed: { type: "integer" },
    stop: { anyOf: [{ type: "string" }, texts] },
    user: { type: "string" }
  },
  additionalProperties: true
}

const messages = {
  type: "object",
  required: ["model", "max_tokens", "messages"],
  properties: {
    model,
    max_tokens: whole(1),
    messages: { type: "array", minItems: 1, items: message(["user", "assistant"]), contains: message(["user"]) },
    system: { type: "string" },
    stream: { type: "boolean" },
    fallbacks,
    temperature: number(0, 1),
    stop_sequences: texts
  },
  additionalProperties: true
}

const tokens = { type: "array", minItems: 1, items: whole(0) }

const embeddings = {
  type: "object",
  required: ["model", "input"],
  properties: {
    model,
    input: {
      anyOf: [
        { type: "string", minLength: 1 },
        { type: "array", minItems: 1, items: { type: "string", minLength: 1 } },
        tokens,
        { type: "array", minItems: 1, items: tokens }
      ]
    },
    dimensions: whole(1),
    encoding_format: { enum: ["float", "base64"] },
    user: { type: "string" }
  },
  additionalProperties: true
}

const breaker = {
  type: "object",
  required: ["key", "action"],
  properties: {
    key: text("`provider/model`"),
    action: { enum: ["reset", "force-open", "force-closed", "disable", "release"] },
    route: { ...text("The name of a route"), examples: ["default"] }
  }
}

/** The bodies of paths that take one. */
export const bodies: { readonly [path: string]: object } = {
  "/v1/chat/completions": chat,
  "/v1/messages": messages,
  "/v1/embeddings": embeddings,
  "/admin/breakers": breaker
}

const query = (name: string, schema: object, description: string) => ({ name, in: "query", schema, description })
const header = (name: string, schema: object, description: string) => ({ name, in: "header", schema, description })

const labels = { type: "string", pattern: "^[\\x21-\\x7e]{1,128}$" }

const controls = [
  header("x-breakwater-timeout", { type: "string", examples: ["30s"] }, "For the whole call"),
  header("x-breakwater-strict", { enum: ["true", "false"] }, "Nobody but the first target answers"),
  header("x-breakwater-stream-policy", { enum: ["fail", "continue", "buffer"] }, "What becomes of a broken stream"),
  header("x-breakwater-cache", { enum: ["no-cache", "no-store", "read-only", "off"] }, "What caches may do"),
  header("x-breakwater-budget", { type: "string", examples: ["0.05"] }, "The most the request may cost, in dollars"),
  header("x-breakwater-user", labels, "For budgets and queues"),
  header("x-breakwater-project", labels, "For budgets"),
  header("x-breakwater-tags", { type: "string", examples: ["a,b"] }, "For budgets"),
  header("x-breakwater-priority", { enum: ["interactive", "batch"] }, "Who goes first where calls wait")
]

const instant = (example: string) => ({ type: "string", examples: [example], description: "ISO 8601" })
const dimensions = ["tenant", "user", "project", "key", "tag", "provider", "model", "operation", "outcome"]

const valuesOf: { readonly [dimension: string]: object } = {
  operation: { enum: ["generate", "embed"] },
  outcome: { enum: ["success", "failure", "interrupted"] }
}

/** Parameters beside that of the path. */
export const parameters: { readonly [path: string]: ReadonlyArray<object> } = {
  "/v1/chat/completions": controls,
  "/v1/messages": controls,
  "/v1/embeddings": controls,
  "/admin/snapshot": [
    query("mergeable", { enum: ["true", "false"] }, "The summary in a form that adds up with those of other gateways")
  ],
  "/admin/requests": [
    query("limit", { type: "integer", minimum: 1, maximum: 9_999 }, "How many"),
    query("outcome", { enum: ["success", "failure", "interrupted"] }, "Only these")
  ],
  "/admin/audit": [
    query("limit", { type: "integer", minimum: 1, maximum: 9_999 }, "How many"),
    query("before", { type: "integer", minimum: 1 }, "Only entries before this one"),
    query("outcome", { enum: ["success", "failure", "interrupted", "refused"] }, "Only these"),
    ...["action", "tenant", "user", "key", "requestId", "flag"].map((name) =>
      query(name, { type: "string" }, "Only this value")
    )
  ],
  "/admin/usage": [
    query("by", { enum: [...dimensions, "hour", "day", "week", "month"] }, "What to tell apart; several with commas"),
    query("from", instant("2026-11-01"), "From this day or instant on; 30 days before `to`"),
    query("to", instant("2026-12-01"), "To before this; now"),
    query("timeZone", { type: "string", examples: ["Europe/Berlin"] }, "Of days and longer"),
    ...dimensions.map((name) => query(name, valuesOf[name] ?? { type: "string" }, "Only this value"))
  ]
}

/** What is answered where it is not JSON. */
export const contents: { readonly [path: string]: string } = {
  "/metrics": "text/plain",
  "/admin/events": "text/event-stream",
  "/dashboard": "text/html",
  "/dashboard/{id}": "*/*"
}

const error = (more: object) => ({
  type: "object",
  required: ["message", "type"],
  properties: { message: { type: "string" }, type: { type: "string" }, ...more }
})

/** Schemas that are named. */
export const components = {
  TextPart: {
    type: "object",
    required: ["type", "text"],
    properties: { type: { enum: ["text"] }, text: { type: "string" } }
  },
  Error: {
    type: "object",
    required: ["error"],
    properties: {
      error: error({
        param: { anyOf: [{ type: "string" }, { type: "null" }] },
        code: { anyOf: [{ type: "string" }, { type: "null" }] }
      })
    }
  },
  AnthropicError: {
    type: "object",
    required: ["type", "error"],
    properties: { type: { enum: ["error"] }, error: error({}), request_id: { type: "string" } }
  }
}
