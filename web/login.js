/** The login, over whatever the page shows: what was typed there stays. */

import { session as transport } from "./api.js";
import { field, h, put } from "./dom.js";
import { alertOf } from "./live.js";
import { openDialog } from "./panel.js";
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
    const previous = session.account;
    const input = { required: true, autocomplete: "username" };
    const account = h("input", { ...input, type: "text", value: previous });
    const password = h("input", { ...input, type: "password", autocomplete: "current-password" });
    const submit = h("button", { class: "main" }, "Log in");
    const problem = h("div");
    let isDone = false;

    /** @param {Event} event */
    async function send(event) {
      event.preventDefault();
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
      isDone = true;
      dialog.close();
      resolve();
    }

    const options = { className: "login", isFixed: true };
    const { dialog, content, show } = openDialog("Log in to joc-orders", options);
    dialog.addEventListener("close", () => !isDone && show());
    put(
      content,
      h(
        "form",
        { onsubmit: send },
        reason && h("p", null, reason),
        field("Account", account),
        field("Password", password),
        problem,
        h("div", { class: "buttons" }, submit),
      ),
    );
    (previous ? password : account).focus();
  });
}

transport.ended = () => {
  transport.token = "";
  const reason = "Your session has ended. Log in again; what you have typed is still there.";
  return askLogin(reason).then(learn);
};
