/** The `breakwater` command, with its subcommands, for embedding in another program. */
import * as Command from "effect/cli/Command"
import { audit } from "./commands/audit.ts"
import { chat } from "./commands/chat.ts"
import { demo } from "./commands/demo.ts"
import { keys } from "./commands/keys.ts"
import { plan } from "./commands/plan.ts"
import { report } from "./commands/report.ts"
import { serve } from "./commands/serve.ts"
import { upstream } from "./commands/upstream.ts"

/** The command. Run it with `Command.runWith(command, { version })`. */
export const command = Command.make("breakwater").pipe(
  Command.withDescription("Calls to large language models that survive the real world."),
  Command.withSubcommands([demo, chat, report, serve, keys, plan, upstream, audit]),
  Command.withExamples([
    { command: "breakwater demo", description: "Start here: half a minute, no key needed" },
    {
      command: 'breakwater chat "Hello" --model openai/gpt-4.1-mini --verbose',
      description: "Ask, and see what happens"
    },
    {
      command: "breakwater serve --config gateway.json",
      description: "A gateway for OpenAI's and Anthropic's clients"
    },
    { command: "breakwater report --ledger ledger.db", description: "What was spent, and on what?" },
    { command: "breakwater plan --preset batch", description: "What can a call cost at worst?" }
  ])
)
