// Talks to the gateway, and keeps the key: in memory, or for this tab where the user asks for that.

import { events } from "./sse.js";

const KEPT = "orchestrator.key";
let key = tab((storage) => storage.getItem(KEPT)) ?? null;

/** Do something with what is kept for the tab; a browser may refuse it, and then nothing is. */
function tab(act) {
  try {
    return act(sessionStorage);
  } catch {
    return undefined;
  }
}

/** How the limits of requests stand, by their names, as the last answer said. */
export const quotas = new Map();

export const credential = {
  asked: document.documentElement.dataset.asks === "true",
  get known() {
    return key !== null;
  },
  use(value, keep) {
    key = value;
    tab((storage) => (keep ? storage.setItem(KEPT, value) : storage.removeItem(KEPT)));
  },
  forget() {
    key = null;
    tab((storage) => storage.removeItem(KEPT));
    quotas.clear();
  },
};

/** An error that the gateway answered with, or that kept it from answering (status 0). */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? "");
    this.status = status;
    this.code = body.code ?? "";
    this.requestId = body.request_id ?? "";
    this.sessionId = body.session_id ?? "";
    this.retryAfter = retryAfter;
  }
}

async function send(path, options) {
  // Else the gateway would count a wrong credential for each question of a page that has none yet.
  if (credential.asked && key === null && !path.startsWith("/api/health")) {
    throw new Problem(401, { code: "unauthenticated" });
  }
  const headers = { Accept: "application/json", ...options.headers };
  if (key !== null) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, {});
  }
  note(response.headers);
  if (response.ok) return response;
  if (response.status === 401) {
    credential.asked = true;
    dispatchEvent(new CustomEvent("unauthenticated"));
  }
  throw new Problem(response.status, await response.json().catch(() => ({})), response.headers.get("Retry-After"));
}

function note(headers) {
  const limits = new Map(
    [...(headers.get("RateLimit-Policy") ?? "").matchAll(/"([^"]+)";q=(\d+);w=(\d+)/g)].map((m) => [m[1], m]),
  );
  for (const [, name, left, reset] of (headers.get("RateLimit") ?? "").matchAll(/"([^"]+)";r=(\d+);t=(\d+)/g)) {
    const [, , limit, window] = limits.get(name) ?? [];
    quotas.set(name, { limit: Number(limit), window: Number(window), left: Number(left), reset: Number(reset) });
  }
}

/** Read JSON. `query` leaves out what is empty. */
export async function get(path, query = {}, signal = undefined) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null));
  const response = await send(asked.size ? `${path}?${asked}` : path, { signal });
  return response.json();
}

/** Post JSON, and yield the events of the answer. */
export async function* stream(path, body, signal) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  const response = await send(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  for await (const event of events(response.body)) {
    if (event.event === "error") throw new Problem(event.status, event);
    yield event;
  }
}

const WHOLE = 100;
const PAGES = 50;

/** Read all pages of a list; `cut` of it says whether there is more than is read. */
export async function all(path, name, signal) {
  const found = [];
  let cursor = "";
  for (let pages = 0; pages < PAGES; pages += 1) {
    const page = await get(path, { limit: WHOLE, cursor }, signal);
    found.push(...page[name]);
    found.cut = page.has_more;
    if (!page.has_more) break;
    cursor = page.next_cursor;
  }
  return found;
}
