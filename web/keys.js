/** The keys, and the dialog that lists them. */

import { h, put } from "./dom.js";
import { isDialogOpen, openDialog } from "./panel.js";
import { recall, remember } from "./remember.js";

const KEPT = "keys";

/** Milliseconds within which the second key of `g o` must follow. */
const SECOND = 1500;

const HELP = [
  ["?", "This list"],
  ["/", "To the filter"],
  ["g o", "Overview"],
  ["g r", "Orders"],
  ["g a", "Audit log"],
  ["r", "Refresh now"],
  ["↑ ↓ PgUp PgDn Home End", "Move in a table or in the folders"],
  ["← →", "Close and open a folder; move between the bars of a chart"],
  ["Enter", "Open the row; choose the folder"],
  ["Space", "Mark the row; add or remove the folder"],
  ["Escape", "Close a dialog or the details"],
];

/**
 * @typedef {object} Commands
 * @property {(view: string) => void} go
 * @property {() => void} focusFilter
 * @property {() => void} refresh
 * @property {() => void} back
 */

function isOn() {
  return recall(KEPT) !== "off";
}

export function showKeys() {
  const { content } = openDialog("Keys");
  const switched = () => remember(KEPT, box.checked ? "on" : "off");
  const box = h("input", { type: "checkbox", checked: isOn(), onchange: switched });
  const rows = HELP.map(([keys = "", means = ""]) =>
    h("tr", null, h("th", { scope: "row" }, h("kbd", null, keys)), h("td", null, means)),
  );
  put(
    content,
    h("table", { class: "keys" }, h("tbody", null, rows)),
    h("label", { class: "check" }, box, "Single keys (? / g r) work"),
  );
}

/** @param {Commands} commands */
export function listen({ go, focusFilter, refresh, back }) {
  let first = 0;
  /** @type {Record<string, string>} */
  const views = { o: "overview", r: "orders", a: "audit" };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isDialogOpen()) {
      return;
    }
    if (event.key === "Escape") {
      back();
      return;
    }
    const target = /** @type {HTMLElement} */ (event.target);
    const isTyping = target.matches("input:not([type=checkbox], [type=radio]), select, textarea");
    if (isTyping || !isOn()) {
      return;
    }
    const isSecond = Date.now() - first < SECOND;
    first = 0;
    const view = views[event.key];
    if (isSecond && view) {
      go(view);
    } else if (event.key === "g") {
      first = Date.now();
    } else if (event.key === "?") {
      showKeys();
    } else if (event.key === "/") {
      focusFilter();
    } else if (event.key === "r") {
      refresh();
    } else {
      return;
    }
    event.preventDefault();
  });
}
