/** A question or a list above the page. The browser's own dialog keeps the focus, and Escape closes it. */
import { createEffect, type JSX, onCleanup, Show } from "solid-js"
import { Icon } from "./Icon.tsx"

interface DialogProps {
  readonly open: boolean
  readonly title: string
  readonly onClose: () => void
  readonly children: JSX.Element
}

let dialogs = 0

export const Dialog = (props: DialogProps): JSX.Element => {
  const id = `dialog-${dialogs++}`
  let element: HTMLDialogElement | undefined
  createEffect(() => {
    if (props.open) element?.showModal()
    else element?.close()
  })
  onCleanup(() => element?.close())
  return (
    <dialog
      ref={(made) => (element = made)}
      aria-labelledby={id}
      onClose={() => props.onClose()}
      onClick={(event) => {
        if (event.target === element) props.onClose()
      }}
    >
      <Show when={props.open}>
        <div class="dialog">
          <header>
            <h2 id={id}>{props.title}</h2>
            <button type="button" class="quiet icon-only" aria-label="Close" onClick={() => props.onClose()}>
              <Icon name="close" />
            </button>
          </header>
          {props.children}
        </div>
      </Show>
    </dialog>
  )
}
