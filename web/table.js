/**
 * A table of any length: only the visible rows are in the document. The keyboard moves a current
 * row: arrows, page keys, Home, End; Enter opens it, the space bar marks it.
 */

import { button, foreign, h, newId, put } from "./dom.js";

/** Rows above and below the visible part, so that scrolling shows no gaps. */
const SPARE = 8;

/** Height of a row in rem, as in page.css. */
const ROW = 2;

/**
 * @template T
 * @typedef {object} Column
 * @property {string} name
 * @property {string} label
 * @property {number} width At least this many rem; what is left is shared in proportion.
 * @property {(item: T) => import("./dom.js").Children} cell
 * @property {(item: T) => string | number} by What it is sorted by.
 */

/**
 * A column that shows what it is sorted by, unless it is given a cell.
 *
 * @template T
 * @param {string} name
 * @param {string} label
 * @param {number} width
 * @param {(item: T) => string | number} by
 * @param {(item: T) => import("./dom.js").Children} [cell]
 * @returns {Column<T>}
 */
export function column(name, label, width, by, cell = (item) => foreign(String(by(item)))) {
  return { name, label, width, by, cell };
}

/** @template T */
export class Table {
  /**
   * @param {object} options
   * @param {string} options.label
   * @param {Column<T>[]} options.columns
   * @param {(item: T) => string} options.key
   * @param {(item: T) => void} options.open
   * @param {(keys: Set<string>) => void} [options.marked] If rows can be marked.
   */
  constructor({ label, columns, key, open, marked }) {
    this.columns = columns;
    this.key = key;
    this.open = open;
    this.whenMarked = marked;
    /** @type {T[]} */
    this.items = [];
    /** @type {Set<string>} */
    this.marks = new Set();
    this.current = "";
    this.sortedBy = "";
    this.descending = false;
    this.id = newId();
    this.head = h("div", { role: "rowgroup", class: "head" });
    this.body = h("div", { role: "rowgroup", class: "body" });
    this.element = h(
      "div",
      {
        role: "grid",
        class: "grid",
        tabindex: 0,
        "aria-label": label,
        "aria-multiselectable": marked ? "true" : null,
        onscroll: () => this.draw(),
        onkeydown: (event) => this.press(event),
        onclick: (event) => this.click(event),
      },
      this.head,
      this.body,
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.setColumns(columns);
  }

  get rowHeight() {
    return ROW * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  }

  /** @param {Column<T>[]} columns */
  setColumns(columns) {
    this.columns = columns;
    const marks = this.whenMarked ? "2rem " : "";
    const widths = columns.map(({ width }) => `minmax(${width}rem, ${width}fr)`).join(" ");
    this.element.style.setProperty("--columns", marks + widths);
    const least = columns.reduce(
      (sum, { width }) => sum + width + 0.75,
      this.whenMarked ? 2.75 : 0,
    );
    this.element.style.setProperty("--least", `${least}rem`);
    this.drawHead();
    this.draw();
  }

  drawHead() {
    const cells = this.columns.map(({ name, label }) => {
      const order = this.descending ? "descending" : "ascending";
      const sorted = name === this.sortedBy;
      const arrow = sorted ? (this.descending ? " ↓" : " ↑") : "";
      const attributes = { role: "columnheader", "aria-sort": sorted ? order : null };
      const onclick = () => this.sort(name);
      return h("div", attributes, button([label, arrow], onclick));
    });
    const marks = h("div", { role: "columnheader" }, h("span", { class: "unseen" }, "Marked"));
    const row = { role: "row", class: "row", "aria-rowindex": 1 };
    put(this.head, h("div", row, this.whenMarked && marks, cells));
  }

  /** @param {string} name */
  sort(name) {
    this.descending = name === this.sortedBy && !this.descending;
    this.sortedBy = name;
    this.arrange();
    this.drawHead();
    const index = this.columns.findIndex((column) => column.name === name);
    this.head.querySelectorAll("button")[index]?.focus();
    this.draw();
  }

  arrange() {
    const by = this.columns.find(({ name }) => name === this.sortedBy)?.by;
    if (!by) {
      return;
    }
    const sign = this.descending ? -1 : 1;
    const keyed = this.items.map((item) => ({ item, value: by(item) }));
    keyed.sort((a, b) => (a.value < b.value ? -sign : a.value > b.value ? sign : 0));
    this.items = keyed.map(({ item }) => item);
  }

  /** @param {T[]} items */
  setItems(items) {
    this.items = [...items];
    this.arrange();
    const keys = new Set(items.map(this.key));
    const left = [...this.marks].filter((key) => keys.has(key));
    if (left.length !== this.marks.size) {
      this.setMarks(new Set(left));
    }
    this.element.setAttribute("aria-rowcount", String(items.length + 1));
    this.draw();
  }

  /** @param {Set<string>} marks */
  setMarks(marks) {
    this.marks = marks;
    this.whenMarked?.(marks);
    this.draw();
  }

  get index() {
    return this.items.findIndex((item) => this.key(item) === this.current);
  }

  draw() {
    const height = this.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / height) - SPARE);
    const last = Math.min(
      this.items.length,
      Math.ceil((scrollTop + clientHeight) / height) + SPARE,
    );
    this.body.style.height = `${this.items.length * height}px`;
    const rows = this.items
      .slice(first, last)
      .map((item, offset) => this.row(item, first + offset, height));
    put(this.body, rows);
    const current = rows.find((row) => row.classList.contains("current"));
    if (current) {
      this.element.setAttribute("aria-activedescendant", current.id);
    } else {
      this.element.removeAttribute("aria-activedescendant");
    }
  }

  /**
   * @param {T} item
   * @param {number} index
   * @param {number} height
   */
  row(item, index, height) {
    const key = this.key(item);
    const isMarked = this.marks.has(key);
    const cells = this.columns.map(({ cell }) => h("div", { role: "gridcell" }, cell(item)));
    const mark = h("div", { role: "gridcell", class: "mark" }, isMarked ? "☑" : "☐");
    const row = h(
      "div",
      {
        role: "row",
        id: `${this.id}-${index}`,
        class: key === this.current ? "row current" : "row",
        "aria-rowindex": index + 2,
        "aria-selected": this.whenMarked ? String(isMarked) : String(key === this.current),
        "data-index": index,
      },
      this.whenMarked && mark,
      cells,
    );
    row.style.transform = `translateY(${index * height}px)`;
    return row;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {Element} */ (event.target);
    const row = /** @type {HTMLElement | null} */ (target.closest("[data-index]"));
    const item = this.items[Number(row?.dataset.index ?? -1)];
    if (!item || target.closest("a, button")) {
      return;
    }
    this.current = this.key(item);
    if (target.closest(".mark")) {
      this.toggle();
    } else {
      this.draw();
      this.open(item);
    }
  }

  toggle() {
    const marks = new Set(this.marks);
    if (!marks.delete(this.current)) {
      marks.add(this.current);
    }
    this.setMarks(marks);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.target !== this.element || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const index = this.index;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 2);
    /** @type {Record<string, number>} */
    const moves = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: this.items.length - 1,
    };
    const item = this.items[index];
    const target = moves[event.key];
    if (target !== undefined) {
      this.moveTo(target);
    } else if (event.key === "Enter" && item) {
      this.open(item);
    } else if (event.key === " " && item && this.whenMarked) {
      this.toggle();
    } else {
      return;
    }
    event.preventDefault();
  }

  /** @param {number} index */
  moveTo(index) {
    const bounded = Math.max(0, Math.min(this.items.length - 1, index));
    const item = this.items[bounded];
    if (!item) {
      return;
    }
    this.current = this.key(item);
    const height = this.rowHeight;
    const top = bounded * height;
    const shown = this.element.clientHeight - this.head.offsetHeight;
    if (top < this.element.scrollTop) {
      this.element.scrollTop = top;
    } else if (top + height > this.element.scrollTop + shown) {
      this.element.scrollTop = top + height - shown;
    }
    this.draw();
  }
}
