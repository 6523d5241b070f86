/** Words of the OpenTelemetry conventions for generative AI. */
import type { FinishReason } from "../domain/Response.ts"

/** Providers whose name in the conventions is not the one they are usually given here. */
const wellKnown: Readonly<Record<string, string>> = {
  azure: "azure.ai.openai",
  bedrock: "aws.bedrock",
  gemini: "gcp.gemini",
  mistral: "mistral_ai",
  vertex: "gcp.vertex_ai",
  watsonx: "ibm.watsonx.ai",
  xai: "x_ai"
}

/** `gen_ai.provider.name`. */
export const providerName = (name: string): string => (Object.hasOwn(wellKnown, name) ? wellKnown[name]! : name)

/** `gen_ai.operation.name`. */
export const operationName = (operation: "generate" | "stream" | "embed" | undefined): string =>
  operation === "embed" ? "embeddings" : "chat"

/** `finish_reason` of an output message. */
export const finishReason = (reason: FinishReason | undefined): string => {
  switch (reason) {
    case "stop":
    case "length":
      return reason
    case "tool-calls":
      return "tool_call"
    case "content-filter":
      return "content_filter"
    case undefined:
      return "error"
    default:
      return reason
  }
}
