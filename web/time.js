/** Shows instants, always with their zone: UTC or the browser's, as the user chooses. */

import { h } from "./dom.js";
import { recall, remember } from "./remember.js";

const KEPT = "zone";

export const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** @type {Set<() => void>} */
const listeners = new Set();
let local = recall(KEPT) === "local";

/** The zone in which the page shows times. */
export function zone() {
  return local ? LOCAL : "UTC";
}

/** @param {boolean} useLocal */
export function setLocal(useLocal) {
  local = useLocal;
  remember(KEPT, useLocal ? "local" : "UTC");
  for (const element of document.querySelectorAll("time")) {
    element.textContent = shown(element.dateTime, element.className === "clock");
  }
  for (const listener of listeners) {
    listener();
  }
}

/**
 * Calls `listener` whenever the zone changes, until `signal` is aborted.
 *
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function onZone(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/** @typedef {number | string | Date} Instant */

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {Instant} instant
 * @returns {Record<string, string>}
 */
function parts(instant) {
  const timeZone = zone();
  let format = formats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      weekday: "short",
      hourCycle: "h23",
      timeZoneName: "longOffset",
    });
    formats.set(timeZone, format);
  }
  const named = format.formatToParts(new Date(instant)).map(({ type, value }) => [type, value]);
  const result = Object.fromEntries(named);
  const offset = result.timeZoneName.replace("GMT", "");
  return { ...result, offset: offset === "" || timeZone === "UTC" ? "Z" : offset };
}

/**
 * `2026-11-23 12:34:56Z` or `2026-11-23 13:34:56+01:00`; of today's data `12:34:56 UTC`.
 *
 * @param {Instant} instant
 * @param {boolean} isClock
 */
function shown(instant, isClock) {
  const { year, month, day, hour, minute, second, offset } = parts(instant);
  const time = `${hour}:${minute}:${second}`;
  return isClock
    ? `${time} ${offset === "Z" ? "UTC" : offset}`
    : `${year}-${month}-${day} ${time}${offset}`;
}

/**
 * The label of a bar: `14:00` or `Mon 23`.
 *
 * @param {Instant} instant
 * @param {"HOUR" | "DAY"} unit
 */
export function tick(instant, unit) {
  const { weekday, day, hour, minute } = parts(instant);
  return unit === "HOUR" ? `${hour}:${minute}` : `${weekday} ${day}`;
}

/**
 * An instant in the zone of the page, also after that has changed.
 *
 * @param {Instant} instant
 * @param {{clock?: boolean}} [options] `clock`: without the date.
 */
export function timeElement(instant, { clock = false } = {}) {
  const attributes = { datetime: new Date(instant).toISOString(), class: clock && "clock" };
  return h("time", attributes, shown(instant, clock));
}

/** `8 s`, `3 min`, `2 h 5 min`, `4 d`. @param {number} milliseconds */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) {
    return `${seconds} s`;
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

/**
 * An element that says how long ago something was, and keeps up with the clock.
 *
 * @param {number} instant By the clock of the browser.
 */
export function ago(instant) {
  const element = h("span", { "data-ago": instant });
  tell(element);
  return element;
}

/** @param {HTMLElement} element */
function tell(element) {
  element.textContent = `${duration(Date.now() - Number(element.dataset.ago))} ago`;
}

setInterval(() => {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("[data-ago]")
  )) {
    tell(element);
  }
}, 1000);
