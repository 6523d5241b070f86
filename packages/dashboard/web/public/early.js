// Before anything else is loaded.

// A page that was set to dark does not flash.
try {
  const theme = localStorage.getItem("breakwater-theme")
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme
} catch {}

// On a machine without a language ("C", "POSIX") a browser may name one that Intl refuses, and libraries ask for it.
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, "language", { value: "en", configurable: true })
}
