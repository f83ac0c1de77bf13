/** Dialogs: the browser keeps the focus within and Escape closes; afterwards it is where it was. */

import { button, byId, h, newId } from "./dom.js";

/**
 * Opens a dialog with a heading and a button that closes it.
 *
 * @param {string} title
 * @param {{className?: string, onclose?: () => void}} [options]
 */
export function openDialog(title, { className = "", onclose } = {}) {
  const before = document.activeElement;
  const heading = h("h2", { id: newId(), tabindex: -1 }, title);
  const close = button("Close", () => dialog.close(), "quiet");
  const content = h("div", { class: "content" });
  const dialog = h(
    "dialog",
    { class: className, "aria-labelledby": heading.id },
    h("header", null, heading, close),
    content,
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.();
    if (before instanceof HTMLElement || before instanceof SVGElement) {
      const target = before.isConnected ? before : byId("main");
      target.focus();
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  heading.focus();
  return { dialog, content, heading };
}

/** Whether a dialog is open, so that keys belong to it. */
export function isDialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}
