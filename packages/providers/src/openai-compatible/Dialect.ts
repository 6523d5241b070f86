/**
 * How a server's wire differs from OpenAI's. Everything has a default, which suits most compatible servers.
 */

export interface Dialect {
  /** The name of the limit of the answer. Default: `max_tokens`; OpenAI itself wants `max_completion_tokens`. */
  readonly maxTokensField?: "max_tokens" | "max_completion_tokens"
  /** Where the effort of reasoning goes. Default: `reasoning_effort`; `reasoning` is OpenRouter's object. */
  readonly reasoningField?: "reasoning_effort" | "reasoning"
  /** Whether `top_k` is known. Default: `true`. Where it is not, it is left out. */
  readonly topK?: boolean
  /** Fields sent with every chat request, under the caller's `extra`. */
  readonly chatFields?: Readonly<Record<string, unknown>>
  /** Fields sent when the last message is to be continued. */
  readonly prefillFields?: Readonly<Record<string, unknown>>
  /** The server reports some errors as the text of a successful answer (LM Studio). Default: `false`. */
  readonly errorsInText?: boolean
}
