/** What the reader has chosen: section, range of time, light or dark. */
import { createSignal } from "solid-js"
import { ranges } from "../lib/series.ts"

export const sections = [
  { id: "overview", label: "Overview" },
  { id: "providers", label: "Providers" },
  { id: "requests", label: "Requests" },
  { id: "cost", label: "Cost" },
  { id: "limits", label: "Limits" },
  { id: "routes", label: "Routes" },
  { id: "alerts", label: "Alerts" },
  { id: "audit", label: "Audit" },
  { id: "configuration", label: "Configuration" }
] as const

export type SectionId = (typeof sections)[number]["id"]

/** A place on the page, as the address bar has it: `#/requests/req-1`. */
interface Place {
  readonly section: SectionId
  /** What is looked at there. */
  readonly item: string | undefined
}

const placeOf = (hash: string): Place => {
  const [, section = "", item] = /^#\/([a-z]+)(?:\/(.+))?$/.exec(hash) ?? []
  const known = sections.find(({ id }) => id === section)?.id ?? "overview"
  try {
    return { section: known, item: item === undefined ? undefined : decodeURIComponent(item) }
  } catch {
    return { section: known, item: undefined }
  }
}

export const hrefOf = (section: SectionId, item?: string): string =>
  item === undefined ? `#/${section}` : `#/${section}/${encodeURIComponent(item)}`

const [place, setPlace] = createSignal(placeOf(location.hash))
addEventListener("hashchange", () => setPlace(placeOf(location.hash)))
export { place }

export const go = (section: SectionId, item?: string): void => {
  location.hash = hrefOf(section, item)
}

const [range, setRange] = createSignal(ranges[0]!)
export { range, setRange }

// --- light and dark --------------------------------------------------------------------------------------------------

const themes = ["auto", "light", "dark"] as const
type Theme = (typeof themes)[number]

const dark = matchMedia("(prefers-color-scheme: dark)")
const [systemDark, setSystemDark] = createSignal(dark.matches)
dark.addEventListener("change", ({ matches }) => setSystemDark(matches))

const given = document.documentElement.dataset["theme"]
const [theme, setThemeSignal] = createSignal<Theme>(given === "light" || given === "dark" ? given : "auto")
export { theme }

/** What is seen. */
export const shownTheme = (): "light" | "dark" => {
  const chosen = theme()
  return chosen === "auto" ? (systemDark() ? "dark" : "light") : chosen
}

const setTheme = (next: Theme): void => {
  if (next === "auto") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = next
  setThemeSignal(next)
  try {
    if (next === "auto") localStorage.removeItem("breakwater-theme")
    else localStorage.setItem("breakwater-theme", next)
  } catch {
    // It lasts until the page is loaded anew.
  }
}

export const nextTheme = (): void => setTheme(themes[(themes.indexOf(theme()) + 1) % themes.length]!)
