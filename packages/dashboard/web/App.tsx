/** The frame: sections on the side, the link to the gateway above, shortcuts below every key. */
import { createEffect, createSignal, For, type JSX, Match, on, onCleanup, onMount, Show, Switch } from "solid-js"
import { hasKey } from "./api/client.ts"
import { Dialog } from "./components/Dialog.tsx"
import { Icon, Mark } from "./components/Icon.tsx"
import { Chip, Loading, Segmented } from "./components/Parts.tsx"
import { clockTime, count, countdown } from "./lib/format.ts"
import { ranges } from "./lib/series.ts"
import { Alerts } from "./pages/Alerts.tsx"
import { Audit } from "./pages/Audit.tsx"
import { Configuration } from "./pages/Configuration.tsx"
import { Cost } from "./pages/Cost.tsx"
import { Limits } from "./pages/Limits.tsx"
import { Overview } from "./pages/Overview.tsx"
import { Providers } from "./pages/Providers.tsx"
import { Requests } from "./pages/Requests.tsx"
import { Routes } from "./pages/Routes.tsx"
import { SignIn } from "./pages/SignIn.tsx"
import { access, connect, isStale, lastAt, link, now, retryAt, signOut, snapshot } from "./state/gateway.ts"
import { go, hrefOf, nextTheme, place, range, sections, setRange, theme } from "./state/view.ts"

const themeIcons = { auto: "auto", light: "sun", dark: "moon" } as const
const themeLabels = { auto: "as the system", light: "light", dark: "dark" } as const

const Link = (): JSX.Element => (
  <Switch>
    <Match when={link() === "live" && !isStale()}>
      <Chip tone="good">live</Chip>
    </Match>
    <Match when={link() === "polling" && !isStale()}>
      <Chip tone="accent">every few seconds</Chip>
    </Match>
    <Match when={link() === "connecting" && !isStale()}>
      <Chip tone="plain">connecting</Chip>
    </Match>
    <Match when={true}>
      <Chip tone="bad">no link</Chip>
    </Match>
  </Switch>
)

const Stale = (): JSX.Element => (
  <Show when={lastAt() !== undefined && (isStale() || link() === "lost")}>
    <div class="notice stale" data-tone="warn" role="status">
      <span>
        <b>The gateway does not answer.</b> What you see is stale since {clockTime(lastAt())}.
        <Show when={retryAt()}>{(at) => <> Trying again in {countdown(at() - now())}.</>}</Show>
      </span>
      <button type="button" class="small" onClick={connect}>
        Try now
      </button>
    </div>
  </Show>
)

const shortcuts: ReadonlyArray<readonly [key: string, what: string]> = [
  ["1 … 9", "the sections, in their order"],
  ["/", "filter requests"],
  ["↑ ↓ or k j", "move in the list of requests"],
  ["← →", "move through a chart that has the focus"],
  ["h", "the other range of time"],
  ["t", "light, dark, or as the system"],
  ["Esc", "back, or close"],
  ["?", "this list"]
]

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement

const focusFilter = (): void => {
  go("requests")
  setTimeout(() => document.getElementById("filter")?.focus(), 60)
}

const Nav = (): JSX.Element => {
  const troubled = () =>
    (snapshot()?.breakers ?? []).filter(({ state }) => state === "open" || state === "forced-open").length
  return (
    <nav aria-label="Sections">
      <ul>
        <For each={sections}>
          {({ id, label }) => (
            <li>
              <a href={hrefOf(id)} aria-current={place().section === id ? "page" : undefined}>
                <Icon name={id} />
                <span>{label}</span>
                <Show when={id === "providers" && troubled() > 0}>
                  <span class="badge">
                    {count(troubled())}
                    <span class="visually-hidden"> open circuits</span>
                  </span>
                </Show>
              </a>
            </li>
          )}
        </For>
      </ul>
    </nav>
  )
}

const Section = (): JSX.Element => (
  <Switch>
    <Match when={place().section === "overview"}>
      <Overview />
    </Match>
    <Match when={place().section === "providers"}>
      <Providers />
    </Match>
    <Match when={place().section === "requests"}>
      <Requests />
    </Match>
    <Match when={place().section === "cost"}>
      <Cost />
    </Match>
    <Match when={place().section === "limits"}>
      <Limits />
    </Match>
    <Match when={place().section === "routes"}>
      <Routes />
    </Match>
    <Match when={place().section === "alerts"}>
      <Alerts />
    </Match>
    <Match when={place().section === "audit"}>
      <Audit />
    </Match>
    <Match when={place().section === "configuration"}>
      <Configuration />
    </Match>
  </Switch>
)

const titleOf = (): string => sections.find(({ id }) => id === place().section)!.label

const Frame = (): JSX.Element => {
  const [helping, setHelping] = createSignal(false)
  let main: HTMLElement | undefined
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
    if (document.querySelector("dialog[open]") !== null) return
    const digit = sections[Number(event.key) - 1]
    if (digit !== undefined) go(digit.id)
    else if (event.key === "?") setHelping(true)
    else if (event.key === "t") nextTheme()
    else if (event.key === "h") setRange(ranges[(ranges.indexOf(range()) + 1) % ranges.length]!)
    else if (event.key === "/") focusFilter()
    else return
    event.preventDefault()
  }
  onMount(() => addEventListener("keydown", onKey))
  onCleanup(() => removeEventListener("keydown", onKey))
  createEffect(() => {
    document.title = `${titleOf()} · Breakwater`
  })
  // A reader of the screen is told where it is now.
  createEffect(
    on(
      () => place().section,
      () => main?.focus({ preventScroll: true }),
      { defer: true }
    )
  )
  return (
    <div class="frame">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault()
          main?.focus()
        }}
      >
        Skip to the content
      </a>
      <header class="side">
        <a class="brand" href={hrefOf("overview")}>
          <Mark />
          <span>Breakwater</span>
        </a>
        <Nav />
        <div class="side-foot">
          <button
            type="button"
            class="quiet"
            onClick={nextTheme}
            title="t"
            aria-label={`Theme: ${themeLabels[theme()]}`}
          >
            <Icon name={themeIcons[theme()]} />
            <span>{theme() === "auto" ? "System" : theme() === "light" ? "Light" : "Dark"}</span>
          </button>
          <button
            type="button"
            class="quiet"
            onClick={() => setHelping(true)}
            title="?"
            aria-label="Keyboard shortcuts"
          >
            <Icon name="keyboard" />
            <span>Shortcuts</span>
          </button>
          <Show when={hasKey()}>
            <button type="button" class="quiet" onClick={signOut} aria-label="Sign out">
              <Icon name="signOut" />
              <span>Sign out</span>
            </button>
          </Show>
        </div>
      </header>
      <main id="main" tabIndex={-1} ref={(made) => (main = made)} classList={{ "is-stale": isStale() }}>
        <div class="top">
          <h1>{titleOf()}</h1>
          <div class="top-tools">
            <Show when={place().section === "overview"}>
              <Segmented
                label="Range of time"
                options={ranges}
                value={range().id}
                onChange={(id) => setRange(ranges.find((each) => each.id === id)!)}
              />
            </Show>
            <span class="link" role="status" aria-label="Link to the gateway">
              <Link />
            </span>
          </div>
        </div>
        <Stale />
        <Section />
      </main>
      <Dialog open={helping()} title="Keyboard shortcuts" onClose={() => setHelping(false)}>
        <dl class="shortcuts">
          <For each={shortcuts}>
            {([key, what]) => (
              <div>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            )}
          </For>
        </dl>
      </Dialog>
    </div>
  )
}

/** Nothing is known yet: the gateway is being asked, or does not answer. */
const Waiting = (): JSX.Element => (
  <main id="main" class="waiting">
    <Mark />
    <Show when={link() === "lost"} fallback={<Loading lines={1} />}>
      <h1>The gateway does not answer</h1>
      <p class="note" role="status">
        <Show when={retryAt()}>{(at) => <>Trying again in {countdown(at() - now())}.</>}</Show>
      </p>
      <button type="button" onClick={connect}>
        Try now
      </button>
    </Show>
  </main>
)

export const App = (): JSX.Element => (
  <Switch fallback={<SignIn />}>
    <Match when={access().state === "granted"}>
      <Frame />
    </Match>
    <Match when={access().state === "checking"}>
      <Waiting />
    </Match>
  </Switch>
)
