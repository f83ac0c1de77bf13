/** Starts the page: session, header, and the view that the address names. */

import { auditView } from "./audit.js";
import { announce, button, byId, h, put } from "./dom.js";
import { listen, showKeys } from "./keys.js";
import { alertOf, refreshAll, setPaused } from "./live.js";
import { askLogin } from "./login.js";
import { ordersView } from "./orders.js";
import { overviewView } from "./overview.js";
import { closeDialogs } from "./panel.js";
import { current, go, href, start } from "./route.js";
import { endsIn, learn, logOut, may, restore, session, touch } from "./session.js";
import { duration, LOCAL, setLocal, zone } from "./time.js";

/**
 * @typedef {object} View
 * @property {(params: URLSearchParams) => void} [update] With each new address.
 * @property {() => void} [focusFilter]
 * @property {() => void} [back] Closes what is open.
 *
 * @typedef {(main: HTMLElement, controllerId: string, signal: AbortSignal) => View} MakeView
 */

/** @type {Record<string, {title: string, make: MakeView}>} */
const VIEWS = {
  overview: { title: "Overview", make: overviewView },
  orders: { title: "Orders", make: ordersView },
  audit: { title: "Audit log", make: auditView },
};

const main = byId("main");
/** @type {View | undefined} */
let view;
let shown = "";
let wasStarted = false;
let leaving = new AbortController();

/** @param {import("./route.js").Route} route */
function follow({ view: name, params }) {
  const { title = "", make } = VIEWS[name] ?? {};
  const [first = ""] = session.controllers;
  const usual = session.controllers.find((id) => may(id, "view")) ?? first;
  const controllerId = params.get("controller") || usual;
  if (!make || !params.get("controller")) {
    const known = make ? name : "overview";
    if (controllerId) {
      params.set("controller", controllerId);
      go(known, params, { replace: true });
      return;
    }
  }
  closeDialogs();
  const isNew = shown !== `${name} ${controllerId}`;
  if (isNew) {
    leaving.abort();
    leaving = new AbortController();
    shown = `${name} ${controllerId}`;
    put(main);
    drawHeader(name, controllerId);
    document.title = `${title} · ${controllerId} · joc-orders`;
    view = undefined;
    if (!controllerId) {
      put(main, h("p", { class: "alert" }, "There is no controller that this account may see."));
      return;
    }
    view = make?.(main, controllerId, leaving.signal);
    if (wasStarted) {
      main.focus({ preventScroll: true });
    }
    wasStarted = true;
  }
  view?.update?.(params);
}

/** @param {string} name @param {string} controllerId */
function drawHeader(name, controllerId) {
  const links = Object.entries(VIEWS)
    .filter(([key]) => key !== "audit" || session.mayAudit)
    .map(([key, { title }]) => {
      const isCurrent = key === name && "page";
      return h(
        "a",
        { href: href(key, { controller: controllerId }), "aria-current": isCurrent },
        title,
      );
    });
  put(byId("views"), links);
  const select = /** @type {HTMLSelectElement} */ (byId("controller"));
  const known = session.controllers.includes(controllerId) ? [] : [controllerId];
  put(
    select,
    [...session.controllers, ...known].map((id) =>
      h("option", { value: id, selected: id === controllerId }, id),
    ),
  );
  put(byId("account"), session.account);
}

function drawZone() {
  const select = /** @type {HTMLSelectElement} */ (byId("zone"));
  const names = LOCAL === "UTC" ? ["UTC"] : ["UTC", LOCAL];
  put(
    select,
    names.map((name) => h("option", { value: name, selected: name === zone() }, name)),
  );
  select.addEventListener("change", () => setLocal(select.value !== "UTC"));
}

function watchSession() {
  const left = endsIn();
  const place = byId("ending");
  if (left === undefined) {
    place.hidden = true;
    place.dataset.said = "";
    return;
  }
  if (place.hidden) {
    put(place, h("span"), " ", button("Stay logged in", stay));
    place.hidden = false;
  }
  const text = left > 0 ? `Your session ends in ${duration(left)}.` : "Your session has ended.";
  // Screen readers hear it twice, not every second.
  const stage = left > 0 ? "soon" : "over";
  if (place.dataset.said !== stage) {
    place.dataset.said = stage;
    announce(text);
    if (left === 0) {
      // The service says so too, and that leads to the login.
      setTimeout(stay, 1000);
    }
  }
  put(/** @type {Element} */ (place.firstElementChild), text);
}

/** Renews the session; if it has ended, that leads to the login. */
function stay() {
  touch().then(watchSession, () => {});
}

async function leave() {
  await logOut();
  history.replaceState(null, "", location.pathname);
  location.reload();
}

function pause() {
  const button = byId("pause");
  const isPaused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(isPaused));
  setPaused(isPaused);
}

async function begin() {
  drawZone();
  byId("controller").addEventListener("change", (event) => {
    const { value } = /** @type {HTMLSelectElement} */ (event.target);
    go(current().view, { controller: value });
  });
  byId("logout").addEventListener("click", () => void leave());
  byId("help").addEventListener("click", showKeys);
  byId("pause").addEventListener("click", pause);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  listen({
    go: (name) => go(name, { controller: current().params.get("controller") ?? "" }),
    focusFilter: () => view?.focusFilter?.(),
    refresh: refreshAll,
    back: () => view?.back?.(),
  });
  setInterval(watchSession, 1000);
  if (!restore()) {
    await askLogin("");
  }
  try {
    await learn();
  } catch (error) {
    put(
      main,
      alertOf(error),
      button("Try again", () => location.reload()),
    );
    return;
  }
  byId("header").hidden = false;
  start(follow);
}

void begin();
