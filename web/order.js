/** One order beside the list: what it is, its children, and its whole trail. */

import { ask } from "./api.js";
import { actionButtons } from "./change.js";
import { scheduled, states } from "./columns.js";
import { append, button, foreign, h, hint, plain, put } from "./dom.js";
import { everything, selection } from "./filter.js";
import { pretty } from "./formats.js";
import { alertOf, Freshness, Live, showIn } from "./live.js";
import { definitions, Panel, ticket } from "./panel.js";
import { href } from "./route.js";
import { session } from "./session.js";
import { badge, counted, ENDED, LIVING } from "./states.js";
import { timeElement } from "./time.js";
import { changeOf, ENTRIES, trailOf } from "./trail.js";

/** @typedef {import("./columns.js").Order} Order */

export class OrderPanel extends Panel {
  /** @param {import("./panel.js").PanelOptions} options */
  constructor({ controllerId, signal, changed, closed }) {
    super("Order", closed);
    this.controllerId = controllerId;
    this.changed = changed;
    this.orderId = "";
    this.path = "";
    this.about = h("div");
    this.rest = h("div");
    this.age = new Freshness("fresh small");
    append(this.element, this.age.element, this.about, this.rest);
    /** @type {Live<any>} */
    this.order = new Live(
      (flight) => this.load("/order", { orderId: this.orderId }, flight, true),
      () => this.draw(),
      { signal, every: 15, wanted: () => this.orderId !== "" },
    );
    /** @type {Live<Order[]>} */
    this.children = new Live(
      (flight) => this.loadChildren(flight),
      () => this.drawRest(),
      { signal },
    );
    /** @type {Live<any>} */
    this.history = new Live(
      (flight) => this.load("/order/history", { orderId: this.orderId }, flight),
      () => this.drawRest(),
      { signal },
    );
    /** @type {Live<{steps: import("./trail.js").Step[], isCut: boolean}>} */
    this.trail = new Live(
      (flight) => trailOf(this.controllerId, this.orderId, flight),
      () => this.drawRest(),
      { signal },
    );
  }

  /** @param {{orderId: string, path: string}} order `path` of its workflow. */
  open({ orderId, path }) {
    this.orderId = orderId;
    this.path = path;
    const forget = { forget: true };
    void this.children.reload(forget);
    void this.history.reload(forget);
    if (session.mayAudit) {
      void this.trail.reload(forget);
    }
    void this.order.reload(forget);
    this.show(foreign(orderId));
  }

  hide() {
    super.hide();
    this.orderId = "";
    for (const live of [this.order, this.children, this.history, this.trail]) {
      live.flight?.abort();
    }
  }

  /**
   * @param {string} path
   * @param {object} body
   * @param {AbortSignal} signal
   * @param {boolean} [exact]
   */
  load(path, body, signal, exact) {
    const whole = { controllerId: this.controllerId, ...body };
    return ask(path, whole, signal, { exact });
  }

  /** Children, also ended ones: their ids begin with the parent's and a bar. @param {AbortSignal} signal */
  async loadChildren(signal) {
    const prefix = `${this.orderId}|`;
    // The service takes no look-around, and `%` for any text.
    const regex = `/${prefix.replace(/[\\^$.*+?()[\]{}|#&~-]/g, "\\$&").replaceAll("%", ".")}`;
    const all = [...LIVING, ...ENDED].map(({ state }) => state);
    const body = { workflowIds: [{ path: this.path }], regex, states: all };
    const { orders } = await this.load("/orders", body, signal);
    return orders.filter((/** @type {Order} */ { orderId }) => orderId.startsWith(prefix));
  }

  draw() {
    this.age.show(this.order);
    showIn(this.about, this.order, () => put(this.about, this.fields(this.order.data)));
  }

  buttons() {
    const { controllerId, orderId } = this;
    const base = () => selection(controllerId, { ...everything(), orderIds: [orderId] });
    const changed = () => {
      this.changed();
      if (this.orderId === orderId) {
        this.open({ orderId, path: this.path });
      }
    };
    return h("div", { class: "actions" }, actionButtons(controllerId, base, "this order", changed));
  }

  /** @param {Order} order */
  fields(order) {
    const { workflowId, state, marked, scheduledFor } = order;
    const link = href("orders", { controller: this.controllerId, workflow: workflowId.path });
    /** @type {[string, import("./dom.js").Children][]} */
    const rows = [
      ["State", states(state._text, marked?._text)],
      ["Waits for", state._reason],
      ["Workflow", h("a", { href: link }, foreign(workflowId.path))],
      ["Version", foreign(workflowId.versionId)],
      ["Scheduled", scheduled(scheduledFor)],
      ["Position", order.positionString],
      ["Priority", order.priority],
    ];
    const values = Object.entries(order.arguments ?? {});
    return [
      definitions(rows),
      this.buttons(),
      h("h3", null, "Arguments"),
      values.length
        ? definitions(
            values.map(([name, value]) => [
              name,
              h("code", null, typeof value === "string" ? foreign(value) : pretty(value)),
            ]),
          )
        : hint("None"),
    ];
  }

  drawRest() {
    const { children, history, trail } = this;
    const { data } = history;
    put(
      this.rest,
      this.part("Children", children, (orders) => [orders.length ? this.childList(orders) : null]),
      data?.runs?.length ? [h("h3", null, "Runs"), runs(data.runs)] : null,
      session.mayAudit
        ? this.part("Trail", trail, ({ steps, isCut }) => [
            steps.length ? h("ol", { class: "trail" }, steps.map(drawStep)) : null,
            isCut ? hint(`Only the newest ${ENTRIES} entries were read.`) : null,
          ])
        : hint("This account may not see the audit log."),
    );
  }

  /**
   * @template T
   * @param {string} title
   * @param {Live<T>} live
   * @param {(data: T) => import("./dom.js").Child[]} draw
   */
  part(title, { data, error, isLoading }, draw) {
    const content = error
      ? [alertOf(error)]
      : data === undefined
        ? [isLoading ? "Loading …" : ""]
        : draw(data);
    const isEmpty = content.every((child) => child === null);
    return [h("h3", null, title), ...(isEmpty ? [hint("None")] : content)];
  }

  /** @param {Order[]} orders */
  childList(orders) {
    return h(
      "ul",
      { class: "children" },
      orders.map(({ orderId, workflowId, state }) => {
        const open = () => this.open({ orderId, path: workflowId.path });
        return h("li", null, button(foreign(orderId), open, "link"), badge(state._text));
      }),
    );
  }
}

/** @param {any[]} all */
function runs(all) {
  const rows = all.map(({ run, agent, started, ended, exitStatus, signal, failure }) =>
    h(
      "tr",
      null,
      h("td", null, run),
      h("td", null, foreign(agent ?? "")),
      h("td", null, timeElement(started)),
      h("td", null, ended ? timeElement(ended) : "running"),
      h("td", null, failure ?? (signal === undefined ? exitStatus : `signal ${signal}`)),
    ),
  );
  return plain(counted(all.length, "run"), ["Run", "Agent", "Started", "Ended", "Result"], rows);
}

/** @param {import("./trail.js").Step} step */
function drawStep({ entry, detail }) {
  const link = href("audit", { entry: String(entry.id), object: detail.orderId });
  return h(
    "li",
    null,
    h(
      "p",
      null,
      timeElement(entry.created),
      " ",
      foreign(entry.account),
      " ",
      h("a", { href: link }, entry.request),
    ),
    h("p", null, changeOf(detail)),
    entry.comment && h("p", null, "“", foreign(entry.comment, ""), "”"),
    entry.ticketLink && h("p", null, ticket(entry.ticketLink)),
  );
}
