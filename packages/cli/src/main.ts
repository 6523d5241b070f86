/** The program behind `bin/breakwater.js`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import { command } from "./Breakwater.ts"
import { teardown, watchSignals } from "./ExitCode.ts"
import { Ended, reportCause } from "./Failure.ts"
import { helpText } from "./render/Help.ts"
import { jsonLine, oneLine } from "./render/Style.ts"
import { keepSecretsOf } from "./Secrets.ts"
import { stderr, stdout } from "./Terminal.ts"

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
const args = process.argv.slice(2)
const wantsJson = args.includes("--json")

/** What is wrong with the words of a command, as a sentence. */
const usageText = (message: string): string =>
  oneLine(message)
    .replace(/ Did you mean this\? (.+)$/, (_, names: string) => `; did you mean ${names.split(" ").join(" or ")}?`)
    .replace("Expected a string representing a finite number", "Expected a number")

const presenter: CliOutput.Presenter = {
  present: (event) =>
    Effect.sync(() => {
      const out = stdout()
      switch (event._tag) {
        case "Help":
          return out.write(helpText(event.helpDoc, out.style, out.width))
        case "Version":
          return out.write(`${event.name} ${event.version}\n`)
        case "InvalidInvocation": {
          const message = event.errors.map((error) => usageText(error.message)).join("; ")
          if (wantsJson) return out.write(jsonLine({ text: "", error: { tag: "UsageError", message } }))
          const err = stderr()
          return err.write(`${err.style.red("error")} ${message}\nSee ${event.commandPath.join(" ")} --help\n`)
        }
      }
    })
}

/** Without the usual `-v`, which is `--verbose` here. */
const versionFlag: typeof GlobalFlag.Version = GlobalFlag.Action({
  flag: Flag.Boolean("version").pipe(Flag.withDescription("Show the version"), Flag.withDefault(false)),
  run: (_, context) => presenter.present({ _tag: "Version", name: context.command.name, version: context.version })
})

// A reader that has gone (`| head`) is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
// And one of stderr alone does not take the answer away from those who read stdout.
process.stderr.on("error", () => {})
keepSecretsOf(process.env)
watchSignals()

Command.runWith(command, { version })(args).pipe(
  Effect.catchCause((cause) => {
    const error = reportCause(cause)
    if (error === undefined || error.tag === "Ended") return Effect.failCause(cause)
    if (error.tag === "ShowHelp") return Effect.fail(new Ended({ code: args.length === 0 ? 0 : 2 }))
    stderr().write(`error ${error.tag}: ${error.message}\n`)
    return Effect.fail(new Ended({ code: 1 }))
  }),
  Effect.provide(
    Layer.mergeAll(
      NodeServices.layer,
      CliOutput.layerPresenter(presenter),
      CliConfig.layer({ builtIns: [GlobalFlag.Help, versionFlag, GlobalFlag.Completions] })
    )
  ),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown })
)
