/** What the page can do to orders, as data. Selection, preview and confirmation are the same. */

import { ask } from "./api.js";
import { may, session } from "./session.js";

/**
 * @typedef {{name: string, value: any, label: string, hint: string}} Choice
 *
 * @typedef {object} Action
 * @property {string} path
 * @property {string} command Of `joc-orders orders`.
 * @property {string} verb
 * @property {string} done
 * @property {string[]} permissions Any of these.
 * @property {boolean} destructive
 * @property {boolean} undoable
 * @property {Choice[]} choices Fields of the request.
 * @property {[count: string, means: string][]} effects Counts of the preview.
 */

/** @type {Choice[]} */
const HOW = [
  {
    name: "kill",
    value: true,
    label: "Kill running jobs",
    hint: "They get SIGTERM at once and SIGKILL some seconds later.",
  },
  {
    name: "deep",
    value: true,
    label: "Include child orders",
    hint: "Of every order that the filter selects, wherever they are.",
  },
  {
    name: "orderType",
    value: "FreshOnly",
    label: "Skip orders that have started",
    hint: "Only pending, scheduled and blocked orders are affected.",
  },
];

/** @type {Action} */
export const CANCEL = {
  path: "/orders/cancel",
  command: "cancel",
  verb: "Cancel",
  done: "cancelled or marked",
  permissions: ["cancel"],
  destructive: true,
  undoable: true,
  choices: HOW,
  effects: [
    ["cancelled", "ended at once"],
    ["marked", "marked CANCELLING, for the executor to end"],
    ["killed", "marked, and the job is killed"],
  ],
};

/** @type {Action} */
export const SUSPEND = {
  path: "/orders/suspend",
  command: "suspend",
  verb: "Suspend",
  done: "suspended or marked",
  permissions: ["suspendResume"],
  destructive: false,
  undoable: false,
  choices: [
    ...HOW,
    {
      name: "reset",
      value: true,
      label: "Restart the current instruction",
      hint: "Of waiting and prompting orders, when they are resumed.",
    },
  ],
  effects: [
    ["suspended", "stopped at once"],
    ["marked", "marked SUSPENDING, for the executor to stop"],
    ["killed", "marked, and the job is killed"],
  ],
};

/** @type {Action} */
export const RESUME = {
  path: "/orders/resume",
  command: "resume",
  verb: "Resume",
  done: "resumed",
  permissions: ["suspendResume", "resumeFailed"],
  destructive: false,
  undoable: false,
  choices: [],
  effects: [["resumed", "continued"]],
};

/** @type {Action} */
export const UNDO = {
  path: "/orders/cancel/undo",
  command: "undo",
  verb: "Restore",
  done: "restored",
  permissions: ["cancel"],
  destructive: false,
  undoable: false,
  choices: [
    {
      name: "overdue",
      value: "run",
      label: "Let overdue orders start at once",
      hint: "Otherwise orders whose date has passed come back suspended.",
    },
  ],
  effects: [
    ["restored", "restored as before the cancel"],
    ["suspended", "restored suspended, since the date has passed"],
    ["unmarked", "going on without the mark CANCELLING"],
  ],
};

/**
 * What an action would do. A preview is not audited, but where changes need a comment, it does too.
 *
 * @param {string} path Of the action.
 * @param {Record<string, any>} body
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
export function preview(path, body, signal) {
  const auditLog = session.commentRequired
    ? { comment: "preview", ...body.auditLog }
    : body.auditLog;
  return ask(`${path}/preview`, { ...body, auditLog }, signal);
}

/** What the account may do. @param {string} controllerId */
export function permitted(controllerId) {
  return [CANCEL, SUSPEND, RESUME].filter(({ permissions }) =>
    permissions.some((permission) => may(controllerId, permission)),
  );
}
