/** The columns of the list of orders, and which of them this browser shows. */

import { h } from "./dom.js";
import { recall, remember } from "./remember.js";
import { badge } from "./states.js";
import { column } from "./table.js";
import { timeElement } from "./time.js";

/**
 * @typedef {object} Order As in a response.
 * @property {string} orderId
 * @property {{path: string, versionId: string}} workflowId
 * @property {{_text: string, _reason?: string}} state
 * @property {{_text: string}} [marked]
 * @property {number} [scheduledFor]
 * @property {boolean} [scheduledNever]
 * @property {string} [positionString]
 * @property {Record<string, any>} [arguments]
 * @property {number} [priority]
 * @property {boolean} [hasChildOrders]
 */

const KEPT = "columns";

/** @type {import("./table.js").Column<Order>[]} */
export const COLUMNS = [
  column("order", "Order", 11, ({ orderId }) => orderId),
  column(
    "state",
    "State",
    8,
    ({ state, marked }) => `${state._text} ${marked?._text ?? ""}`,
    ({ state, marked }) => states(state._text, marked?._text),
  ),
  column(
    "scheduled",
    "Scheduled",
    11,
    ({ scheduledFor }) => scheduledFor ?? Number.POSITIVE_INFINITY,
    ({ scheduledFor }) => scheduled(scheduledFor),
  ),
  column("workflow", "Workflow", 11, ({ workflowId }) => workflowId.path),
  column("version", "Version", 5, ({ workflowId }) => workflowId.versionId),
  column("reason", "Waits for", 9, ({ state }) => state._reason ?? ""),
  column("position", "Position", 6, ({ positionString }) => positionString ?? ""),
  column("priority", "Priority", 5, ({ priority }) => priority ?? 0),
  column("children", "Children", 5, ({ hasChildOrders }) => (hasChildOrders ? "yes" : "")),
];

/** @param {string} state @param {string} [mark] */
export function states(state, mark) {
  return [badge(state), mark ? h("span", { class: "marked" }, mark) : null];
}

/** @param {number | undefined} instant */
export function scheduled(instant) {
  return instant === undefined ? "never" : timeElement(instant);
}

const USUAL = ["order", "state", "scheduled", "workflow", "version"];
const NARROW = ["order", "state"];

export function shownColumns() {
  const usual = innerWidth < 600 ? NARROW : USUAL;
  const names = recall(KEPT)?.split(" ") ?? usual;
  return COLUMNS.filter(({ name }) => name === "order" || names.includes(name));
}

/** A list of check boxes. @param {(columns: typeof COLUMNS) => void} changed */
export function columnChooser(changed) {
  const shown = shownColumns();
  const boxes = COLUMNS.map((column) => {
    const { name, label } = column;
    const fixed = name === "order";
    const checked = shown.includes(column);
    const box = h("input", { type: "checkbox", value: name, checked, disabled: fixed });
    return h("label", { class: "check" }, box, label);
  });
  const onchange = () => {
    const inputs = boxes.map((label) => /** @type {HTMLInputElement} */ (label.firstElementChild));
    const names = inputs.filter(({ checked }) => checked).map(({ value }) => value);
    remember(KEPT, names.join(" "));
    changed(COLUMNS.filter(({ name }) => names.includes(name)));
  };
  const list = h("fieldset", { class: "menu", onchange }, h("legend", null, "Columns"), boxes);
  const summary = h("summary", null, "Columns");
  const chooser = h("details", { class: "chooser" }, summary, list);
  chooser.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chooser.open) {
      chooser.open = false;
      summary.focus();
      event.stopPropagation();
    }
  });
  return chooser;
}
