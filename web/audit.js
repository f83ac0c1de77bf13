/** The view of the audit log: entries, and what each did to each order. */

import { ask } from "./api.js";
import {
  announce,
  button,
  clearProblems,
  field,
  h,
  newId,
  put,
  showProblem,
  textInput,
} from "./dom.js";
import { EntryPanel, OUTCOMES } from "./entry.js";
import { given } from "./filter.js";
import { csv, download, pretty } from "./formats.js";
import { Freshness, Live, mark } from "./live.js";
import { ticket } from "./panel.js";
import { go } from "./route.js";
import { session } from "./session.js";
import { counted, number } from "./states.js";
import { column, Table } from "./table.js";
import { timeElement } from "./time.js";

/** @typedef {import("./trail.js").Entry} Entry */

/** How many entries are read, at first and on request. */
const LIMIT = 1000;
const MORE = 10_000;

/** The fields of the form: in the address, in the API, and for people. */
const FIELDS = [
  { name: "account", api: "account", label: "Account", hint: "" },
  { name: "ticket", api: "ticketLink", label: "Ticket", hint: "* is any text" },
  { name: "object", api: "objectName", label: "Order or workflow", hint: "" },
  { name: "comment", api: "comment", label: "Comment", hint: "" },
  { name: "request", api: "request", label: "Request", hint: "./orders/cancel" },
  { name: "requestId", api: "requestId", label: "Request id", hint: "" },
  { name: "from", api: "dateFrom", label: "From", hint: "-7d or a date" },
  { name: "to", api: "dateTo", label: "to", hint: "0 or a date" },
  { name: "zone", api: "timeZone", label: "Zone of the dates", hint: "UTC" },
];

const BOXES = [
  { name: "done", label: "Only what changed orders" },
  { name: "all", label: "Every controller" },
];

/** @type {import("./table.js").Column<Entry>[]} */
const COLUMNS = [
  column("id", "Entry", 4, ({ id }) => id),
  column("controller", "Controller", 6, ({ controllerId }) => controllerId),
  column(
    "created",
    "When",
    11,
    ({ created }) => created,
    ({ created }) => timeElement(created),
  ),
  column("account", "Account", 7, ({ account }) => account),
  column("request", "Request", 11, ({ request }) => request),
  column(
    "outcome",
    "Outcome",
    7,
    ({ outcome }) => outcome,
    ({ outcome }) =>
      h("span", { class: `o-${outcome.toLowerCase()}`, title: OUTCOMES[outcome] }, outcome),
  ),
  column(
    "affected",
    "Orders",
    5,
    ({ affected }) => affected,
    ({ affected }) => number(affected),
  ),
  column("comment", "Comment", 12, ({ comment }) => comment ?? ""),
  column(
    "ticketLink",
    "Ticket",
    7,
    ({ ticketLink }) => ticketLink ?? "",
    ({ ticketLink }) => ticketLink && ticket(ticketLink),
  ),
];

const EXPORTED = [
  "id",
  "created",
  "controllerId",
  "account",
  "request",
  "outcome",
  "affected",
  "comment",
  "ticketLink",
  "timeSpent",
  "requestId",
  "clientAddress",
  "parameters",
];

/** @type {import("./main.js").MakeView} */
export function auditView(main, controllerId, signal) {
  if (!session.mayAudit) {
    put(
      main,
      h("h1", null, "Audit log"),
      h("p", { class: "alert" }, "This account may not see the audit log."),
    );
    return {};
  }
  let params = new URLSearchParams();
  let shown = "";
  let limit = LIMIT;
  let lastTyped = false;

  const requests = h("datalist", { id: newId() });
  const inputs = FIELDS.map(({ name, api, label, hint }) => {
    const input = textInput(api || name, hint, set);
    input.setAttribute("list", name === "request" ? requests.id : "");
    return { name, input, element: field(label, input) };
  });
  const boxes = BOXES.map(({ name, label }) => {
    const input = h("input", { type: "checkbox", onchange: () => set(false) });
    return { name, input, element: h("label", { class: "check" }, input, label) };
  });

  /** Changes the address to what is typed and checked. @param {boolean} typing */
  function set(typing) {
    const texts = inputs.map(({ name, input }) => [name, input.value.trim()]);
    const checks = boxes.map(({ name, input }) => [name, input.checked ? "yes" : ""]);
    const fields = Object.fromEntries([...texts, ...checks]);
    go("audit", given({ controller: controllerId, ...fields }), { replace: typing && lastTyped });
    lastTyped = typing;
  }

  /** @type {Table<Entry>} */
  const table = new Table({
    label: "Audit entries",
    columns: [],
    key: ({ id }) => String(id),
    open: (entry) => select(entry.id),
  });
  const panel = new EntryPanel({
    signal,
    changed: () => void list.reload(),
    closed: () => select(undefined),
  });
  const age = new Freshness();
  const total = h("p", { class: "total", role: "status" });
  const exports = [
    button("Export CSV", () => save("csv", "text/csv", csv(EXPORTED, table.items))),
    button("Export JSON", () => save("json", "application/json", pretty(table.items))),
  ];

  /** @param {number | undefined} id */
  function select(id) {
    const changed = new URLSearchParams(params);
    if (id === undefined) {
      changed.delete("entry");
      table.element.focus();
    } else {
      changed.set("entry", String(id));
    }
    go("audit", changed);
  }

  /** @type {Live<{auditLog: Entry[]}>} */
  const list = new Live(
    (flight) => {
      const fields = FIELDS.map(({ name, api }) => [api, params.get(name) ?? ""]);
      const where = params.has("all") ? {} : { controllerId };
      const body = { ...where, ...given(Object.fromEntries(fields)), limit: wanted() };
      return ask("/audit_log", body, flight);
    },
    draw,
    { signal, every: 30 },
  );

  /** The service does not know this filter, so it applies to what was read. */
  function isNarrowed() {
    return params.has("done");
  }

  function wanted() {
    return isNarrowed() ? MORE : limit;
  }

  /** @returns {Entry[]} */
  function entries() {
    const all = list.data?.auditLog ?? [];
    const isChange = (/** @type {Entry} */ { outcome, affected }) =>
      outcome === "DONE" && affected > 0;
    return isNarrowed() ? all.filter(isChange) : all;
  }

  function draw() {
    const { data, error, isLoading } = list;
    age.show(list);
    mark(table.element, list);
    const all = entries();
    const read = data?.auditLog.length ?? 0;
    table.setItems(all);
    clearProblems(form);
    if (error && showProblem(form, /** @type {any} */ (error).field, error.message)) {
      put(age.element, "The filter is not valid.");
    } else if (data && !isLoading) {
      announce(`${counted(all.length, "entry", "entries")} listed`);
    }
    const isCut = read === wanted();
    const more = () => {
      limit = MORE;
      void list.reload();
    };
    put(
      total,
      data && counted(all.length, "entry", "entries"),
      isCut && ` among the newest ${number(read)}. Older ones were not read. `,
      isCut && wanted() < MORE && button(`Read ${number(MORE)}`, more),
    );
    for (const each of exports) {
      each.disabled = all.length === 0;
    }
    const named = new Set((data?.auditLog ?? []).map(({ request }) => request));
    put(
      requests,
      [...named].sort().map((value) => h("option", { value })),
    );
    showEntry();
  }

  /** @param {string} ending @param {string} type @param {string} text */
  function save(ending, type, text) {
    const time = new Date(list.at).toISOString().replace(/[:.]/g, "-");
    download(`audit-${controllerId}-${time}.${ending}`, type, text);
  }

  function showEntry() {
    const id = params.get("entry");
    const entry = (list.data?.auditLog ?? []).find((each) => String(each.id) === id);
    table.current = id ?? "";
    table.draw();
    if (id === null || !/^\d+$/.test(id)) {
      panel.hide();
    } else if (entry || (list.data && !list.isLoading)) {
      panel.open(Number(id), entry);
    }
  }

  const clear = () => go("audit", { controller: controllerId });
  const form = h(
    "form",
    {
      class: "filter",
      "aria-label": "Filter",
      onsubmit: (event) => event.preventDefault(),
    },
    h(
      "div",
      { class: "fields" },
      inputs.map(({ element }) => element),
      boxes.map(({ element }) => element),
      requests,
      button("Clear filter", clear, "quiet"),
    ),
  );
  put(
    main,
    h("h1", { class: "unseen" }, "Audit log"),
    h(
      "div",
      { class: "split" },
      h(
        "section",
        { class: "middle", "aria-label": "Audit entries" },
        form,
        h("div", { class: "bar" }, total, age.element, h("div", { class: "actions" }, exports)),
        table.element,
      ),
      panel.element,
    ),
  );

  return {
    update(changed) {
      params = changed;
      for (const { name, input } of inputs) {
        const value = params.get(name) ?? "";
        if (input.value.trim() !== value) {
          input.value = value;
        }
      }
      for (const { name, input } of boxes) {
        input.checked = params.has(name);
      }
      const filter = new URLSearchParams(params);
      filter.delete("entry");
      if (filter.toString() !== shown || list.data === undefined) {
        shown = filter.toString();
        limit = LIMIT;
        table.setColumns(
          COLUMNS.filter(({ name }) =>
            name === "controller"
              ? params.has("all")
              : innerWidth >= 600 || ["created", "request", "affected"].includes(name),
          ),
        );
        table.element.scrollTop = 0;
        void list.reload({ forget: true });
      } else {
        showEntry();
      }
    },
    focusFilter: () => inputs[0]?.input.focus(),
    back: () => panel.close(),
  };
}
