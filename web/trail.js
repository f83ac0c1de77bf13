/** What was done to orders, as the audit log has it. */

import { ask } from "./api.js";
import { foreign, h } from "./dom.js";
import { badge } from "./states.js";

/**
 * @typedef {object} Entry
 * @property {number} id
 * @property {string} created
 * @property {string} controllerId
 * @property {string} account
 * @property {string} request
 * @property {string} category
 * @property {string} [parameters]
 * @property {string} [comment]
 * @property {number} [timeSpent]
 * @property {string} [ticketLink]
 * @property {string} outcome
 * @property {number} affected
 * @property {string} requestId
 * @property {string} [clientAddress]
 * @property {number} [undoes] The entry that it undoes.
 *
 * @typedef {object} Detail
 * @property {string} orderId
 * @property {{path: string, versionId: string}} workflowId
 * @property {string} previousState
 * @property {string} newState
 * @property {string} [mark]
 * @property {boolean} [kill]
 * @property {string} [viaParent]
 * @property {Record<string, any>} [before]
 *
 * @typedef {{entry: Entry, detail: Detail}} Step
 */

/** How many entries of an order are read. */
export const ENTRIES = 50;

/**
 * @param {string} controllerId
 * @param {string} orderId
 * @param {AbortSignal} signal
 * @returns {Promise<{steps: Step[], isCut: boolean}>} The newest first.
 */
export async function trailOf(controllerId, orderId, signal) {
  const body = { controllerId, objectName: orderId, limit: ENTRIES };
  /** @type {Entry[]} */
  const entries = (await ask("/audit_log", body, signal)).auditLog;
  const steps = await Promise.all(
    entries.map(async (entry) => {
      const [detail] = await detailsOf(entry.id, signal, orderId);
      // The name may be that of a workflow too, and `*` and `?` in it find others.
      return detail ? [{ entry, detail }] : [];
    }),
  );
  return { steps: steps.flat(), isCut: entries.length === ENTRIES };
}

/**
 * @param {number} auditLogId
 * @param {AbortSignal} signal
 * @returns {Promise<Entry | undefined>}
 */
export async function entryOf(auditLogId, signal) {
  return (await ask("/audit_log", { auditLogId }, signal)).auditLog[0];
}

/**
 * @param {number} auditLogId
 * @param {AbortSignal} signal
 * @param {string} [orderId] Only that of this order.
 * @returns {Promise<Detail[]>}
 */
export async function detailsOf(auditLogId, signal, orderId) {
  return (await ask("/audit_log/details", { auditLogId, orderId }, signal)).auditLogDetails;
}

/** Before → after. @param {Detail} detail */
export function changeOf({ previousState, newState, mark, kill, viaParent, before }) {
  const isSame = previousState === newState;
  const old = Object.entries(before ?? {}).filter(([, value]) => value !== null);
  return h(
    "span",
    { class: "step" },
    badge(previousState),
    !isSame && [" → ", badge(newState)],
    mark && h("span", { class: "marked" }, `mark ${mark}`),
    kill && h("span", { class: "marked" }, "kill"),
    viaParent && h("span", null, " as a child of ", foreign(viaParent)),
    old.length > 0 &&
      h(
        "small",
        null,
        ` before: ${old.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ")}`,
      ),
  );
}
