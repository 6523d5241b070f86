/**
 * The dashboard of the gateway, as files to be served as they are. The page is plain HTML, CSS and JavaScript, holds no
 * data, loads nothing from elsewhere, and asks the gateway that serves it for everything under `/admin`.
 */
import { fileURLToPath } from "node:url"

/** The folder of the page's files: `index.html`, and `assets/` whose names change with their content. */
export const folder: string = fileURLToPath(new URL("../dist/web/", import.meta.url))
