/** The first view: how many orders are in which state, what comes, what was cancelled. */

import { ask } from "./api.js";
import { counts, histogram } from "./chart.js";
import { append, foreign, h, hint, plain, put } from "./dom.js";
import { Freshness, Live, refreshAll, showIn } from "./live.js";
import { href } from "./route.js";
import { may, session } from "./session.js";
import { badge, counted, LIVING, number, sum } from "./states.js";
import { duration, onZone, tick, timeElement, zone } from "./time.js";

const EVERY = 15;

/** @typedef {"HOUR" | "DAY"} Unit */

/** The windows of the histogram of what is scheduled, in the words of the API. */
const AHEAD = {
  HOUR: { label: "24 hours", window: { dateFrom: "0", dateTo: "24h" } },
  DAY: { label: "14 days", window: { dateFrom: "0", dateTo: "+13d" } },
};

const CANCEL = "./orders/cancel";
const PAST = { request: CANCEL, dateFrom: "-13d", dateTo: "0", unit: "DAY" };

/** @type {import("./main.js").MakeView} */
export function overviewView(main, controllerId, signal) {
  /** @type {Unit} */
  let unit = "HOUR";

  /** @param {any} data @returns {import("./dom.js").Child[]} */
  const states = ({ orders }) => {
    const bars = LIVING.map(({ state, count }) => ({
      label: badge(state),
      value: orders[count],
      href: href("orders", { state }),
      className: `fill s-${state.toLowerCase()}`,
    }));
    const all = sum(orders, []);
    const total = h("p", { class: "count" }, counted(all));
    append(total, h("small", null, ` that ${all === 1 ? "has" : "have"} not ended`));
    return [total, counts(bars)];
  };

  /** @param {any} data @returns {import("./dom.js").Child[]} */
  const scheduled = ({ overdue, never, buckets, sent }) => {
    const aside = h(
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
    const bars = barsOf(buckets, sent.unit, ({ from, to }) => ({
      href: href("orders", { from, to, state: "SCHEDULED" }),
    }));
    return [aside, histogram("Orders by when they are scheduled", ["From", "Orders"], bars)];
  };

  /** @param {any} data @returns {import("./dom.js").Child[]} */
  const cancelled = ({ buckets }) => {
    const bars = barsOf(buckets, "DAY", ({ from, to, requests }) => ({
      note: ` in ${counted(requests, "request")}`,
      href: href("audit", { from, to, request: CANCEL, done: "yes" }),
    }));
    return [histogram("Orders by when they were cancelled", ["Day", "Orders"], bars)];
  };

  /** @param {any} data @returns {import("./dom.js").Child[]} */
  const cancelling = ({ total, orders, deliveryDate }) => {
    if (total === 0) {
      return [hint("No order waits for its executor to end it.")];
    }
    const now = Date.parse(deliveryDate);
    const rows = orders.map((/** @type {any} */ order) => cancellingRow(order, now));
    const heads = ["Order", "State", "For", "Since", "Entry"];
    return [plain(`The first ${rows.length} of ${counted(total)}`, heads, rows)];
  };

  /** @param {any} order @param {number} now */
  function cancellingRow({ orderId, state, kill, since, auditLogId, account }, now) {
    const entry = auditLogId !== undefined && href("audit", { entry: String(auditLogId) });
    return h(
      "tr",
      null,
      h("td", null, h("a", { href: href("orders", { order: orderId }) }, foreign(orderId))),
      h("td", null, badge(state), kill && h("span", { class: "marked" }, "kill")),
      h("td", null, duration(now - Date.parse(since))),
      h("td", null, timeElement(since)),
      h(
        "td",
        null,
        entry && session.mayAudit ? h("a", { href: entry }, String(auditLogId)) : "",
        account && [" by ", foreign(account)],
      ),
    );
  }

  const ahead = () => ({ ...AHEAD[unit].window, timeZone: zone(), unit });
  const past = () => ({ ...PAST, timeZone: zone() });

  const radios = Object.entries(AHEAD).map(([name, { label }]) => {
    const onchange = () => {
      unit = /** @type {Unit} */ (name);
      refreshAll();
    };
    const attributes = { type: "radio", name: "unit", checked: name === unit, class: "unseen" };
    const input = h("input", { ...attributes, onchange });
    return h("label", { class: "toggle" }, input, h("span", null, label));
  });
  const legend = h("legend", { class: "unseen" }, "Time shown");
  const chooser = h("fieldset", { class: "choice" }, legend, radios);

  /**
   * @param {string} title
   * @param {string} path
   * @param {() => object} body
   * @param {(data: any) => import("./dom.js").Child[]} draw
   * @param {HTMLElement} [tools]
   */
  function part(title, path, body, draw, tools) {
    const place = h("div", { class: "place" });
    const age = new Freshness();
    /** @type {Live<any>} */
    const live = new Live(
      async (flight) => {
        const sent = body();
        return { ...(await ask(path, { controllerId, ...sent }, flight)), sent };
      },
      () => {
        // Bars of another zone or unit would get the wrong names.
        if (JSON.stringify(live.data?.sent) !== JSON.stringify(body())) {
          live.data = undefined;
        }
        age.show(live);
        showIn(place, live, () => put(place, draw(live.data)));
      },
      { signal, every: EVERY },
    );
    void live.reload();
    const header = h("header", null, h("h2", null, title), tools);
    return h("section", { class: "card" }, header, place, age.element);
  }

  if (!may(controllerId, "view")) {
    put(main, h("p", { class: "alert" }, "This account may not see orders here."));
    return {};
  }
  put(
    main,
    h("h1", { class: "unseen" }, "Overview"),
    h(
      "div",
      { class: "cards" },
      part("Orders by state", "/orders/overview/snapshot", () => ({}), states),
      part("Scheduled", "/orders/overview/schedule", ahead, scheduled, chooser),
      session.mayAudit && part("Cancelled per day", "/audit_log/overview", past, cancelled),
      part("Longest CANCELLING", "/orders/overview/cancelling", () => ({ limit: 10 }), cancelling),
    ),
  );
  onZone(refreshAll, signal);
  return {};
}

/**
 * Every bar has a title; only some have the place for a label.
 *
 * @param {any[]} buckets
 * @param {Unit} unit
 * @param {(bucket: any) => {href: string, note?: string}} more
 */
function barsOf(buckets, unit, more) {
  const step = Math.max(1, Math.ceil(buckets.length / 6));
  return buckets.map((bucket, index) => {
    const hasPlace = index % step === 0 && index + step / 2 < buckets.length;
    const time = unit === "HOUR" ? ` ${tick(bucket.from, "HOUR")}` : "";
    return {
      label: hasPlace ? tick(bucket.from, unit) : "",
      title: `${tick(bucket.from, "DAY")}${time} ${zone()}`,
      value: bucket.orders,
      ...more(bucket),
    };
  });
}
