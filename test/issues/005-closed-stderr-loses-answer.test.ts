/**
 * A reader of stderr that had gone (`--verbose 2> >(head -1)`) ended the command without its answer.
 */
import { expect, it } from "vitest"
import { goodAnswer, launch, startUpstream } from "../e2e/cli/support.ts"

it("the answer is printed though nobody reads what the policies did", async () => {
  const upstream = await startUpstream()
  try {
    const command = 'exec 2> >(exec true); sleep 0.2; "$0" --conditions=breakwater-source packages/cli/src/main.ts "$@"'
    const asked = ["chat", "Hello", "--base-url", upstream.v1, "--model", "good", "--verbose"]
    const ran = await launch("bash", ["-c", command, process.execPath, ...asked])
    expect(ran).toMatchObject({ code: 0, stdout: `${goodAnswer("Hello")}\n` })
  } finally {
    await upstream.stop()
  }
})
