/** The columns of the list of orders, and which of them this browser shows. */

import { foreign, h } from "./dom.js";
import { badge } from "./states.js";
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

const KEPT = "joc-orders.columns";

/** @type {import("./table.js").Column<Order>[]} */
export const COLUMNS = [
  {
    name: "order",
    label: "Order",
    width: 11,
    cell: ({ orderId }) => foreign(orderId),
    by: ({ orderId }) => orderId,
  },
  {
    name: "state",
    label: "State",
    width: 8,
    cell: ({ state, marked }) => [
      badge(state._text),
      marked ? h("span", { class: "marked" }, marked._text) : null,
    ],
    by: ({ state, marked }) => `${state._text} ${marked?._text ?? ""}`,
  },
  {
    name: "scheduled",
    label: "Scheduled",
    width: 11,
    cell: ({ scheduledFor }) => (scheduledFor === undefined ? "never" : timeElement(scheduledFor)),
    by: ({ scheduledFor }) => scheduledFor ?? Number.POSITIVE_INFINITY,
  },
  {
    name: "workflow",
    label: "Workflow",
    width: 11,
    cell: ({ workflowId }) => foreign(workflowId.path),
    by: ({ workflowId }) => workflowId.path,
  },
  {
    name: "version",
    label: "Version",
    width: 5,
    cell: ({ workflowId }) => foreign(workflowId.versionId),
    by: ({ workflowId }) => workflowId.versionId,
  },
  {
    name: "reason",
    label: "Waits for",
    width: 9,
    cell: ({ state }) => state._reason ?? "",
    by: ({ state }) => state._reason ?? "",
  },
  {
    name: "position",
    label: "Position",
    width: 6,
    cell: ({ positionString }) => positionString ?? "",
    by: ({ positionString }) => positionString ?? "",
  },
  {
    name: "priority",
    label: "Priority",
    width: 5,
    cell: ({ priority }) => priority ?? "",
    by: ({ priority }) => priority ?? 0,
  },
  {
    name: "children",
    label: "Children",
    width: 5,
    cell: ({ hasChildOrders }) => (hasChildOrders ? "yes" : ""),
    by: ({ hasChildOrders }) => (hasChildOrders ? 0 : 1),
  },
];

const USUAL = ["order", "state", "scheduled", "workflow", "version"];
const NARROW = ["order", "state"];

function remembered() {
  try {
    const names = JSON.parse(localStorage.getItem(KEPT) ?? "null");
    return Array.isArray(names) ? names : undefined;
  } catch {
    return undefined;
  }
}

export function shownColumns() {
  const names = remembered() ?? (innerWidth < 600 ? NARROW : USUAL);
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
    try {
      localStorage.setItem(KEPT, JSON.stringify(names));
    } catch {
      // The choice then lasts as long as the view.
    }
    changed(COLUMNS.filter(({ name }) => names.includes(name)));
  };
  const list = h("fieldset", { class: "menu", onchange }, h("legend", null, "Columns"), boxes);
  return h("details", { class: "chooser" }, h("summary", null, "Columns"), list);
}
