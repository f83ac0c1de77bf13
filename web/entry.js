/** One audit entry beside the list: who, why, the request, and what it did to each order. */

import { openUndo } from "./change.js";
import { append, button, foreign, h, hint, put, visible } from "./dom.js";
import { parse, pretty } from "./formats.js";
import { alertOf, Live } from "./live.js";
import { definitions, Panel, ticket } from "./panel.js";
import { href } from "./route.js";
import { may } from "./session.js";
import { counted } from "./states.js";
import { column, Table } from "./table.js";
import { timeElement } from "./time.js";
import { changeOf, detailsOf, entryOf } from "./trail.js";

/**
 * @typedef {import("./trail.js").Entry} Entry
 * @typedef {import("./trail.js").Detail} Detail
 */

/** What the outcomes of entries mean. @type {Record<string, string>} */
export const OUTCOMES = {
  DONE: "the request was carried out",
  NO_ORDERS: "no order was found",
  DENIED: "the account may not do that, or could not log in",
  OUTSIDE: "it was for folders that the account may not see",
};

export class EntryPanel extends Panel {
  /** @param {Omit<import("./panel.js").PanelOptions, "controllerId">} options */
  constructor({ signal, changed, closed }) {
    super("Audit entry", closed);
    this.changed = changed;
    this.id = -1;
    this.controllerId = "";
    this.about = h("div");
    this.state = h("div");
    /** @type {Table<Detail>} */
    this.table = new Table({
      label: "Orders of the entry",
      columns: [
        column("order", "Order", 12, ({ orderId }) => orderId),
        column("change", "Before → after", 14, ({ previousState }) => previousState, changeOf),
        column("workflow", "Workflow", 12, ({ workflowId }) => workflowId.path),
      ],
      key: ({ orderId }) => orderId,
      open: ({ orderId }) => {
        location.hash = href("orders", { controller: this.controllerId, order: orderId });
      },
    });
    append(this.element, this.about, this.state, this.table.element);
    /** @type {Live<Detail[]>} */
    this.details = new Live(
      (flight) => detailsOf(this.id, flight),
      () => this.drawDetails(),
      { signal },
    );
    /** The entry, if it is not among those listed. @type {Live<Entry | undefined>} */
    this.entry = new Live(
      (flight) => entryOf(this.id, flight),
      ({ data, error, isLoading }) => {
        if (data) {
          this.draw(this.id, data);
        } else {
          const none = hint("There is no such entry, or this account may not see it.");
          put(this.about, error ? alertOf(error) : isLoading ? hint("Loading …") : none);
        }
      },
      { signal },
    );
  }

  /** @param {number} id @param {Entry | undefined} entry */
  open(id, entry) {
    const isNew = this.id !== id;
    this.id = id;
    if (entry) {
      this.entry.flight?.abort();
      this.draw(id, entry);
    } else if (isNew) {
      void this.entry.reload({ forget: true });
    }
    if (isNew) {
      this.table.element.scrollTop = 0;
      void this.details.reload({ forget: true });
      this.show(`Audit entry ${id}`);
    }
  }

  hide() {
    super.hide();
    this.id = -1;
    this.details.flight?.abort();
    this.entry.flight?.abort();
  }

  /** @param {number} id @param {Entry} entry */
  draw(id, entry) {
    const { changed } = this;
    const { controllerId, undoes: undone } = entry;
    this.controllerId = controllerId;
    const canUndo =
      entry.request === "./orders/cancel" &&
      entry.outcome === "DONE" &&
      entry.affected > 0 &&
      may(controllerId, "cancel");
    const undo = () => openUndo(controllerId, id, changed);
    put(
      this.about,
      definitions([
        ["When", timeElement(entry.created)],
        ["Controller", controllerId],
        ["Account", foreign(entry.account)],
        ["Request", entry.request],
        ["Outcome", `${entry.outcome}: ${OUTCOMES[entry.outcome] ?? ""}`],
        ["Orders", entry.affected],
        ["Comment", entry.comment && foreign(entry.comment, "")],
        ["Ticket", entry.ticketLink && ticket(entry.ticketLink)],
        ["Minutes spent", entry.timeSpent],
        [
          "Undoes",
          undone !== undefined &&
            h("a", { href: href("audit", { entry: String(undone) }) }, `entry ${undone}`),
        ],
        ["Request id", foreign(entry.requestId)],
        ["Address", entry.clientAddress && foreign(entry.clientAddress)],
      ]),
      canUndo && h("div", { class: "actions" }, button("Undo …", undo)),
      entry.parameters &&
        h(
          "details",
          null,
          h("summary", null, "Request body"),
          h("pre", { tabindex: 0, "aria-label": "Request body" }, visibleJson(entry.parameters)),
        ),
    );
  }

  drawDetails() {
    const { data, error, isLoading } = this.details;
    this.table.setItems(data ?? []);
    this.table.element.hidden = !data?.length;
    put(
      this.state,
      h("h3", null, "Orders"),
      error
        ? alertOf(error)
        : hint(
            data
              ? data.length
                ? `${counted(data.length)}, before → after`
                : "None"
              : isLoading
                ? "Loading …"
                : "",
          ),
    );
  }
}

/** @param {string} text */
function visibleJson(text) {
  try {
    return pretty(parse(text)).split("\n").map(visible).join("\n");
  } catch {
    return visible(text);
  }
}
