/** The only module that sends requests. */

import { parse } from "./formats.js";

const BASE = new URL("../joc/api", import.meta.url).href;

/** What a client may send again with the same `Idempotency-Key`, or read again. */
const LOST = new Set([0, 502, 503, 504]);

/** Milliseconds before each repetition of a change whose outcome is unknown. */
const PAUSES = [1000, 3000, 8000];

/** A failure, in the words of the API. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there was no response.
   * @param {string} code
   * @param {string} message
   * @param {{requestId?: string, retryAfter?: number}} [more]
   */
  constructor(status, code, message, more = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.requestId = more.requestId ?? "";
    this.retryAfter = more.retryAfter;
    /** The field that the message names: `auditLog.comment: is too long`. */
    this.field =
      code === "JOC-300"
        ? "auditLog.comment"
        : /^([A-Za-z][\w.]*(\[\d+\])?)[:.]/.exec(message)?.[1];
  }

  /** Whether nobody knows if the service has received the request. */
  get isLost() {
    return LOST.has(this.status);
  }

  get isEnded() {
    return this.status === 401 || this.status === 440;
  }

  /** Whether the service, not a proxy before it, does not know the endpoint. */
  get isMissing() {
    return this.status === 404 && this.code !== "";
  }
}

/**
 * @typedef {object} Answer
 * @property {any} body
 * @property {number | undefined} auditLogId
 * @property {number | undefined} affected
 * @property {string} requestId
 *
 * @typedef {object} Options
 * @property {AbortSignal} [signal]
 * @property {string} [key] The `Idempotency-Key` of a change.
 * @property {string} [basic] Credentials of a login, in Base64.
 * @property {boolean} [isLast] Whether an ended session is no reason to log in again.
 * @property {boolean} [exact] Whether numbers keep all their digits.
 */

/** What the session provides: the token, and a new one when that has ended. */
export const session = {
  token: "",
  /** A response has renewed the session. */
  renewed() {},
  /** @returns {Promise<void>} when there is a new token. */
  ended: () => Promise.reject(new Error("no session")),
};

/** A random key. It need not be a UUID, which browsers make only over HTTPS. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The address of an endpoint, for a line that people copy. @param {string} path */
export function address(path) {
  return BASE + path;
}

/**
 * Sends a request, and the same again after a login if the session has ended.
 *
 * @param {string} path Below `/joc/api`.
 * @param {object} body
 * @param {Options} [options]
 * @returns {Promise<Answer>}
 */
export async function call(path, body, options = {}) {
  for (;;) {
    const token = session.token;
    try {
      const answer = await send(path, JSON.stringify(body), token, options);
      session.renewed();
      return answer;
    } catch (error) {
      if (!(error instanceof ApiError) || !error.isEnded || options.isLast) {
        throw error;
      }
      // Another request may have led to a new token meanwhile.
      if (token === session.token || session.token === "") {
        await session.ended();
      }
      options.signal?.throwIfAborted();
    }
  }
}

/**
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} signal
 * @param {Options} [options]
 * @returns {Promise<any>}
 */
export async function ask(path, body, signal, options) {
  return (await call(path, body, { ...options, signal })).body;
}

/**
 * Sends a change. If its response is lost, sends the same bytes with the same key again, so that
 * it happens once.
 *
 * @param {string} path
 * @param {object} body
 * @param {{key: string, signal?: AbortSignal, lost?: (attempt: number) => void}} options
 * @returns {Promise<Answer>}
 */
export async function change(path, body, { key, signal, lost }) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(path, body, { key, signal });
    } catch (error) {
      const pause = PAUSES[attempt];
      if (!(error instanceof ApiError) || !error.isLost || pause === undefined) {
        throw error;
      }
      lost?.(attempt + 1);
      await sleep(Math.max(pause, 1000 * (error.retryAfter ?? 0)), signal);
    }
  }
}

/**
 * @param {string} path
 * @param {string} body
 * @param {string} token
 * @param {Options} options
 * @returns {Promise<Answer>}
 */
async function send(path, body, token, { signal, key, basic, exact }) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json", "X-Request-Id": newKey() };
  if (basic !== undefined) {
    headers.Authorization = `Basic ${basic}`;
  } else {
    headers["X-Access-Token"] = token;
  }
  if (key) {
    headers["Idempotency-Key"] = key;
  }
  let response;
  try {
    // Without credentials the browser shows no password dialog of its own after a 401.
    const request = { method: "POST", headers, body, signal, credentials: "omit" };
    response = await fetch(BASE + path, /** @type {RequestInit} */ (request));
  } catch {
    signal?.throwIfAborted();
    throw new ApiError(0, "", "The service cannot be reached.", { requestId: requestId(headers) });
  }
  return read(response, exact ? parse : JSON.parse, signal, requestId(headers));
}

/** @param {Record<string, string>} headers */
function requestId(headers) {
  return headers["X-Request-Id"] ?? "";
}

/**
 * Reads the whole response, or fails: nothing of a list that was cut off is returned.
 *
 * @param {Response} response
 * @param {(text: string) => any} parsed
 * @param {AbortSignal | undefined} signal
 * @param {string} sent The request id that was sent.
 * @returns {Promise<Answer>}
 */
async function read(response, parsed, signal, sent) {
  const id = response.headers.get("X-Request-Id") ?? sent;
  let body;
  try {
    body = parsed(await response.text());
    if (body === null || typeof body !== "object") {
      throw new TypeError();
    }
  } catch {
    signal?.throwIfAborted();
    const problem = response.ok
      ? "The response was cut off or does not come from the API. Nothing of it is shown."
      : `The service responded with status ${response.status}.`;
    throw new ApiError(response.ok ? 0 : response.status, "", problem, { requestId: id });
  }
  signal?.throwIfAborted();
  if (!response.ok) {
    const { code = "", message = body.message || `Status ${response.status}` } = body.error ?? {};
    const retryAfter = number(response, "Retry-After");
    throw new ApiError(response.status, code, message, { requestId: id, retryAfter });
  }
  return {
    body,
    auditLogId: number(response, "X-Audit-Log-Id"),
    affected: number(response, "X-Orders-Affected"),
    requestId: id,
  };
}

/**
 * @param {Response} response
 * @param {string} header
 */
function number(response, header) {
  const text = response.headers.get(header);
  return text === null ? undefined : Number(text);
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
