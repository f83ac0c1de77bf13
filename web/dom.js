/** Makes elements. Texts become text nodes, so an order named `<img>` stays text. */

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Child | Child[]} Children
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Properties
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Properties | null} [properties] Attributes, and listeners such as `onclick`.
 * @param {...Children} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Properties | null} [properties]
 * @param {...Children} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, properties, ...children) {
  return fill(
    /** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG, tag)),
    properties,
    children,
  );
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Properties | null | undefined} properties
 * @param {Children[]} children
 * @returns {E}
 */
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  append(element, ...children);
  return element;
}

/**
 * @param {Node} parent
 * @param {...Children} children
 */
export function append(parent, ...children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }
}

/**
 * @param {Children} label
 * @param {(event: any) => void} onclick
 * @param {string} [className] `main`, `danger`, `quiet` or `link`.
 */
export function button(label, onclick, className = "") {
  return h("button", { type: "button", class: className, onclick }, label);
}

/**
 * @param {string} caption
 * @param {string[]} heads
 * @param {HTMLElement[]} rows
 * @param {string} [className]
 */
export function table(caption, heads, rows, className) {
  const cells = heads.map((text) => h("th", { scope: "col" }, text));
  return h(
    "table",
    { class: className },
    h("caption", null, caption),
    h("thead", null, h("tr", null, cells)),
    h("tbody", null, rows),
  );
}

/**
 * A table that scrolls by itself where it is too wide or too long.
 *
 * @param {string} caption
 * @param {string[]} heads
 * @param {HTMLElement[]} rows
 */
export function plain(caption, heads, rows) {
  const place = { class: "scroll", tabindex: 0, role: "region", "aria-label": caption };
  return h("div", place, table(caption, heads, rows));
}

/** A line of small print. @param {...Children} children */
export function hint(...children) {
  return h("p", { class: "hint" }, ...children);
}

/**
 * @param {Element} element
 * @param {...Children} children
 */
export function put(element, ...children) {
  element.replaceChildren();
  append(element, ...children);
}

/**
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`no element #${id}`);
  }
  return element;
}

/**
 * A text from outside, such as an order's id: it may be written from right to left, and must not
 * reorder what is around it.
 *
 * @param {string} text
 * @param {string} [className]
 */
export function foreign(text, className = "id") {
  return h("bdi", { class: className, title: text }, visible(text));
}

/** Characters that cannot be seen, or that change the direction of a text. */
export const HIDDEN = /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;

/** Shows hidden characters as `\u{202e}`. @param {string} text */
export function visible(text) {
  return text.replace(HIDDEN, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`);
}

/**
 * Says a text to screen readers, without a visible change.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("live").textContent = text;
}

let ids = 0;

/** An id for an element that a label or `aria-controls` names. */
export function newId() {
  ids += 1;
  return `e${ids}`;
}

/** Milliseconds after the last key before a text counts as typed. */
const TYPING = 300;

/**
 * An input that tells when its text is typed: after a moment without a key, or when it is left.
 *
 * @param {string} name
 * @param {string} placeholder
 * @param {(typing: boolean) => void} changed
 */
export function textInput(name, placeholder, changed) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const tell = () => {
    clearTimeout(timer);
    changed(true);
  };
  const oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(tell, TYPING);
  };
  const attributes = { type: "text", name, placeholder, autocomplete: "off", spellcheck: "false" };
  return h("input", { ...attributes, oninput, onchange: tell });
}

/**
 * A field with a visible label, a hint and a place for its error.
 *
 * @param {string} label
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} input `name` is the field of the API.
 * @param {Children} [hint]
 */
export function field(label, input, hint) {
  input.id ||= newId();
  const problem = h("p", { class: "problem", id: `${input.id}-problem`, hidden: true });
  const help = hint ? h("p", { class: "hint", id: `${input.id}-hint` }, hint) : null;
  input.setAttribute("aria-describedby", help ? `${problem.id} ${help.id}` : problem.id);
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input, problem, help);
}

/**
 * Shows an error at the field that it names. Returns whether there is such a field.
 *
 * @param {Element} form
 * @param {string | undefined} name
 * @param {string} message
 */
export function showProblem(form, name, message) {
  clearProblems(form);
  const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("[name]"));
  const input = [...inputs].find((candidate) => name && candidate.name === name);
  const place = input && form.querySelector(`#${CSS.escape(input.id)}-problem`);
  if (!input || !place) {
    return false;
  }
  input.setAttribute("aria-invalid", "true");
  place.textContent = message;
  place.removeAttribute("hidden");
  return true;
}

/** @param {Element} form */
export function clearProblems(form) {
  for (const problem of form.querySelectorAll(".problem")) {
    problem.setAttribute("hidden", "");
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
}
