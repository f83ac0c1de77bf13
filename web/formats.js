/** Texts of data: JSON that keeps all digits, CSV that is no formula, and files of either. */

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

/** Characters with which a spreadsheet takes a cell for a formula, after blanks too. */
const FORMULA = /^[\s\p{Cf}]*[=+\-@]/u;

/**
 * @param {any} value
 * @returns {string}
 */
function cell(value) {
  const text = value === undefined || value === null ? "" : String(value);
  const isNumber = /^-?\d+(\.\d+)?$/.test(text);
  const safe = FORMULA.test(text) && !isNumber ? `'${text}` : text;
  return /[",;\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * @param {string[]} names
 * @param {Record<string, any>[]} items
 */
export function csv(names, items) {
  const lines = [names, ...items.map((item) => names.map((name) => item[name]))];
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/**
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads it after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
