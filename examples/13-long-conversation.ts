// A long conversation that never overflows the window: what does not fit any more is left out, oldest first, before
// anything is sent; what the system said stays, and a summary says what the rest was about.
//
// The program itself does nothing for it: it keeps all messages, and sends all of them every time. This model refuses a
// prompt that is above its window, as real ones do.
//
// Run: npx node examples/13-long-conversation.ts
// expect: 60 turns, 0 refused by the model
// expect: the system message was always there: true
// expect: without it: ContextLengthError
import { ContextWindow, Events, LLM, LLMProvider, Message, Tokenizer } from "@breakwater/core"
import { Failures, ScriptedProvider } from "@breakwater/testing"
import { Console, Effect, Layer } from "effect"

const window = 1_000
const rules = "You are a patient guide to the sea."

/** As this model counts: a token for four characters. */
const tokensOf = (messages: ReadonlyArray<Message.Message>): number =>
  messages.reduce((sum, each) => sum + Math.ceil(Message.textOf(each).length / 4), 0)

let [largest, refused, withRules, answered] = [0, 0, true, 0]
const model = ScriptedProvider.layer({
  name: "demo",
  script: (request) => {
    if (!("messages" in request)) return ScriptedProvider.die("it embeds nothing")
    const tokens = tokensOf(request.messages)
    if (tokens + (request.maxTokens ?? 0) > window) {
      refused++
      return ScriptedProvider.fail(Failures.contextLength(window, tokens))
    }
    largest = Math.max(largest, tokens)
    withRules &&= request.messages[0]?.role === "system" && Message.textOf(request.messages[0]).includes(rules)
    answered++
    return `Answer ${answered}. ${"The tide comes in, and the tide goes out. ".repeat(5)}`
  }
})

/** A summary may come from a cheap model; here it only counts. */
const context = ContextWindow.layer({
  windows: { "demo/small": window },
  strategy: {
    summarise: ({ dropped }) => Effect.succeed(`${dropped.length} earlier messages about the sea.`),
    maxTokens: 50
  }
}).pipe(Layer.provide(Tokenizer.layer()))

const conversation = Effect.gen(function* () {
  const messages: Array<Message.Message> = [Message.system(rules)]
  for (let turn = 1; turn <= 60; turn++) {
    messages.push(Message.user(`Question ${turn}: what does the sea do now?`))
    const answer = yield* LLM.generate({ prompt: messages, maxTokens: 200 })
    messages.push(Message.assistant(answer.text))
  }
  return messages
})

let [dropped, fits] = [0, 0]
const layerWith = (policy: Layer.Layer<ContextWindow.ContextWindow, unknown>) =>
  LLM.layer({ targets: ["demo/small"] }).pipe(
    Layer.provide(policy),
    Layer.provide([LLM.layerNoPolicies, LLMProvider.layer(model)])
  )

const program = Effect.gen(function* () {
  const messages = yield* Effect.provide(conversation, layerWith(context)).pipe(
    Events.listen((event) => {
      if (event.type !== "context-fitted") return
      fits++
      dropped = Math.max(dropped, event.droppedMessages)
    })
  )
  yield* Console.log(`${answered} turns, ${refused} refused by the model`)
  yield* Console.log(`all of it: ${tokensOf(messages)} tokens; the largest prompt: ${largest} of ${window}`)
  yield* Console.log(`${fits} prompts were fitted; at most ${dropped} messages were left out of one`)
  yield* Console.log(`the system message was always there: ${withRules}`)

  const error = yield* Effect.flip(Effect.provide(conversation, layerWith(ContextWindow.layerNoop)))
  yield* Console.log(`without it: ${(error as { readonly _tag: string })._tag}`)
})

await Effect.runPromise(program)
