/** What this browser keeps between visits. Without storage, a choice lasts as long as the page. */

/** @param {string} name */
export function recall(name) {
  try {
    return localStorage.getItem(`joc-orders.${name}`);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(`joc-orders.${name}`, value);
  } catch {
    // The page works without it.
  }
}
