/** The view of orders: folders, the filter, the table, and what can be done to what is meant. */

import { permitted } from "./actions.js";
import { ask } from "./api.js";
import { actionButtons } from "./change.js";
import { columnChooser, shownColumns } from "./columns.js";
import { announce, button, h, put } from "./dom.js";
import { everything, fromParams, listing, selection, selects, toParams } from "./filter.js";
import { FilterBar } from "./filterbar.js";
import { FolderTree, pathsOf, treeOf } from "./folders.js";
import { Freshness, Live, mark } from "./live.js";
import { OrderPanel } from "./order.js";
import { go } from "./route.js";
import { may } from "./session.js";
import { counted, number, sum } from "./states.js";
import { Table } from "./table.js";

const LIMIT = 10_000;
const MORE = 100_000;

/** The most orders that a filter names by id: the address has to hold them. */
const NAMED = 200;

/** @type {import("./main.js").MakeView} */
export function ordersView(main, controllerId, signal) {
  let filter = everything();
  let shown = "";
  let limit = LIMIT;
  let lastTyped = false;
  /** Of the counts in the tree. */
  let counting = "";

  const bar = new FilterBar({
    controllerId,
    resolver: permitted(controllerId)[0]?.path,
    signal,
    changed(changed, typing) {
      show(changed, { replace: typing && lastTyped });
      lastTyped = typing;
    },
  });

  const tree = new FolderTree((folder, add) => {
    const { folders } = filter;
    const others = folders.filter((chosen) => chosen.folder !== folder);
    const wasChosen = others.length < folders.length;
    const isOnly = wasChosen && folders.length === 1;
    const one = wasChosen && (add || isOnly) ? [] : [{ folder, recursive: true }];
    bar.set({ folders: add ? [...others, ...one] : one });
  });

  /** @type {Table<import("./columns.js").Order>} */
  const table = new Table({
    label: "Orders",
    columns: shownColumns(),
    key: ({ orderId }) => orderId,
    open: ({ orderId, workflowId }) => panel.open({ orderId, path: workflowId.path }),
    marked: () => drawActions(),
  });
  const panel = new OrderPanel({
    controllerId,
    signal,
    changed: reload,
    closed: () => table.element.focus(),
  });
  const age = new Freshness();
  const total = h("p", { class: "total", role: "status" });
  const buttons = actionButtons(
    controllerId,
    () => selection(controllerId, filter),
    "all orders of the filter",
    reload,
  );
  const onlyMarked = button("", filterMarked);
  const hint = h("p", { class: "hint" });
  const actions = h("div", { class: "actions" }, buttons, onlyMarked, hint);
  const folderAge = new Freshness("fresh small");
  const columns = columnChooser((chosen) => table.setColumns(chosen));

  /** @type {Live<any>} */
  const list = new Live(
    (flight) => {
      const body = { ...listing(controllerId, filter), limit };
      return ask("/orders", body, flight);
    },
    drawList,
    { signal, every: 30 },
  );
  /** @type {Live<any>} */
  const counts = new Live(
    (flight) => ask("/orders/overview/folders", toCount(), flight),
    drawTree,
    { signal, every: 30 },
  );
  /** What exists apart from orders; it changes rarely. @type {Live<any>} */
  const folders = new Live((flight) => ask("/tree", { controllerId }, flight), drawTree, {
    signal,
  });
  /** @type {Live<any>} */
  const workflows = new Live(
    (flight) => ask("/workflows", { controllerId, compact: true }, flight),
    ({ data }) => bar.setWorkflows(data?.workflows ?? []),
    { signal },
  );

  /** What the tree counts; its numbers are then those of the chosen states. */
  function toCount() {
    const { workflowIds, dateFrom, dateTo, timeZone } = filter;
    return listing(controllerId, { ...everything(), workflowIds, dateFrom, dateTo, timeZone });
  }

  function reload() {
    void list.reload();
    void counts.reload();
  }

  /** @param {import("./filter.js").Filter} changed @param {{replace: boolean}} options */
  function show(changed, options) {
    const params = toParams(changed);
    params.set("controller", controllerId);
    go("orders", params, options);
  }

  function drawList() {
    const { data, error, isLoading } = list;
    age.show(list);
    mark(table.element, list);
    table.setItems(data?.orders ?? []);
    const count = data?.orders.length ?? 0;
    const cut = count === limit;
    if (error && bar.refuse(error)) {
      put(age.element, "The filter is not valid.");
    } else if (!error && !isLoading) {
      clearTimeout(announcing);
      announcing = setTimeout(() => announce(`${counted(count)} listed`), 500);
    }
    const more = button(`List up to ${number(MORE)}`, showMore);
    put(
      total,
      data &&
        (cut
          ? `The first ${counted(count)} by id are listed; there may be more. `
          : counted(count)),
      cut && limit === LIMIT && more,
    );
    drawActions();
  }
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let announcing;

  function showMore() {
    limit = MORE;
    void list.reload();
  }

  function drawTree() {
    folderAge.show(counts);
    const states = filter.states;
    const of = new Map(
      (counts.data?.folders ?? []).map((/** @type {any} */ entry) => [
        entry.folder,
        sum(entry.orders, states),
      ]),
    );
    tree.setRoot(treeOf(pathsOf(folders.data?.folders ?? []), of), counts.data !== undefined);
  }

  function drawActions() {
    const problem = filter.regex
      ? "A change cannot select by text. Remove the text, or mark orders and filter by their ids."
      : selects(filter)
        ? ""
        : "To change orders, choose what is meant: a folder (/ is all), a workflow, states or dates.";
    for (const each of buttons) {
      each.disabled = problem !== "";
    }
    put(hint, buttons.length > 0 && problem);
    const named = Math.min(table.marks.size, NAMED);
    onlyMarked.hidden = named === 0;
    put(onlyMarked, `Filter by ${counted(named, "marked order")}`);
  }

  function filterMarked() {
    const orderIds = [...table.marks].slice(0, NAMED);
    table.setMarks(new Set());
    bar.set({ ...everything(), orderIds });
  }

  if (!may(controllerId, "view")) {
    put(
      main,
      h("h1", null, "Orders"),
      h("p", { class: "alert" }, "This account may not see orders here."),
    );
    return {};
  }
  put(
    main,
    h("h1", { class: "unseen" }, "Orders"),
    h(
      "div",
      { class: "split" },
      h(
        "details",
        { class: "side", open: innerWidth >= 900 },
        h("summary", null, "Folders"),
        tree.element,
        folderAge.element,
      ),
      h(
        "section",
        { class: "middle", "aria-label": "List of orders" },
        bar.element,
        actions,
        h("div", { class: "bar" }, total, age.element, columns),
        table.element,
      ),
      panel.element,
    ),
  );
  if (may(controllerId, "view", "workflows")) {
    void folders.reload();
    void workflows.reload();
  }

  return {
    update(params) {
      filter = fromParams(params);
      const address = toParams(filter).toString();
      const isNew = address !== shown || list.data === undefined;
      shown = address;
      bar.show(filter);
      tree.setChosen(filter.folders.map(({ folder }) => folder));
      if (isNew) {
        limit = LIMIT;
        table.element.scrollTop = 0;
        table.setMarks(new Set());
        void list.reload({ forget: true });
        const body = JSON.stringify(toCount());
        void counts.reload({ forget: body !== counting });
        counting = body;
      }
    },
    focusFilter: () => bar.focus(),
    back: () => panel.close(),
  };
}
