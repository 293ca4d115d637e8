"use strict";

const PROTOCOL_VERSION = "2026-01-26";
const METHOD_NOT_FOUND = -32601;

/** What the host said no to, or did not answer. */
class Refused extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** The view's side of MCP Apps: JSON-RPC 2.0 with the window that embeds it, and with nobody else. */
class Bridge {
  #next = 1;
  #waiting = new Map();
  #requests;
  #notifications;

  /** `requests` and `notifications` are what the host may send: functions of the parameters, by method. */
  constructor(requests, notifications) {
    this.#requests = requests;
    this.#notifications = notifications;
    window.addEventListener("message", (event) => {
      if (event.source === window.parent && event.data?.jsonrpc === "2.0") this.#take(event.data);
    });
  }

  /** The host's result. Rejected with `Refused`, at the latest after so many `seconds`; 0 waits forever. */
  request(method, params = {}, seconds = 60) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const late = () => this.#settle(id, { error: { message: "the host did not answer" } });
      const timer = seconds && setTimeout(late, seconds * 1000);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#post({ id, method, params });
    });
  }

  notify(method, params = {}) {
    this.#post({ method, params });
  }

  #post(message) {
    // The host's origin is its own affair; nothing here is secret from whoever embeds the view.
    window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  #take({ id, method, params, ...rest }) {
    if (typeof method !== "string") this.#settle(id, rest);
    else if (id === undefined) this.#hear(method, params ?? {});
    else this.#answer(id, method, params ?? {});
  }

  #hear(method, params) {
    if (Object.hasOwn(this.#notifications, method)) this.#notifications[method](params);
  }

  #answer(id, method, params) {
    if (Object.hasOwn(this.#requests, method)) this.#post({ id, result: this.#requests[method](params) });
    else this.#post({ id, error: { code: METHOD_NOT_FOUND, message: `The view does not know ${method}` } });
  }

  #settle(id, { result, error }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new Refused(String(error.message ?? "no reason given"), error.code));
    else waiting.resolve(result ?? {});
  }
}
