/** The first view: how many orders are in which state, what comes, what was cancelled. */

import { ask } from "./api.js";
import { counts, histogram } from "./chart.js";
import { foreign, h, hint, put } from "./dom.js";
import { Freshness, Live, showIn } from "./live.js";
import { plain } from "./preview.js";
import { href } from "./route.js";
import { may, session } from "./session.js";
import { badge, counted, LIVING, number } from "./states.js";
import { duration, onZone, tick, timeElement, zone } from "./time.js";

/** Seconds between refreshes. */
const EVERY = 15;

/** @typedef {"HOUR" | "DAY"} Unit */

/** The windows of the histogram of what is scheduled, in the words of the API. */
const AHEAD = {
  HOUR: { label: "24 hours", dateFrom: "0", dateTo: "24h" },
  DAY: { label: "14 days", dateFrom: "0", dateTo: "+13d" },
};

/** @type {import("./main.js").MakeView} */
export function overviewView(main, controllerId, signal) {
  /** @type {Unit} */
  let unit = "HOUR";
  /** @type {Live<any>[]} */
  const all = [];

  /**
   * @param {string} title
   * @param {string} path
   * @param {() => object} body
   * @param {(place: HTMLElement, data: any) => void} draw
   * @param {HTMLElement} [tools]
   */
  function part(title, path, body, draw, tools) {
    const place = h("div", { class: "place" });
    const age = new Freshness();
    const heading = h("h2", null, title);
    /** @type {Live<any>} */
    const live = new Live(
      (flight) => ask(path, { controllerId, ...body() }, flight),
      () => {
        age.show(live);
        showIn(place, live, () => draw(place, live.data));
      },
      { signal, every: EVERY },
    );
    all.push(live);
    void live.reload();
    const section = h(
      "section",
      { class: "card" },
      h("header", null, heading, tools),
      place,
      age.element,
    );
    return { section, live };
  }

  const states = () =>
    part(
      "Orders by state",
      "/orders/overview/snapshot",
      () => ({}),
      (place, { orders }) => {
        const total = LIVING.reduce((sum, { count }) => sum + orders[count], 0);
        const bars = LIVING.map(({ state, count }) => ({
          label: badge(state),
          name: state,
          value: orders[count],
          href: href("orders", { state }),
          className: `fill s-${state.toLowerCase()}`,
        }));
        put(
          place,
          h("p", { class: "count" }, counted(total), h("small", null, " that have not ended")),
          counts(bars),
        );
      },
    );

  const schedule = () => {
    const radios = Object.entries(AHEAD).map(([name, { label }]) => {
      const input = h("input", {
        type: "radio",
        name: "unit",
        value: name,
        checked: name === unit,
        class: "unseen",
        onchange: () => {
          unit = /** @type {Unit} */ (name);
          void scheduled.live.reload();
        },
      });
      return h("label", { class: "toggle" }, input, h("span", null, label));
    });
    const chooser = h(
      "fieldset",
      { class: "choice" },
      h("legend", { class: "unseen" }, "Time shown"),
      radios,
    );
    const scheduled = part(
      "Scheduled",
      "/orders/overview/schedule",
      () => ({
        dateFrom: AHEAD[unit].dateFrom,
        dateTo: AHEAD[unit].dateTo,
        timeZone: zone(),
        unit,
      }),
      (place, data) => put(place, aside(data), upcoming(data)),
      chooser,
    );
    return scheduled;
  };

  /** @param {{overdue: number, never: number}} data */
  function aside({ overdue, never }) {
    return h(
      "p",
      { class: "aside" },
      h(
        "a",
        { href: href("orders", { state: "BLOCKED" }), class: overdue ? "bad" : "" },
        `${number(overdue)} overdue`,
      ),
      " · ",
      h("a", { href: href("orders", { state: "PENDING" }) }, `${number(never)} never`),
    );
  }

  /** @param {{buckets: {from: string, to: string, orders: number}[]}} data */
  function upcoming({ buckets }) {
    const shown = unit;
    const bars = buckets.map(({ from, to, orders }, index) => ({
      label: label(from, index, buckets.length, shown),
      title: span(from, shown),
      value: orders,
      href: href("orders", { from, to, state: "SCHEDULED" }),
    }));
    return histogram(
      `Orders scheduled by ${shown.toLowerCase()}, ${zone()}`,
      ["From", "Orders"],
      bars,
    );
  }

  const cancels = () =>
    part(
      "Cancelled per day",
      "/audit_log/overview",
      () => ({
        request: "./orders/cancel",
        dateFrom: "-13d",
        dateTo: "0",
        timeZone: zone(),
        unit: "DAY",
      }),
      (place, { buckets }) => {
        const bars = buckets.map(
          (/** @type {any} */ { from, to, requests, orders }, /** @type {number} */ index) => ({
            label: label(from, index, buckets.length, "DAY"),
            title: span(from, "DAY"),
            value: orders,
            note: ` in ${counted(requests, "request")}`,
            href: href("audit", { from, to, request: "./orders/cancel", done: "yes" }),
          }),
        );
        put(place, histogram(`Orders cancelled by day, ${zone()}`, ["Day", "Orders"], bars));
      },
    );

  const cancelling = () =>
    part(
      "Longest CANCELLING",
      "/orders/overview/cancelling",
      () => ({ limit: 10 }),
      (place, { total, orders }) => {
        if (total === 0) {
          put(place, hint("No order waits for its executor to end it."));
          return;
        }
        const rows = orders.map((/** @type {any} */ order) => cancellingRow(order));
        const heads = ["Order", "State", "For", "Since", "Entry"];
        put(place, plain(`The first ${rows.length} of ${counted(total)}`, heads, rows));
      },
    );

  /** @param {any} order */
  function cancellingRow({ orderId, state, kill, since, auditLogId, account }) {
    const entry = auditLogId !== undefined && href("audit", { entry: String(auditLogId) });
    return h(
      "tr",
      null,
      h("td", null, h("a", { href: href("orders", { order: orderId }) }, foreign(orderId))),
      h("td", null, badge(state), kill && h("span", { class: "marked" }, "kill")),
      h("td", null, duration(Date.now() - Date.parse(since))),
      h("td", null, timeElement(since)),
      h(
        "td",
        null,
        entry && session.mayAudit ? h("a", { href: entry }, String(auditLogId)) : "",
        account && [" by ", foreign(account)],
      ),
    );
  }

  put(main, h("h1", { class: "unseen" }, "Overview"));
  if (may(controllerId, "view")) {
    const parts = [states(), schedule(), ...(session.mayAudit ? [cancels()] : []), cancelling()];
    main.append(
      h(
        "div",
        { class: "cards" },
        parts.map(({ section }) => section),
      ),
    );
  } else {
    main.append(h("p", { class: "alert" }, "This account may not see orders here."));
  }
  onZone(() => all.forEach((live) => void live.reload()), signal);
  return {};
}

/**
 * Every bar has a title; only some have the place for a label.
 *
 * @param {string} from
 * @param {number} index
 * @param {number} length
 * @param {Unit} unit
 */
function label(from, index, length, unit) {
  const step = Math.max(1, Math.ceil(length / 6));
  return index % step === 0 && index + step / 2 < length ? tick(from, unit) : "";
}

/** @param {string} from @param {Unit} unit */
function span(from, unit) {
  return `${tick(from, "DAY")}${unit === "HOUR" ? ` ${tick(from, "HOUR")}` : ""} ${zone()}`;
}
