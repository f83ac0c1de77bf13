/**
 * The address of what is shown: `#/orders?controller=prod&folder=/sos`. It is a fragment, so it
 * reaches neither the service nor the logs of proxies.
 */

/** @typedef {{view: string, params: URLSearchParams}} Route */

/** @type {(route: Route) => void} */
let follow = () => {};

/** @returns {Route} */
export function current() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { view: path || "overview", params: new URLSearchParams(query) };
}

/**
 * @param {string} view
 * @param {URLSearchParams | Record<string, string>} [params]
 */
export function href(view, params = {}) {
  const query = new URLSearchParams(params);
  if (!query.has("controller")) {
    query.set("controller", current().params.get("controller") ?? "");
  }
  // Slashes and colons are frequent, and need no escape in a fragment.
  return `#/${view}?${query}`.replaceAll("%2F", "/").replaceAll("%3A", ":");
}

/**
 * @param {string} view
 * @param {URLSearchParams | Record<string, string>} [params]
 * @param {{replace?: boolean}} [options] `replace` for steps that "back" should not return to.
 */
export function go(view, params, { replace = false } = {}) {
  const address = href(view, params);
  if (address === location.hash) {
    return;
  }
  if (replace) {
    history.replaceState(null, "", address);
  } else {
    history.pushState(null, "", address);
  }
  follow(current());
}

/** @param {(route: Route) => void} follower Called with each new address. */
export function start(follower) {
  follow = follower;
  addEventListener("hashchange", () => follow(current()));
  follow(current());
}
