/**
 * Data that the page loads, and loads again. A newer request aborts the one in flight; a response
 * that comes too late is dropped; if a refresh fails, the old data stay, with the time of the last
 * success.
 */

import { ApiError } from "./api.js";
import { append, h, put } from "./dom.js";
import { isAttended } from "./session.js";
import { ago, timeElement } from "./time.js";

/** Milliseconds after which a load is not taken for longer: it may have waited for a login. */
const LONG = 30_000;

let paused = false;

/** What refreshes itself. @type {Set<Live<any>>} */
const refreshing = new Set();

// A tab that is shown again shows fresh data.
document.addEventListener("visibilitychange", () => {
  for (const live of refreshing) {
    live.tick();
  }
});

export function refreshAll() {
  for (const live of refreshing) {
    void live.reload();
  }
}

/** @param {boolean} pause Whether nothing refreshes itself. */
export function setPaused(pause) {
  paused = pause;
}

/** @template T */
export class Live {
  /**
   * @param {(signal: AbortSignal) => Promise<T>} load
   * @param {(live: Live<T>) => void} show Called after each change of this object.
   * @param {object} options
   * @param {AbortSignal} options.signal
   * @param {number} [options.every] Seconds between refreshes.
   * @param {() => boolean} [options.wanted] Whether there is something to load.
   */
  constructor(load, show, { signal, every, wanted = () => true }) {
    /** @type {T | undefined} */
    this.data = undefined;
    /** @type {Error | undefined} */
    this.error = undefined;
    this.isLoading = false;
    /** The time of the data by the clock of the service, and of their arrival by the browser's. */
    this.at = 0;
    this.arrived = 0;
    /** Milliseconds that the last load took, and when it ended. */
    this.took = 0;
    this.ended = 0;
    this.load = load;
    this.wanted = wanted;
    this.show = show;
    /** @type {AbortController | undefined} */
    this.flight = undefined;
    signal.addEventListener("abort", () => this.flight?.abort());
    if (every) {
      const timer = setInterval(() => this.tick(), every * 1000);
      refreshing.add(this);
      signal.addEventListener("abort", () => {
        clearInterval(timer);
        refreshing.delete(this);
      });
    }
  }

  tick() {
    // What takes long is refreshed less often: at most a tenth of the time.
    const isSoon = Date.now() - this.ended < 10 * Math.min(this.took, LONG);
    if (!paused && !this.isLoading && !document.hidden && !isSoon && isAttended()) {
      void this.reload();
    }
  }

  /** Loads with what is wanted now. @param {{forget?: boolean}} [options] */
  async reload({ forget = false } = {}) {
    this.flight?.abort();
    this.isLoading = false;
    if (!this.wanted()) {
      return;
    }
    const flight = new AbortController();
    this.flight = flight;
    this.isLoading = true;
    if (forget) {
      this.data = undefined;
      this.error = undefined;
    }
    this.show(this);
    const started = Date.now();
    try {
      const data = await this.load(flight.signal);
      if (flight.signal.aborted) {
        return;
      }
      this.data = data;
      this.error = undefined;
      this.arrived = Date.now();
      this.at = Date.parse(/** @type {any} */ (data)?.deliveryDate) || this.arrived;
    } catch (error) {
      if (flight.signal.aborted) {
        return;
      }
      this.error = /** @type {Error} */ (error);
    }
    this.isLoading = false;
    this.ended = Date.now();
    this.took = this.ended - started;
    this.show(this);
  }
}

/** The line that says how old data are. */
export class Freshness {
  /** @param {string} [className] */
  constructor(className = "fresh") {
    this.element = h("p", { class: className });
  }

  /** @param {Live<any>} live */
  show({ data, error, at, arrived, isLoading }) {
    const element = this.element;
    element.classList.toggle("bad", error !== undefined);
    if (error && data !== undefined) {
      const since = [clock(at), ", ", ago(arrived)];
      put(element, "Could not be refreshed since ", since, `: ${error.message}`);
    } else if (error) {
      put(element, ...failure(error));
    } else if (data === undefined) {
      put(element, isLoading ? "Loading …" : "");
    } else {
      put(element, "As of ", clock(at), ", ", ago(arrived));
    }
  }
}

/** @param {number} at */
function clock(at) {
  return timeElement(at, { clock: true });
}

/**
 * Greys a place whose data are old, and says whether it is being loaded.
 *
 * @param {HTMLElement} place
 * @param {Live<any>} live
 */
export function mark(place, { data, error, isLoading }) {
  place.classList.toggle("stale", error !== undefined && data !== undefined);
  place.setAttribute("aria-busy", String(isLoading));
}

/**
 * Draws data in a place, or nothing without any.
 *
 * @param {HTMLElement} place
 * @param {Live<any>} live
 * @param {() => void} draw
 */
export function showIn(place, live, draw) {
  mark(place, live);
  if (live.data === undefined) {
    place.replaceChildren();
  } else {
    keepFocus(place, draw);
  }
}

/**
 * Draws anew without taking the focus from the link or button that has it.
 *
 * @param {HTMLElement} place
 * @param {() => void} draw
 */
function keepFocus(place, draw) {
  const stops = () => /** @type {HTMLElement[]} */ ([...place.querySelectorAll("a, button")]);
  const index = stops().indexOf(/** @type {HTMLElement} */ (document.activeElement));
  draw();
  stops()[index]?.focus();
}

/** An error in the API's words. @param {unknown} error @returns {import("./dom.js").Child[]} */
export function failure(error) {
  if (!(error instanceof ApiError)) {
    return [error instanceof Error ? error.message : String(error)];
  }
  if (error.isMissing) {
    return [`Not available: this service is older than the page (${error.message}).`];
  }
  const again = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  const id = error.requestId ? ` (request ${error.requestId})` : "";
  return [error.message + again, h("small", null, id)];
}

/**
 * An error for a form or a view, read out when it appears.
 *
 * @param {unknown} error
 */
export function alertOf(error) {
  const element = h("p", { class: "alert", role: "alert" });
  append(element, ...failure(error));
  return element;
}
