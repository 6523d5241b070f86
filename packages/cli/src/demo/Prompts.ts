/** The prompts of the demonstration. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { SettingError } from "../Failure.ts"

/** The folder of this package; this file is in `src/demo` or `dist/demo`. */
const packageFolder = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** In the workspace its examples; in an installed package the copy that comes with it. */
const defaultFile = (fs: FileSystem.FileSystem): Effect.Effect<string> => {
  const examples = join(packageFolder, "..", "..", "examples")
  return Effect.map(
    Effect.orElseSucceed(fs.exists(examples), () => false),
    (inWorkspace) => (inWorkspace ? join(examples, "prompts.txt") : join(packageFolder, "prompts.txt"))
  )
}

const fail = (message: string) => Effect.fail(new SettingError({ message }))

/** One prompt a line. Empty lines and those that begin with `#` are left out. */
export const load = (
  file: string | undefined
): Effect.Effect<ReadonlyArray<string>, SettingError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = file ?? (yield* defaultFile(fs))
    const text = yield* Effect.catch(fs.readFileString(path), (error) =>
      fail(`the file of prompts ${path} cannot be read (${error.reason._tag}); name another with --prompts FILE`)
    )
    const prompts = text
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "" && !line.startsWith("#"))
    return prompts.length === 0 ? yield* fail(`the file of prompts ${path} holds none; write one a line`) : prompts
  })
