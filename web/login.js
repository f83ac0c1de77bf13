/** The login, over whatever the page shows: what was typed there stays. */

import { session as transport } from "./api.js";
import { clearProblems, field, h, put } from "./dom.js";
import { alertOf } from "./live.js";
import { learn, logIn, session } from "./session.js";

/** @type {Promise<void> | undefined} */
let open;

/**
 * Asks for account and password. Everybody who calls meanwhile waits for the same login.
 *
 * @param {string} reason
 * @returns {Promise<void>}
 */
export function askLogin(reason) {
  open ??= ask(reason).finally(() => {
    open = undefined;
  });
  return open;
}

/** @param {string} reason @returns {Promise<void>} */
function ask(reason) {
  return new Promise((resolve) => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const previous = session.account;
    const account = h("input", {
      type: "text",
      autocomplete: "username",
      required: true,
      value: previous,
    });
    const password = h("input", {
      type: "password",
      autocomplete: "current-password",
      required: true,
    });
    const submit = h("button", { class: "main" }, "Log in");
    const problem = h("div");

    /** @param {Event} event */
    async function send(event) {
      event.preventDefault();
      clearProblems(dialog);
      submit.disabled = true;
      put(problem, h("p", { role: "status" }, "Logging in …"));
      try {
        await logIn(account.value, password.value);
      } catch (error) {
        submit.disabled = false;
        put(problem, alertOf(error));
        password.select();
        return;
      }
      if (previous && previous !== session.account) {
        // Another account may see other things: nothing of the old one stays.
        location.reload();
        return;
      }
      dialog.close();
      dialog.remove();
      before?.focus();
      resolve();
    }

    const dialog = h(
      "dialog",
      { class: "login", "aria-labelledby": "login-title" },
      h(
        "form",
        { onsubmit: send },
        h("h2", { id: "login-title" }, "Log in to joc-orders"),
        reason && h("p", null, reason),
        field("Account", account),
        field("Password", password),
        problem,
        h("div", { class: "buttons" }, submit),
      ),
    );
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    // Browsers close a dialog at the second Escape whatever `cancel` says.
    dialog.addEventListener("close", () => dialog.isConnected && dialog.showModal());
    document.body.append(dialog);
    dialog.showModal();
    (previous ? password : account).focus();
  });
}

transport.ended = () => {
  transport.token = "";
  const reason = "Your session has ended. Log in again; what you have typed is still there.";
  return askLogin(reason).then(learn);
};
