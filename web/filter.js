/** Which orders are meant: the same in the address, in lists, previews and changes. */

/**
 * @typedef {{folder: string, recursive: boolean}} Folder
 * @typedef {{path: string, versionId?: string}} WorkflowId
 *
 * @typedef {object} Filter
 * @property {string[]} orderIds
 * @property {WorkflowId[]} workflowIds
 * @property {Folder[]} folders
 * @property {string[]} states
 * @property {string} dateFrom
 * @property {string} dateTo
 * @property {string} timeZone
 * @property {string} regex Only lists have it: a change cannot select by text.
 */

/** A list would take `dateTo` alone as a horizon; a change takes it as the end of a window. */
const EARLIEST = "0001-01-02T00:00:00";

/** @returns {Filter} */
export function everything() {
  return {
    orderIds: [],
    workflowIds: [],
    folders: [],
    states: [],
    dateFrom: "",
    dateTo: "",
    timeZone: "",
    regex: "",
  };
}

/**
 * @param {URLSearchParams} params
 * @returns {Filter}
 */
export function fromParams(params) {
  const filter = everything();
  for (const [name, value] of params) {
    if (name === "folder" || name === "only") {
      filter.folders.push({ folder: value, recursive: name === "folder" });
    } else if (name === "workflow") {
      filter.workflowIds.push({ path: value });
    } else if (name === "version") {
      filter.workflowIds.push(version(value));
    } else if (name === "order") {
      filter.orderIds.push(value);
    } else if (name === "state") {
      filter.states.push(value);
    } else if (name === "from" || name === "to") {
      filter[name === "from" ? "dateFrom" : "dateTo"] = value;
    } else if (name === "zone") {
      filter.timeZone = value;
    } else if (name === "text") {
      filter.regex = value;
    }
  }
  return filter;
}

/**
 * Both parts may contain any character, hence JSON.
 *
 * @param {string} text
 * @returns {WorkflowId}
 */
function version(text) {
  try {
    const [path, versionId] = JSON.parse(text);
    return { path: String(path), versionId: String(versionId) };
  } catch {
    return { path: text };
  }
}

/** @param {Filter} filter */
export function toParams(filter) {
  const params = new URLSearchParams();
  for (const { folder, recursive } of filter.folders) {
    params.append(recursive ? "folder" : "only", folder);
  }
  for (const { path, versionId } of filter.workflowIds) {
    if (versionId === undefined) {
      params.append("workflow", path);
    } else {
      params.append("version", JSON.stringify([path, versionId]));
    }
  }
  for (const id of filter.orderIds) {
    params.append("order", id);
  }
  for (const state of filter.states) {
    params.append("state", state);
  }
  const single = { from: filter.dateFrom, to: filter.dateTo, text: filter.regex };
  for (const [name, value] of Object.entries(single)) {
    if (value) {
      params.set(name, value);
    }
  }
  if (hasWindow(filter) && filter.timeZone) {
    params.set("zone", filter.timeZone);
  }
  return params;
}

/** @param {Filter} filter */
export function hasWindow(filter) {
  return filter.dateFrom !== "" || filter.dateTo !== "";
}

/** Whether a change would know what to select. @param {Filter} filter */
export function selects(filter) {
  const { orderIds, workflowIds, folders, states } = filter;
  return [orderIds, workflowIds, folders, states].some((list) => list.length) || hasWindow(filter);
}

/** The window as fields of a request. @param {Filter} filter */
export function windowOf({ dateFrom, dateTo, timeZone }) {
  return given({ dateFrom, dateTo, timeZone: dateFrom || dateTo ? timeZone : "" });
}

/**
 * The selectors of a change and its preview.
 *
 * @param {string} controllerId
 * @param {Filter} filter
 */
export function selection(controllerId, filter) {
  const { orderIds, workflowIds, folders, states } = filter;
  return {
    controllerId,
    ...given({ orderIds, workflowIds, folders, states }),
    ...windowOf(filter),
  };
}

/**
 * The body of `/orders` that lists what a change would select, and of counts.
 *
 * @param {string} controllerId
 * @param {Filter} filter
 */
export function listing(controllerId, filter) {
  const body = { ...selection(controllerId, filter), ...given({ regex: filter.regex }) };
  return filter.dateTo && !filter.dateFrom ? { ...body, dateFrom: EARLIEST } : body;
}

/**
 * The fields that are not empty.
 *
 * @param {Record<string, any>} fields
 * @returns {Record<string, any>}
 */
export function given(fields) {
  const isGiven = (/** @type {any} */ value) =>
    Array.isArray(value)
      ? value.length > 0
      : value !== "" && value !== undefined && value !== false;
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => isGiven(value)));
}
