/** What opens beside the list or above the page: it takes the focus, and gives it back. */

import { button, byId, h, newId, put } from "./dom.js";

/**
 * @typedef {object} PanelOptions
 * @property {string} controllerId
 * @property {AbortSignal} signal
 * @property {() => void} changed Called when orders have changed.
 * @property {() => void} closed
 */

export class Panel {
  /**
   * @param {string} label
   * @param {() => void} closed
   */
  constructor(label, closed) {
    this.closed = closed;
    this.heading = h("h2", { tabindex: -1 });
    this.element = h(
      "aside",
      { class: "panel", "aria-label": label, hidden: true },
      h(
        "header",
        null,
        this.heading,
        button("Close", () => this.close(), "quiet"),
      ),
    );
  }

  /** @param {Node | string} title */
  show(title) {
    put(this.heading, title);
    this.element.hidden = false;
    // Beside the list it must not scroll; over the list it may.
    this.heading.focus({ preventScroll: innerWidth >= 900 });
  }

  hide() {
    this.element.hidden = true;
  }

  close() {
    if (!this.element.hidden) {
      this.hide();
      this.closed();
    }
  }
}

/**
 * @param {[Node | string, import("./dom.js").Children][]} rows
 */
export function definitions(rows) {
  const isGiven = (/** @type {any} */ value) => value !== undefined && value !== "" && value !== 0;
  return h(
    "dl",
    null,
    rows
      .filter(([, value]) => isGiven(value) && value !== null && value !== false)
      .flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

/** A ticket is a link only if it is an address of the web. @param {string} text */
export function ticket(text) {
  return /^https?:\/\//i.test(text)
    ? h("a", { href: text, rel: "noopener noreferrer", target: "_blank" }, text)
    : text;
}

/**
 * Opens a dialog with a heading and, unless it is fixed, a button that closes it.
 *
 * @param {string} title
 * @param {{className?: string, isFixed?: boolean, onclose?: () => void}} [options]
 */
export function openDialog(title, { className = "", isFixed = false, onclose } = {}) {
  const before = document.activeElement;
  const heading = h("h2", { id: newId(), tabindex: -1 }, title);
  /** As Escape: whoever listens to `cancel` may object. */
  const close = () => {
    if (dialog.dispatchEvent(new Event("cancel", { cancelable: true }))) {
      dialog.close();
    }
  };
  const content = h("div", { class: "content" });
  const dialog = h(
    "dialog",
    { class: className, "aria-labelledby": heading.id },
    h("header", null, heading, !isFixed && button("Close", close, "quiet")),
    content,
  );
  dialog.addEventListener("cancel", (event) => isFixed && event.preventDefault());
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.();
    if (before instanceof HTMLElement || before instanceof SVGElement) {
      const target = before.isConnected ? before : byId("main");
      target.focus();
    }
  });
  /** Browsers close a dialog at the second Escape, whoever objects. */
  const show = () => {
    if (!dialog.isConnected) {
      document.body.append(dialog);
      dialog.showModal();
    }
  };
  show();
  heading.focus();
  return { dialog, content, heading, close, show };
}

/** Closes every dialog but the login: what they are about is no longer shown. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog:not(.login)")) {
    /** @type {HTMLDialogElement} */ (dialog).close();
  }
}

/** Whether a dialog is open, so that keys belong to it. */
export function isDialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}
