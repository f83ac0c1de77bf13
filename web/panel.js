/** The details beside a list: they open, take the focus, and give it back. */

import { button, h, put } from "./dom.js";

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
 * Names with their values, without those that have none.
 *
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
