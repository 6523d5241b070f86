// Plain JavaScript on purpose: this has to run, and explain itself, on the Node it refuses.
const oldest = [22, 19]
const [major, minor] = process.versions.node.split(".").map(Number)

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  console.error(
    `Breakwater needs Node ${oldest.join(".")} or later, and this is Node ${process.versions.node}. ` +
      'The project brings its own: run "npm ci" (or "npm rebuild node", if install scripts were off), ' +
      'and start things through "npm run" or "npx".'
  )
  process.exit(1)
}
