/** The form that is the filter. It tells each change, and shows a filter that it is given. */

import { preview } from "./actions.js";
import { ApiError, ask } from "./api.js";
import {
  button,
  clearProblems,
  field,
  foreign,
  h,
  newId,
  put,
  showProblem,
  textInput,
} from "./dom.js";
import { everything, hasWindow, windowOf } from "./filter.js";
import { Live } from "./live.js";
import { ENDED, LIVING } from "./states.js";
import { LOCAL, timeElement } from "./time.js";

/** @typedef {import("./filter.js").Filter} Filter */

const TEXTS = /** @type {const} */ (["dateFrom", "dateTo", "timeZone", "regex"]);

export class FilterBar {
  /**
   * @param {object} options
   * @param {string} options.controllerId
   * @param {string | undefined} options.resolver The path of an action that the account may do.
   * @param {AbortSignal} options.signal
   * @param {(filter: Filter, typing: boolean) => void} options.changed
   */
  constructor({ controllerId, resolver, signal, changed }) {
    this.filter = everything();
    this.changed = changed;
    this.chips = h("ul", { class: "chips", "aria-label": "Folders, workflows and orders" });
    this.note = h("p", { class: "hint" });
    this.resolved = h("p", { class: "resolved", "aria-live": "polite" });
    this.dateFrom = this.input("dateFrom", "-2h or 2026-11-23T10:00:00");
    this.dateTo = this.input("dateTo", "0, 1d or a date");
    this.timeZone = this.input("timeZone", "UTC");
    this.regex = this.input("regex", "Part of a path or an id");
    this.workflow = h("input", { type: "text", list: newId(), autocomplete: "off" });
    this.versions = h("select", null, h("option", { value: "" }, "every version"));
    this.known = h("datalist", { id: this.workflow.getAttribute("list") ?? "" });
    /** @type {Map<string, string[]>} */
    this.workflows = new Map();
    this.states = [...LIVING, ...ENDED].map(({ state, means }) => this.state(state, means));
    this.element = this.layout();
    this.window = new Live(
      async (signal) => (await resolve(resolver, controllerId, this.filter, signal)) ?? {},
      () => this.showWindow(),
      { signal },
    );
  }

  layout() {
    const zones = h("datalist", { id: newId() }, zoneNames());
    this.timeZone.setAttribute("list", zones.id);
    this.workflow.addEventListener("input", () => this.showVersions());
    this.workflow.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.addWorkflow();
      }
    });
    return h(
      "form",
      { class: "filter", "aria-label": "Filter", onsubmit: stop },
      h("fieldset", { class: "states" }, h("legend", null, "States"), this.states),
      h(
        "div",
        { class: "fields" },
        field("Scheduled from", this.dateFrom),
        field("to", this.dateTo),
        field("Zone of the dates", this.timeZone),
        zones,
        field("Text", this.regex),
        field("Workflow", this.workflow),
        field("Version", this.versions),
        this.known,
        button("Add", () => this.addWorkflow()),
        button("Clear filter", () => this.set(everything()), "quiet"),
      ),
      this.resolved,
      this.chips,
      this.note,
    );
  }

  /** @param {typeof TEXTS[number]} name @param {string} placeholder */
  input(name, placeholder) {
    return textInput(name, placeholder, () => this.set({}, true));
  }

  /** @param {string} state @param {string} means */
  state(state, means) {
    const input = h("input", { type: "checkbox", value: state, class: "unseen" });
    input.addEventListener("change", () => {
      const chosen = this.stateInputs().filter(({ checked }) => checked);
      this.set({ states: chosen.map(({ value }) => value) });
    });
    const className = `toggle state s-${state.toLowerCase()}`;
    return h("label", { class: className, title: means }, input, h("span", null, state));
  }

  stateInputs() {
    return this.states.map((label) => /** @type {HTMLInputElement} */ (label.firstElementChild));
  }

  focus() {
    this.regex.focus();
    this.regex.select();
  }

  /** Changes the filter to what is typed and chosen. @param {Partial<Filter>} change @param {boolean} [typing] */
  set(change, typing = false) {
    const texts = Object.fromEntries(TEXTS.map((name) => [name, this[name].value.trim()]));
    this.changed({ ...this.filter, ...texts, ...change }, typing);
  }

  /** Shows a filter, and resolves its window. @param {Filter} filter */
  show(filter) {
    const before = JSON.stringify(windowOf(this.filter));
    this.filter = filter;
    for (const name of TEXTS) {
      if (this[name].value.trim() !== filter[name]) {
        this[name].value = filter[name];
      }
    }
    for (const input of this.stateInputs()) {
      input.checked = filter.states.includes(input.value);
    }
    this.showChips();
    clearProblems(this.element);
    if (!hasWindow(filter)) {
      this.window.flight?.abort();
      put(this.resolved);
    } else if (JSON.stringify(windowOf(filter)) !== before || this.window.error) {
      void this.window.reload({ forget: true });
    }
  }

  showChips() {
    const { filter } = this;
    const folders = filter.folders.map((chosen, index) => {
      const flip = () => {
        const flipped = { ...chosen, recursive: !chosen.recursive };
        this.set({ folders: filter.folders.with(index, flipped) });
      };
      const toggle = button(chosen.recursive ? "and below" : "only", flip);
      return this.chip("folder", chosen.folder, toggle, () => ({
        folders: filter.folders.toSpliced(index, 1),
      }));
    });
    const workflows = filter.workflowIds.map(({ path, versionId }, index) =>
      this.chip("workflow", path, h("span", null, versionId ?? "every version"), () => ({
        workflowIds: filter.workflowIds.toSpliced(index, 1),
      })),
    );
    const orders = filter.orderIds.map((id, index) =>
      this.chip("order", id, null, () => ({ orderIds: filter.orderIds.toSpliced(index, 1) })),
    );
    put(this.chips, folders, workflows, orders);
    const rules = [];
    if (
      filter.orderIds.length &&
      (filter.workflowIds.length || filter.folders.length || filter.states.length)
    ) {
      rules.push("Order ids override workflows, folders and states.");
    } else if (filter.workflowIds.length && filter.folders.length) {
      rules.push("Workflows override folders.");
    }
    put(this.note, rules);
  }

  /**
   * @param {string} kind
   * @param {string} text
   * @param {Node | null} more
   * @param {() => Partial<Filter>} without
   */
  chip(kind, text, more, without) {
    const remove = button("×", () => this.set(without()));
    remove.setAttribute("aria-label", `Remove ${kind} ${text}`);
    return h(
      "li",
      { class: "chip" },
      h("span", { class: "kind" }, kind),
      foreign(text),
      more,
      remove,
    );
  }

  /** @param {{path: string, versionId: string}[]} workflows */
  setWorkflows(workflows) {
    this.workflows = new Map();
    for (const { path, versionId } of workflows) {
      this.workflows.set(path, [...(this.workflows.get(path) ?? []), versionId]);
    }
    const paths = [...this.workflows.keys()].sort();
    put(
      this.known,
      paths.map((value) => h("option", { value })),
    );
  }

  showVersions() {
    const versions = this.workflows.get(this.workflow.value) ?? [];
    const every = h("option", { value: "" }, "every version");
    put(
      this.versions,
      every,
      versions.map((version) => h("option", { value: version }, version)),
    );
  }

  addWorkflow() {
    const path = this.workflow.value.trim();
    if (path) {
      const versionId = this.versions.value || undefined;
      const workflowIds = [...this.filter.workflowIds, versionId ? { path, versionId } : { path }];
      this.workflow.value = "";
      this.showVersions();
      this.set({ workflowIds });
    }
  }

  showWindow() {
    const { data, error, isLoading } = this.window;
    if (this.refuse(error)) {
      put(this.resolved);
    } else if (error) {
      put(this.resolved, error.message);
    } else if (data && !isLoading) {
      put(this.resolved, ...windowText(data));
    }
  }

  /** Shows an error at the field that it names. Returns whether there is one. @param {unknown} error */
  refuse(error) {
    return error instanceof ApiError && showProblem(this.element, error.field, error.message);
  }
}

/** @param {Event} event */
function stop(event) {
  event.preventDefault();
}

/**
 * @param {{dateFrom?: string, dateTo?: string}} window
 */
export function windowText({ dateFrom, dateTo }) {
  if (!dateFrom && !dateTo) {
    return [];
  }
  return [
    "Scheduled ",
    dateFrom ? h("span", null, "from ", timeElement(dateFrom)) : "at any time",
    dateTo ? h("span", null, " until before ", timeElement(dateTo)) : " on",
  ];
}

function zoneNames() {
  const names = new Set(["UTC", LOCAL, ...Intl.supportedValuesOf("timeZone")]);
  return [...names].map((value) => h("option", { value }));
}

/**
 * The window as instants: the service knows what dates mean. A preview costs nothing if no order
 * can have its id.
 *
 * @param {string | undefined} path
 * @param {string} controllerId
 * @param {Filter} filter
 * @param {AbortSignal} signal
 */
async function resolve(path, controllerId, filter, signal) {
  const window = windowOf(filter);
  if (path) {
    return preview(path, { controllerId, orderIds: ["|"], ...window, limit: 1 }, signal);
  }
  if (!filter.dateFrom || !filter.dateTo) {
    return undefined;
  }
  const body = {
    controllerId,
    folders: [{ folder: "/", recursive: false }],
    ...window,
    unit: "DAY",
  };
  const { buckets } = await ask("/orders/overview/schedule", body, signal);
  return { dateFrom: buckets.at(0)?.from, dateTo: buckets.at(-1)?.to };
}
