/**
 * Changes orders: options, preview, reason, confirmation, result. One request is built; the
 * preview, the change and the lines to copy all come from it.
 */

import { permitted, preview, UNDO } from "./actions.js";
import { ApiError, change, newKey } from "./api.js";
import { commandLine, curlLine } from "./commands.js";
import { button, clearProblems, field, h, put, showProblem } from "./dom.js";
import { given } from "./filter.js";
import { alertOf, Freshness, Live } from "./live.js";
import { openDialog } from "./panel.js";
import { leftAlone, previewOf } from "./preview.js";
import { href } from "./route.js";
import { may, session } from "./session.js";
import { counted } from "./states.js";

/** From this many orders on, their number must be typed. */
const TYPED = 100;

const SHOWN = 20;

/**
 * @param {object} options
 * @param {import("./actions.js").Action} options.action
 * @param {Record<string, any>} options.base The selectors, or the entry to undo.
 * @param {string} options.title
 * @param {() => void} options.changed Called when orders have changed.
 */
function openChange({ action, base, title, changed }) {
  const closing = new AbortController();
  const onclose = () => closing.abort();
  const { controllerId } = base;
  const opened = openDialog(`${title} · ${controllerId}`, { className: "change", onclose });
  let isSending = false;
  /** The change that was sent and whose outcome is unknown. @type {{body: object, key: string} | undefined} */
  let unknown;

  const boxes = action.choices.map((choice) => {
    const input = h("input", { type: "checkbox", name: choice.name });
    return { choice, input };
  });
  const comment = h("input", {
    type: "text",
    name: "auditLog.comment",
    required: session.commentRequired,
  });
  const ticket = h("input", { type: "text", name: "auditLog.ticketLink" });
  const minutes = h("input", {
    type: "number",
    name: "auditLog.timeSpent",
    min: 0,
    inputmode: "numeric",
  });
  const typed = h("input", {
    type: "text",
    name: "maxOrders",
    autocomplete: "off",
    inputmode: "numeric",
    onkeydown: (event) => event.key === "Enter" && send(),
  });
  const count = h("p", { class: "count", role: "status" });
  const place = h("section", { "aria-label": "Preview" });
  const lines = h("div");
  const problem = h("div");
  // No key in another field may carry out the change: only this button, or Enter after the number.
  // A double click is one: its second half would confirm what the first has just made appear.
  const confirm = (/** @type {MouseEvent} */ event) => event.detail < 2 && send();
  const submit = button("", confirm, action.destructive ? "danger" : "main");
  const leave = button("Do nothing", opened.close);
  const again = button("Preview again", () => live.reload());
  const age = new Freshness();
  const confirmation = field(
    "Number of orders",
    typed,
    "So that nobody changes this many by accident.",
  );

  /** The request, apart from `maxOrders` and the preview's `limit`. */
  function request() {
    const chosen = boxes.filter(({ input }) => input.checked);
    const reason = {
      comment: comment.value.trim(),
      ticketLink: ticket.value.trim(),
      timeSpent: minutes.value === "" ? "" : Number(minutes.value),
    };
    const auditLog = given(reason);
    return {
      ...base,
      ...Object.fromEntries(chosen.map(({ choice }) => [choice.name, choice.value])),
      ...(Object.keys(auditLog).length ? { auditLog } : {}),
    };
  }

  /** The change: within the window that the preview has shown, and no more orders than that. */
  function whole() {
    const { dateFrom, dateTo, total } = live.data ?? base;
    const timeZone = live.data ? "" : base.timeZone;
    return given({ ...request(), dateFrom, dateTo, timeZone, maxOrders: total });
  }

  /** @type {Live<any>} */
  const live = new Live(
    (signal) => preview(action.path, { ...request(), limit: SHOWN }, signal),
    draw,
    { signal: closing.signal },
  );

  function draw() {
    const { data, error, isLoading } = live;
    age.show(live);
    place.setAttribute("aria-busy", String(isLoading));
    place.classList.toggle("stale", isLoading || error !== undefined);
    if (error instanceof ApiError && showProblem(form, error.field, error.message)) {
      put(age.element, "The request is not valid.");
    }
    put(place, ...(data ? previewOf(action, base, data, new Set(Object.keys(request()))) : []));
    const total = data?.total ?? 0;
    put(count, data && (total ? counted(total) : "No orders would be affected."));
    // What may have happened already is not chosen anew.
    const isFixed = unknown !== undefined;
    for (const control of [again, ...form.querySelectorAll("fieldset")]) {
      control.disabled = isFixed;
    }
    leave.hidden = isFixed;
    const isReady = isFixed || (total > 0 && !isLoading && !error);
    put(submit, unknown ? "Send again" : `${action.verb} ${counted(total)}`);
    submit.disabled = isSending || !isReady;
    submit.hidden = total === 0 && !unknown;
    confirmation.hidden = total < TYPED;
    put(/** @type {Element} */ (confirmation.firstElementChild), `Type ${total} to confirm`);
    drawLines();
  }

  function drawLines() {
    const body = whole();
    put(
      lines,
      copyable("curl", curlLine(action.path, body)),
      copyable("Command line", commandLine(action.command, body)),
    );
  }

  async function send() {
    if (submit.disabled) {
      return;
    }
    clearProblems(form);
    put(problem);
    const total = live.data?.total ?? 0;
    if (!unknown && total >= TYPED && typed.value.replace(/[\s,.]/g, "") !== String(total)) {
      showProblem(form, "maxOrders", `This is not ${total}.`);
      typed.focus();
      return;
    }
    // What was sent, and may have happened, is sent again as it was.
    unknown ??= { body: whole(), key: newKey() };
    isSending = true;
    draw();
    put(problem, h("p", { role: "status" }, "Sending …"));
    try {
      const lost = (/** @type {number} */ attempt) =>
        put(
          problem,
          h(
            "p",
            { role: "status" },
            `No result yet. Sending it again with the same key (${attempt}) …`,
          ),
        );
      const answer = await change(action.path, unknown.body, { key: unknown.key, lost });
      changed();
      showResult(answer);
    } catch (error) {
      isSending = false;
      put(problem);
      refuse(error);
    }
  }

  /** @param {unknown} error */
  function refuse(error) {
    const isLost = error instanceof ApiError && error.isLost;
    if (!isLost) {
      unknown = undefined;
    }
    opened.show();
    draw();
    // More orders than were shown: the field for their number may be hidden.
    const isMore = error instanceof ApiError && error.field === "maxOrders";
    const isNamed =
      error instanceof ApiError && !isMore && showProblem(form, error.field, error.message);
    if (isLost) {
      put(
        problem,
        alertOf(error),
        h(
          "p",
          null,
          "Nobody knows whether the change happened. Send it again: it has the same key, so that it happens once. The ",
          h("a", { href: href("audit") }, "audit log"),
          " shows what has happened.",
        ),
      );
    } else if (isNamed) {
      /** @type {HTMLElement | null} */ (form.querySelector("[aria-invalid]"))?.focus();
    } else {
      put(problem, alertOf(error));
    }
    if (isMore) {
      typed.value = "";
      void live.reload();
    }
  }

  /** @param {import("./api.js").Answer} answer */
  function showResult({ body, auditLogId, affected }) {
    isSending = false;
    closing.abort();
    const { dialog, content, heading, close, show } = opened;
    show();
    const entry =
      auditLogId === undefined
        ? null
        : h(
            "a",
            { href: href("audit", { entry: String(auditLogId) }), onclick: close },
            `Audit entry ${auditLogId}`,
          );
    const canUndo = action.undoable && auditLogId !== undefined && may(controllerId, "cancel");
    const undo = () => {
      dialog.close();
      openUndo(controllerId, auditLogId ?? 0, changed);
    };
    put(heading, "Done");
    put(
      content,
      h(
        "p",
        { class: "result", role: "status" },
        `${counted(affected ?? 0)} ${action.done}. `,
        session.mayAudit ? entry : `Audit entry ${auditLogId}.`,
      ),
      body.notRestored && leftAlone(body),
      h(
        "div",
        { class: "buttons" },
        canUndo && button("Undo …", undo),
        button("Close", close, "main"),
      ),
    );
    heading.focus();
  }

  const form = h(
    "form",
    {
      onsubmit: (event) => event.preventDefault(),
      oninput: () => clearProblems(form),
      novalidate: true,
    },
    h(
      "div",
      { class: "scrolling" },
      boxes.length > 0 &&
        h(
          "fieldset",
          { class: "how", onchange: () => live.reload() },
          h("legend", null, "How"),
          boxes.map(({ choice, input }) =>
            h(
              "label",
              { class: "check" },
              input,
              h("span", null, choice.label, h("small", null, choice.hint)),
            ),
          ),
        ),
      count,
      place,
      h("div", { class: "bar" }, age.element, again),
      h(
        "fieldset",
        { class: "fields", oninput: drawLines },
        h("legend", null, "Reason, for the audit log"),
        field(session.commentRequired ? "Comment (required)" : "Comment", comment),
        field("Ticket", ticket),
        field("Minutes spent", minutes),
      ),
      h("details", null, h("summary", null, "The same as a command"), lines),
    ),
    h(
      "div",
      { class: "confirm" },
      confirmation,
      problem,
      h("div", { class: "buttons" }, leave, submit),
    ),
  );
  opened.dialog.addEventListener("cancel", (event) => isSending && event.preventDefault());
  put(opened.content, form);
  void live.reload();
}

/**
 * @param {string} controllerId
 * @param {number} auditLogId
 * @param {() => void} changed
 */
export function openUndo(controllerId, auditLogId, changed) {
  const base = { controllerId, auditLogId };
  openChange({
    action: UNDO,
    base,
    title: `Undo the cancel of audit entry ${auditLogId}`,
    changed,
  });
}

/**
 * A button for each action that the account may do.
 *
 * @param {string} controllerId
 * @param {() => Record<string, any>} base The selectors when the button is pressed.
 * @param {string} what Which orders, in words.
 * @param {() => void} changed
 */
export function actionButtons(controllerId, base, what, changed) {
  return permitted(controllerId).map((action) => {
    const title = `${action.verb} ${what}`;
    const onclick = () => openChange({ action, base: base(), title, changed });
    return button(`${action.verb} …`, onclick, action.destructive ? "danger" : "");
  });
}

/** @param {string} label @param {string} line */
function copyable(label, line) {
  const copied = h("span", { role: "status" });
  const onclick = async () => {
    try {
      await navigator.clipboard.writeText(line);
      put(copied, "Copied");
    } catch {
      put(copied, "Select the line and copy it");
    }
  };
  return h(
    "div",
    { class: "copyable" },
    h("p", null, label, " ", button("Copy", onclick, "quiet"), copied),
    h("pre", { tabindex: 0, "aria-label": label }, line),
  );
}
