/** Alerts of a configuration: rules, who is told, and what is done by itself. */
import { Remedy, Rules, Webhook } from "@breakwater/alerts"
import * as Schema from "effect/Schema"
import { Duration, flag, Name, opt, Secret, Text, whole } from "./Basics.ts"

const Key = Schema.Struct({
  id: Name.annotate({ description: "The key's name, as the header says it" }),
  secret: Secret.annotate({ description: "At least 16 characters" })
})

const Hook = Schema.Struct({
  url: Secret.annotate({ description: "`https`, or `http` to this machine" }),
  format: opt(
    Schema.Literals(["json", "slack"]),
    "For programs, or for people as Slack takes it",
    Webhook.defaults.format
  ),
  key: opt(Key, "What it is signed with; without it, it is not"),
  allowHttp: opt(flag, "`http` to other machines, too", Webhook.defaults.allowHttp)
})

const HoldOpen = Schema.Struct({
  rules: Schema.Array(Text)
    .check(Schema.isMinLength(1))
    .annotate({ description: "Names of rules whose alerts have a target or a circuit for their key" }),
  for: opt(Duration, "It is given back after this time, even if the alert goes on", "10m"),
  perHour: opt(whole(1, 1_000), "Times an hour at most", Remedy.defaults.perHour)
})

export const Alerts = Schema.Struct({
  rules: opt(Schema.Union([Rules.RuleSet]), "What is watched; without it a recommended set"),
  every: opt(Duration, "How often the rules are looked at", "10s"),
  remindEvery: opt(Duration, "What fires for longer than this is told again", "4h"),
  webhooks: opt(Schema.Array(Hook).check(Schema.isMaxLength(20)), "Who is told"),
  holdOpen: opt(HoldOpen, "Holds the circuit of an alert's key open while it fires; without it nothing is done")
})
export type AlertsConfig = typeof Alerts.Type
