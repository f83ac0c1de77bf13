/** A request as lines to copy: for curl, and for `joc-orders`. */

import { address } from "./api.js";
import { HIDDEN } from "./dom.js";

/** @param {string} character */
function code(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Quotes a text for a shell. @param {string} text */
export function quoted(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) {
    return text;
  }
  if (text.search(HIDDEN) >= 0) {
    // A hidden character would get lost in copying, or would change how the line looks.
    const escaped = text.replace(/[\\']/g, "\\$&").replace(HIDDEN, code);
    return `$'${escaped}'`;
  }
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * @param {string} path
 * @param {object} body
 */
export function curlLine(path, body) {
  const json = JSON.stringify(body).replace(HIDDEN, code);
  return `curl -s ${quoted(address(path))} -H "X-Access-Token: $TOKEN" -d '${json.replaceAll("'", "'\\''")}'`;
}

/** @typedef {(value: any) => string[]} Flag */

/** @type {(name: string) => Flag} */
const one = (name) => (value) => [`--${name}=${quoted(String(value))}`];
/** @type {(name: string) => Flag} */
const each = (name) => (values) => values.flatMap(one(name));
/** @type {(name: string) => Flag} */
const flag = (name) => () => [`--${name}`];

/**
 * The flags for each field of a request; a field that is missing here has none.
 *
 * @type {Record<string, Flag>}
 */
const FLAGS = {
  controllerId: one("controller-id"),
  orderIds: each("order-id"),
  workflowIds: (ids) =>
    ids.flatMap((/** @type {{path: string, versionId?: string}} */ { path, versionId }) =>
      versionId === undefined
        ? one("workflow")(path)
        : ["--workflow-version", quoted(path), quoted(versionId)],
    ),
  folders: (folders) =>
    folders.flatMap((/** @type {{folder: string, recursive: boolean}} */ { folder, recursive }) =>
      one(recursive ? "folder" : "folder-only")(folder),
    ),
  states: (states) => one("state")(states.join(",")),
  dateFrom: one("date-from"),
  dateTo: one("date-to"),
  timeZone: one("time-zone"),
  kill: flag("kill"),
  deep: flag("deep"),
  reset: flag("reset"),
  orderType: flag("fresh-only"),
  overdue: one("overdue"),
  maxOrders: one("max-orders"),
  auditLog: (log) => Object.entries(log).flatMap(([name, value]) => REASONS[name]?.(value) ?? []),
};

/** @type {Record<string, Flag>} */
const REASONS = {
  comment: one("comment"),
  ticketLink: one("ticket-link"),
  timeSpent: one("time-spent"),
};

/**
 * @param {string} command Such as `cancel`.
 * @param {Record<string, any>} body
 */
export function commandLine(command, body) {
  const words = ["joc-orders orders", command];
  if (body.auditLogId !== undefined) {
    words.push(String(body.auditLogId));
  }
  words.push(`--url=${quoted(address(""))}`);
  for (const [name, value] of Object.entries(body)) {
    words.push(...(FLAGS[name]?.(value) ?? []));
  }
  return words.join(" ");
}
