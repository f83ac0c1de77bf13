/** The words of the API for states, and what they mean. */

import { h } from "./dom.js";

/** @typedef {{state: string, count: string, means: string}} State */

/** Living states in the order in which people look for trouble. @type {State[]} */
export const LIVING = [
  { state: "FAILED", count: "failed", means: "stopped by an error" },
  {
    state: "BLOCKED",
    count: "blocked",
    means: "overdue: its time has come, but it has not started",
  },
  { state: "SUSPENDED", count: "suspended", means: "stopped until somebody resumes it" },
  { state: "PROMPTING", count: "prompting", means: "waits for a confirmation" },
  {
    state: "WAITING",
    count: "waiting",
    means: "waits for a lock, a notice, a child order or time",
  },
  { state: "RUNNING", count: "running", means: "a job is running" },
  { state: "INPROGRESS", count: "inProgress", means: "between two instructions" },
  { state: "SCHEDULED", count: "scheduled", means: "starts at its time" },
  { state: "PENDING", count: "pending", means: "has no time to start" },
];

/** Lists show these only on request, and nothing changes them. @type {State[]} */
export const ENDED = [
  { state: "FINISHED", count: "", means: "has reached the end of its workflow" },
  { state: "CANCELLED", count: "", means: "was cancelled" },
];

/**
 * A state as a word beside a dot; the colour alone says nothing.
 *
 * @param {string} state
 */
export function badge(state) {
  return h("span", { class: `state s-${state.toLowerCase()}` }, state);
}

/**
 * Counts of several folders or states as one number.
 *
 * @param {Record<string, number>} orders
 * @param {string[]} states No states: all that are living.
 */
export function sum(orders, states) {
  const counted = states.length ? LIVING.filter(({ state }) => states.includes(state)) : LIVING;
  return counted.reduce((total, { count }) => total + (orders[count] ?? 0), 0);
}

/** Why an undo leaves an order alone. @type {Record<string, string>} */
export const NOT_RESTORED = {
  STARTED: "had started before it was cancelled",
  KILLED: "got a kill request",
  CHANGED: "was changed since",
  PARENT_CONTINUED: "is a child, and its parent no longer waits for it",
  GONE: "is no longer in the database",
  UNRECORDED: "was cancelled before the service recorded what orders had been",
};

const NUMBERS = new Intl.NumberFormat("en-GB");

/** `12,345`. @param {number} value */
export function number(value) {
  return NUMBERS.format(value);
}

/** `1 order`, `12,345 orders`. @param {number} count @param {string} [noun] @param {string} [plural] */
export function counted(count, noun = "order", plural = `${noun}s`) {
  return `${number(count)} ${count === 1 ? noun : plural}`;
}
