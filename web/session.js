/** Who is logged in, for how long, and what the account may do. */

import { call, session as transport } from "./api.js";

/** `/docs` reads this one too. */
const TOKEN = "joc-orders.token";
const ACCOUNT = "joc-orders.account";

/** Warn this long before the session ends, or a quarter of its time before if that is less. */
const WARNING = 120_000;

/** @typedef {Record<string, Record<string, boolean>>} Permissions */

export const session = {
  account: "",
  /** Milliseconds without a request after which the session ends. */
  timeout: 0,
  /** @type {string[]} */
  controllers: [],
  commentRequired: false,
  mayAudit: false,
};

/** @type {{controllerDefaults: Permissions, controllers: Record<string, Permissions>}} */
let permissions = { controllerDefaults: {}, controllers: {} };

let renewedAt = Date.now();
let usedAt = Date.now();

transport.renewed = () => {
  renewedAt = Date.now();
};

for (const event of ["pointerdown", "keydown"]) {
  addEventListener(event, () => {
    usedAt = Date.now();
  });
}

/** Whether somebody has used the page lately. If not, it must not keep the session alive. */
export function isAttended() {
  return Date.now() - usedAt < session.timeout;
}

/** Milliseconds until the session ends, if it ends soon. */
export function endsIn() {
  const left = renewedAt + session.timeout - Date.now();
  const soon = Math.min(WARNING, session.timeout / 4);
  return transport.token && left < soon ? Math.max(0, left) : undefined;
}

/** Takes up the session of this tab after a reload. Returns whether there is one. */
export function restore() {
  transport.token = sessionStorage.getItem(TOKEN) ?? "";
  const [account, timeout] = JSON.parse(sessionStorage.getItem(ACCOUNT) ?? '["", 0]');
  session.account = account;
  session.timeout = timeout;
  return transport.token !== "" && timeout > 0;
}

/**
 * @param {string} account
 * @param {string} password
 */
export async function logIn(account, password) {
  const bytes = new TextEncoder().encode(`${account}:${password}`);
  const basic = btoa(String.fromCharCode(...bytes));
  const { body } = await call("/authentication/login", {}, { basic, isLast: true });
  transport.token = body.accessToken;
  session.account = body.account;
  session.timeout = body.sessionTimeout;
  sessionStorage.setItem(TOKEN, body.accessToken);
  sessionStorage.setItem(ACCOUNT, JSON.stringify([session.account, session.timeout]));
}

/** Forgets the token, after the service has been told so. */
export async function logOut() {
  const token = transport.token;
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(ACCOUNT);
  if (token) {
    // A service that cannot be reached ends the session by itself when it has been idle.
    const signal = AbortSignal.timeout(5000);
    await call("/authentication/logout", {}, { isLast: true, signal }).catch(() => {});
  }
  transport.token = "";
}

export function touch() {
  return call("/touch", {});
}

/** Asks what the account may see and do. */
export async function learn() {
  const [granted, ids, properties] = await Promise.all([
    call("/authentication/joc_cockpit_permissions", {}),
    call("/controller/ids", {}),
    call("/joc/properties", {}),
  ]);
  permissions = granted.body;
  session.controllers = ids.body.controllerIds;
  session.commentRequired = properties.body.forceCommentsForAuditLog;
  session.mayAudit = granted.body.joc?.auditLog?.view === true;
}

/**
 * @param {string} controllerId
 * @param {string} permission Of orders: `view`, `cancel`, `suspendResume`, …
 * @param {string} [about]
 */
export function may(controllerId, permission, about = "orders") {
  const granted = permissions.controllers[controllerId] ?? permissions.controllerDefaults;
  return granted[about]?.[permission] === true;
}
