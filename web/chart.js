/** Bars as SVG for the eye, and the same numbers as a table for screen readers. */

import { h, svg, table } from "./dom.js";
import { number } from "./states.js";
import { zone } from "./time.js";

const HEIGHT = 120;
const GAP = 2;

/**
 * @typedef {object} Bar
 * @property {string} label Below the bar; an empty one leaves the place free.
 * @property {string} title The whole name.
 * @property {number} value
 * @property {string} [note] After the value.
 * @property {string} href Where a click leads.
 */

/**
 * @param {string} caption
 * @param {[string, string]} heads
 * @param {Bar[]} bars
 */
export function histogram(caption, heads, bars) {
  const most = Math.max(0, ...bars.map(({ value }) => value));
  const highest = most || 1;
  const width = 1000 / Math.max(1, bars.length);
  const columns = bars.map(({ title, value, note, href }, index) => {
    const height = value && Math.max(2, (value / highest) * HEIGHT);
    const text = `${title}: ${number(value)}${note ?? ""}`;
    return svg(
      "a",
      {
        href,
        "aria-label": text,
        class: "column",
        tabindex: index === 0 ? 0 : -1,
        onkeydown: move,
      },
      svg("title", null, text),
      svg("rect", { class: "hit", x: index * width, y: 0, width, height: HEIGHT }),
      svg("rect", {
        class: "bar",
        x: index * width + GAP / 2,
        y: HEIGHT - height,
        width: Math.max(1, width - GAP),
        height,
      }),
    );
  });
  const rows = bars.map(({ title, value, note }) =>
    h("tr", null, h("th", { scope: "row" }, title), h("td", null, number(value) + (note ?? ""))),
  );
  const labels = bars.map(({ label }) => h("span", null, label));
  const drawing = svg(
    "svg",
    { viewBox: `0 0 1000 ${HEIGHT}`, preserveAspectRatio: "none", role: "group" },
    columns,
  );
  drawing.setAttribute("aria-label", caption);
  return h(
    "figure",
    { class: "histogram" },
    h(
      "p",
      { class: "scale", "aria-hidden": "true" },
      `${most ? `highest ${number(most)}` : "none"}, times in ${zone()}`,
    ),
    drawing,
    h("div", { class: "labels", "aria-hidden": "true" }, labels),
    table(caption, heads, rows, "unseen"),
  );
}

/** Arrows move between the bars, so that they are one stop for the tabulator. @param {KeyboardEvent} event */
function move(event) {
  const bar = /** @type {SVGElement} */ (event.currentTarget);
  const next = event.key === "ArrowRight" ? bar.nextElementSibling : bar.previousElementSibling;
  if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && next) {
    event.preventDefault();
    bar.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    /** @type {SVGElement} */ (next).focus();
  }
}

/**
 * Horizontal bars, a link each.
 *
 * @param {{label: Node, value: number, href: string, className: string}[]} bars
 */
export function counts(bars) {
  const highest = Math.max(1, ...bars.map(({ value }) => value));
  return h(
    "ul",
    { class: "counts" },
    bars.map(({ label, value, href, className }) => {
      const bar = svg("rect", { class: className, width: (value / highest) * 100, height: 10 });
      const drawing = { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" };
      const link = h(
        "a",
        { href },
        label,
        svg("svg", drawing, bar),
        h("span", { class: "number" }, number(value)),
      );
      return h("li", null, link);
    }),
  );
}
