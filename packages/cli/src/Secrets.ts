/**
 * Keys that must not be shown. A provider that refuses a key may well repeat it in its message, so everything that the
 * command writes passes through here.
 */

const secrets = new Set<string>()

/** Texts this short are no keys, and would be found everywhere. */
const shortest = 8

/** Remembers a key, or several with commas between, as something not to be shown. */
export const keepSecret = (value: string | undefined): void => {
  for (const each of (value ?? "").split(",")) {
    if (each.trim().length >= shortest) secrets.add(each.trim())
  }
}

/** Remembers the keys in an environment. */
export const keepSecretsOf = (environment: Readonly<Record<string, string | undefined>>): void => {
  for (const [name, value] of Object.entries(environment)) {
    if (/(?:_API_KEY|^HF_TOKEN)$/.test(name)) keepSecret(value)
  }
}

/** The text without the keys. */
export const hideSecrets = (text: string): string => {
  let out = text
  for (const secret of secrets) out = out.replaceAll(secret, "[key]")
  return out
}
