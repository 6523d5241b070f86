/** Several processes of `budget-spender.ts` that begin together. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

export interface Spent {
  readonly admitted: number
  readonly refused: number
  readonly spent: bigint
}

const start = (args: ReadonlyArray<string>) => {
  const script = join(import.meta.dirname, "budget-spender.ts")
  const child = spawn(process.execPath, ["--conditions=breakwater-source", "--no-warnings", script, ...args], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  let said = ""
  const ended = new Promise<Spent>((resolve, reject) => {
    child.once("error", reject)
    child.once("exit", (code) => {
      if (code !== 0) return reject(new Error(`ended with ${code}`))
      const { spent, ...rest } = JSON.parse(said.slice(said.indexOf("\n") + 1)) as Record<string, unknown>
      resolve({ ...rest, spent: BigInt(String(spent)) } as Spent)
    })
  })
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk) => {
      said += String(chunk)
      if (said.includes("\n")) resolve()
    })
  })
  return { child, ended, ready: Promise.race([ready, ended]) }
}

/** What each of two processes was let, making so many calls each. */
export const spendTogether = async (
  url: string,
  calls: number,
  atOnce: number,
  all = false
): Promise<readonly [Spent, Spent]> => {
  const args = [url, `${calls}`, `${atOnce}`, ...(all ? ["all"] : [])]
  const children = [start(args), start(args)] as const
  try {
    await Promise.all(children.map((each) => each.ready))
    for (const { child } of children) child.stdin.write("go\n")
    return await Promise.all([children[0].ended, children[1].ended])
  } finally {
    for (const { child } of children) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL")
        await once(child, "exit")
      }
    }
  }
}
