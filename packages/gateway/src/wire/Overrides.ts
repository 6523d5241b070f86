/**
 * Fields of a body that the gateway does not know go to the provider over what the gateway says itself. These would go over
 * what was checked, reserved or paid for: the length of an answer, the number of answers, the prompt, the count of tokens.
 */
import { isRecord, refuse } from "../internal/Fields.ts"

/** Words of other wires for what each wire has a word of its own for. */
const everywhere = [
  "max_output_tokens",
  "maxOutputTokens",
  "max_tokens_to_sample",
  "max_new_tokens",
  "best_of",
  "num_return_sequences",
  "candidateCount",
  "contents",
  "systemInstruction",
  "system_instruction",
  "prompt"
]

const fields = {
  openai: [...everywhere, "system"],
  anthropic: [...everywhere, "n", "max_completion_tokens", "stream_options"]
}

const ofGemini = ["maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"]

/** Stops the decoder if one of the fields that go on would go over what the gateway accounts for. */
export const checkOverrides = (wire: keyof typeof fields, extra: Readonly<Record<string, unknown>>): void => {
  for (const field of fields[wire]) {
    if (Object.hasOwn(extra, field))
      refuse(field, "it is no field of this wire, and would go over what is accounted for")
  }
  for (const name of ["generationConfig", "generation_config"]) {
    const config = extra[name]
    if (!isRecord(config)) continue
    const over = ofGemini.find((field) => Object.hasOwn(config, field))
    if (over !== undefined) refuse(`${name}.${over}`, "it would go over what is accounted for")
  }
}
