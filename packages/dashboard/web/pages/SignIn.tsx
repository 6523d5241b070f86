/** Who may look: the key of an operator, kept for as long as the tab is open. */
import { createSignal, type JSX, onMount, Show } from "solid-js"
import { Mark } from "../components/Icon.tsx"
import { hasKey } from "../api/client.ts"
import { access, signIn, signOut } from "../state/gateway.ts"

export const SignIn = (): JSX.Element => {
  const [key, setKey] = createSignal("")
  let input: HTMLInputElement | undefined
  onMount(() => input?.focus())
  const notAllowed = () => {
    const now = access()
    return now.state === "not-allowed" ? now.message : undefined
  }
  const refused = () => {
    const now = access()
    return now.state === "key-refused" ? now.message : undefined
  }
  return (
    <main id="main" class="sign-in" tabIndex={-1}>
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault()
          const given = key().trim()
          if (given !== "") signIn(given)
        }}
      >
        <Mark />
        <h1>Breakwater</h1>
        <p class="note">
          Sign in with a key of the gateway that has the scope <code>admin</code>.
        </p>
        <Show when={refused()}>
          {(message) => (
            <p class="problem" role="alert" id="refused">
              {message()}
            </p>
          )}
        </Show>
        <Show when={notAllowed()}>
          {(message) => (
            <div class="problem" role="alert" id="refused">
              <p>{message()}</p>
              <p>
                Make a key that may: <code>breakwater keys create ops --scopes admin</code>
              </p>
            </div>
          )}
        </Show>
        <label for="key">Key</label>
        <input
          id="key"
          ref={(made) => (input = made)}
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={key()}
          aria-describedby={refused() !== undefined || notAllowed() !== undefined ? "refused" : undefined}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="submit" class="primary">
          Sign in
        </button>
        <Show when={hasKey()}>
          <button type="button" class="quiet" onClick={signOut}>
            Go on without a key
          </button>
        </Show>
        <p class="note small-print">
          It is kept in this tab until you close it or sign out, and is sent to this gateway only.
        </p>
      </form>
    </main>
  )
}
