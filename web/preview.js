/** What a preview says: numbers, states, window, warnings, the first orders. */

import { foreign, h, plain } from "./dom.js";
import { windowText } from "./filterbar.js";
import { badge, counted, NOT_RESTORED, number } from "./states.js";

/**
 * @param {import("./actions.js").Action} action
 * @param {Record<string, any>} base
 * @param {any} data
 * @param {Set<string>} fields Of the request.
 * @returns {import("./dom.js").Children[]}
 */
export function previewOf(action, base, data, fields) {
  const { total, byState, orders, byCycle } = data;
  const window = windowText(data);
  if (total === 0) {
    return [window.length > 0 && h("p", null, window), data.notRestored && leftAlone(data)];
  }
  return [
    h(
      "ul",
      { class: "effects" },
      action.effects
        .filter(([name]) => data[name] > 0)
        .map(([name, means]) => h("li", null, h("b", null, number(data[name])), ` ${means}`)),
      byCycle > 0 &&
        h(
          "li",
          null,
          h("b", null, number(byCycle)),
          " of them were not named: they belong to the same cycle",
        ),
    ),
    h(
      "ul",
      { class: "bystate" },
      Object.entries(byState).map(([state, count]) =>
        h("li", null, badge(state), " ", number(/** @type {number} */ (count))),
      ),
    ),
    window.length > 0 && h("p", null, window),
    warnings(action, base, data, fields).map((text) => h("p", { class: "warning" }, text)),
    data.notRestored && leftAlone(data),
    firstOrders(orders, total),
  ];
}

/**
 * @param {import("./actions.js").Action} action
 * @param {Record<string, any>} base
 * @param {any} data
 * @param {Set<string>} fields
 */
function warnings(action, base, { byState, killed }, fields) {
  const texts = [];
  const running = byState.RUNNING ?? 0;
  const canKill = action.choices.some(({ name }) => name === "kill");
  if (killed > 0) {
    texts.push(
      `The jobs of ${counted(killed, "running order")} are killed. This cannot be undone.`,
    );
  } else if (running > 0 && canKill) {
    const goOn = running === 1 ? "order goes on" : "orders go on";
    texts.push(`${number(running)} running ${goOn} until the job ends.`);
  }
  if (fields.has("deep")) {
    texts.push("Child orders are included, whatever their state and date.");
  } else if (canKill && byState.WAITING) {
    texts.push("Child orders are left out. A waiting order whose children go on is only marked.");
  }
  const isSelection = base.auditLogId === undefined && !base.orderIds;
  if (isSelection && (base.dateFrom || base.dateTo)) {
    texts.push("Orders that are never scheduled are in no window: they are left out.");
  } else if (isSelection && byState.PENDING) {
    texts.push(
      `There is no window: orders of any date are meant, also ${number(byState.PENDING)} without one.`,
    );
  } else if (isSelection) {
    texts.push("There is no window: orders of any date are meant.");
  }
  return texts;
}

/** @param {any[]} orders @param {number} total */
function firstOrders(orders, total) {
  const rows = orders.map(({ orderId, workflowId, state, effect }) =>
    h(
      "tr",
      null,
      h("td", null, foreign(orderId)),
      h("td", null, foreign(workflowId.path)),
      h("td", null, badge(state)),
      h("td", null, effect),
    ),
  );
  const caption =
    orders.length < total
      ? `The first ${number(orders.length)} of ${counted(total)}`
      : "All of them";
  return plain(caption, ["Order", "Workflow", "State", "Effect"], rows);
}

/** What an undo leaves alone, and why. @param {{notRestoredTotal: number, notRestored: any[]}} data */
export function leftAlone({ notRestoredTotal, notRestored }) {
  if (notRestoredTotal === 0) {
    return null;
  }
  const rows = notRestored
    .slice(0, 100)
    .map(({ orderId, state, reason }) =>
      h(
        "tr",
        null,
        h("td", null, foreign(orderId)),
        h("td", null, state && badge(state)),
        h("td", null, NOT_RESTORED[reason] ?? reason),
      ),
    );
  const named = rows.length < notRestoredTotal ? `, the first ${rows.length}` : "";
  return plain(
    `${counted(notRestoredTotal)} not restored${named}`,
    ["Order", "State", "Why"],
    rows,
  );
}
