import { render } from "solid-js/web"
import { App } from "./App.tsx"
import { start } from "./state/gateway.ts"
import "./styles/tokens.css"
import "./styles/frame.css"
import "./styles/parts.css"
import "./styles/pages.css"

start()
render(() => <App />, document.getElementById("app")!)
