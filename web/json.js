/** JSON whose numbers keep all their digits, where the browser can. */

/**
 * `JSON.rawJSON` and the source in a reviver are newer than the types.
 *
 * @type {any}
 */
const Json = JSON;

/**
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  if (!Json.rawJSON) {
    return JSON.parse(text);
  }
  return Json.parse(
    text,
    (/** @type {string} */ _, /** @type {any} */ value, /** @type {any} */ { source }) =>
      typeof value === "number" && String(value) !== source ? Json.rawJSON(source) : value,
  );
}

/** For people to read. @param {any} value */
export function pretty(value) {
  return JSON.stringify(value, null, 2);
}
