/** Icons, as lines on a field of 20 by 20. */
import type { JSX } from "solid-js"

const paths = {
  overview: "M3 16.500h14M5.5 13V9.500M10 13V4.500M14.5 13V7.5",
  providers: "M4 4.500h12v4.500H4zM4 11.500h12V16H4zM6.8 6.800h.01M6.8 13.800h.01",
  requests: "M3.5 5h5M6 10h8.500M10 15h6.5",
  cost: "M10 3v14M13.5 6.300C12.8 5.4 11.6 5 10 5c-2 0-3.5.9-3.5 2.500S8 9.8 10 10s3.6.9 3.6 2.500S12 15 10 15c-1.7 0-3-.5-3.7-1.5",
  limits: "M4 14.500a6.5 6.5 0 1 1 12 0M10 11.500l2.8-3.8",
  routes:
    "M4 10h4c3 0 3-4.5 6-4.500h2M8 10c3 0 3 4.5 6 4.500h2M14.3 3.8 16 5.500l-1.7 1.700M14.3 12.800l1.7 1.7-1.7 1.7",
  alerts: "M5.5 13.500V9a4.5 4.5 0 0 1 9 0v4.500l1.3 1.500H4.200zM8.6 17h2.8",
  audit: "M5 3.500h7l3 3v10H5zM7.5 9.500h5M7.5 12.500h3.5",
  configuration: "M4 6h7M15 6h1M4 14h1M9 14h7M13 4.200v3.600M7 12.200v3.6",
  sun: "M10 6.500a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M10 2.500v1M10 16.500v1M2.5 10h1M16.5 10h1M4.7 4.700l.7.7M14.6 14.600l.7.7M4.7 15.300l.7-.7M14.6 5.400l.7-.7",
  moon: "M15.5 12A6 6 0 0 1 8 4.500a6 6 0 1 0 7.5 7.5",
  auto: "M10 3.500a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13v13",
  keyboard: "M3 6h14v8.500H3zM6 9h.01M9 9h.01M12 9h.01M14.5 9h.01M7 12h6",
  signOut: "M8.5 4H4.500v12h4M8 10h8.500M13.8 7.3 16.5 10l-2.7 2.7",
  back: "M16 10H4.500M8.5 5.5 4 10l4.5 4.5",
  table: "M3.5 4.500h13v11h-13zM3.5 8.300h13M3.5 12h13M8 4.500v11",
  close: "M5 5l10 10M15 5 5 15"
} as const

export type IconName = keyof typeof paths

/** The mark beside the name: two waves. */
export const Mark = (): JSX.Element => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" />
    <path d="M6 13c3.3-3.6 6.7-3.6 10 0s6.7 3.6 10 0" />
    <path d="M6 20.500c3.3-3.6 6.7-3.6 10 0s6.7 3.6 10 0" opacity=".6" />
  </svg>
)

export const Icon = (props: { readonly name: IconName }): JSX.Element => (
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
    <path d={paths[props.name]} />
  </svg>
)
