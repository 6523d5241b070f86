/** What the process ends with. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"

let whenInterrupted: number | undefined
let signal: "SIGINT" | "SIGTERM" = "SIGINT"

/** Sets the exit code after Ctrl-C and its like: a server that was asked to stop, and did, has not failed. */
export const onInterrupt = (code: number): void => {
  whenInterrupted = code
}

/** Notes which signal has come: 130 and 143 are what shells expect after SIGINT and SIGTERM. */
export const watchSignals = (): void => {
  process.once("SIGTERM", () => {
    signal = "SIGTERM"
  })
}

export const teardown: Runtime.Teardown = (exit, onExit) => {
  if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) {
    return onExit(whenInterrupted ?? (signal === "SIGTERM" ? 143 : 130))
  }
  Runtime.defaultTeardown(exit, onExit)
}
