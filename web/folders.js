/** The tree of folders with the number of orders in and below each. */

import { h, put } from "./dom.js";
import { number } from "./states.js";

/** @typedef {{path: string, name: string, count: number, children: Node[]}} Node */

/**
 * Folders with what is in and below them, made of counts of what is directly in each.
 *
 * @param {string[]} paths Folders that exist.
 * @param {Map<string, number>} counts
 * @returns {Node}
 */
export function treeOf(paths, counts) {
  /** @type {Map<string, Node>} */
  const nodes = new Map();
  /** @param {string} path @returns {Node} */
  const nodeOf = (path) => {
    let node = nodes.get(path);
    if (!node) {
      const cut = path.lastIndexOf("/");
      node = { path, name: path.slice(cut + 1) || "/", count: 0, children: [] };
      nodes.set(path, node);
      if (path !== "/") {
        nodeOf(path.slice(0, cut) || "/").children.push(node);
      }
    }
    return node;
  };
  const root = nodeOf("/");
  for (const path of [...paths, ...counts.keys()].sort()) {
    nodeOf(path);
  }
  /** @param {Node} node @returns {number} */
  const add = (node) => {
    const own = counts.get(node.path) ?? 0;
    node.count = node.children.reduce((sum, child) => sum + add(child), own);
    return node.count;
  };
  add(root);
  return root;
}

/** @param {any[]} folders What `/tree` responds. @returns {string[]} */
export function pathsOf(folders) {
  return folders.flatMap((folder) => [folder.path, ...pathsOf(folder.folders ?? [])]);
}

export class FolderTree {
  /** @param {(path: string, add: boolean) => void} choose */
  constructor(choose) {
    this.choose = choose;
    /** @type {Node} */
    this.root = { path: "/", name: "/", count: 0, children: [] };
    this.expanded = new Set(["/"]);
    /** @type {Set<string>} */
    this.chosen = new Set();
    this.current = "/";
    this.hasCounts = true;
    this.element = h("ul", {
      role: "tree",
      class: "tree",
      "aria-label": "Folders",
      "aria-multiselectable": "true",
      onkeydown: (event) => this.press(event),
      onclick: (event) => this.click(event),
    });
  }

  /**
   * @param {Node} root
   * @param {boolean} hasCounts
   */
  setRoot(root, hasCounts) {
    this.root = root;
    this.hasCounts = hasCounts;
    // With a single way to go there is nothing to choose.
    for (let node = root; node.children.length === 1 && node.children[0]; ) {
      node = node.children[0];
      this.expanded.add(node.path);
    }
    this.draw();
  }

  /** @param {string[]} paths */
  setChosen(paths) {
    this.chosen = new Set(paths);
    for (const path of paths) {
      for (let end = path.indexOf("/", 1); end > 0; end = path.indexOf("/", end + 1)) {
        this.expanded.add(path.slice(0, end));
      }
    }
    this.draw();
  }

  /** The nodes that are not within a closed one. @returns {{node: Node, level: number}[]} */
  visible() {
    /** @type {{node: Node, level: number}[]} */
    const rows = [];
    /** @param {Node} node @param {number} level */
    const walk = (node, level) => {
      rows.push({ node, level });
      if (this.expanded.has(node.path)) {
        for (const child of node.children) {
          walk(child, level + 1);
        }
      }
    };
    walk(this.root, 1);
    return rows;
  }

  draw() {
    const focused = this.element.contains(document.activeElement);
    const rows = this.visible();
    if (!rows.some(({ node }) => node.path === this.current)) {
      this.current = "/";
    }
    put(
      this.element,
      rows.map(({ node, level }) => this.item(node, level)),
    );
    if (focused) {
      this.focus();
    }
  }

  /** @param {Node} node @param {number} level */
  item(node, level) {
    const isOpen = this.expanded.has(node.path);
    const hasChildren = node.children.length > 0;
    const item = h(
      "li",
      {
        role: "treeitem",
        "aria-level": level,
        "aria-selected": String(this.chosen.has(node.path)),
        "aria-expanded": hasChildren ? String(isOpen) : null,
        tabindex: node.path === this.current ? 0 : -1,
        "data-path": node.path,
        title: node.path,
      },
      h("span", { class: "twist", "aria-hidden": "true" }, hasChildren ? (isOpen ? "▾" : "▸") : ""),
      h("bdi", null, node.name),
      this.hasCounts && h("span", { class: "number" }, number(node.count)),
    );
    item.style.paddingInlineStart = `${level * 0.9 - 0.6}rem`;
    return item;
  }

  focus() {
    const items = this.element.querySelectorAll("li");
    [...items].find((item) => item.dataset.path === this.current)?.focus();
  }

  /** @param {string} path */
  twist(path) {
    if (!this.expanded.delete(path)) {
      this.expanded.add(path);
    }
    this.draw();
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {Element} */ (event.target);
    const path = target.closest("li")?.dataset.path;
    if (path === undefined) {
      return;
    }
    this.current = path;
    if (target.closest(".twist")) {
      this.twist(path);
    } else {
      this.choose(path, event.ctrlKey || event.metaKey);
    }
    this.focus();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const rows = this.visible();
    const index = rows.findIndex(({ node }) => node.path === this.current);
    const row = rows[index];
    if (!row || event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const { node, level } = row;
    const isOpen = node.children.length > 0 && this.expanded.has(node.path);
    /** @param {number} to */
    const move = (to) => {
      this.current = rows[Math.max(0, Math.min(rows.length - 1, to))]?.node.path ?? "/";
      this.draw();
    };
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => move(index + 1),
      ArrowUp: () => move(index - 1),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      ArrowRight: () => (isOpen ? move(index + 1) : node.children.length && this.twist(node.path)),
      ArrowLeft: () =>
        isOpen
          ? this.twist(node.path)
          : move(rows.findLastIndex((above, place) => place < index && above.level < level)),
      Enter: () => this.choose(node.path, false),
      " ": () => this.choose(node.path, true),
    };
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }
}
