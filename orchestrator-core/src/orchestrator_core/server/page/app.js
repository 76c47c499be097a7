// The page as a whole: which view is shown, how the gateway is, and what the user chose.

import { Problem, credential, get } from "./api.js";
import { h, icon, put } from "./dom.js";
import { LANGUAGES, load, t, translate } from "./i18n.js";
import { askForKey } from "./key.js";

const VIEWS = ["overview", "playground", "sessions", "limits"];
const THEMES = ["auto", "light", "dark"];
const HEALTH_EVERY = 10000;
const root = document.documentElement;
const main = document.getElementById("main");

let leave = new AbortController();
let me = null;

/** Remember a choice of this browser. Keys are no choices: see api.js. */
function keep(name, value) {
  try {
    localStorage.setItem(`orchestrator.${name}`, value);
  } catch {
    // A browser that keeps nothing still shows everything.
  }
}

async function who() {
  me ??= await get("/api/clients/me");
  return me;
}

async function show({ focus = true, ask = true } = {}) {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = VIEWS.includes(name) ? name : "overview";
  document.title = `${t(`nav.${view}`)} · Orchestrator`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.className = view;
  put(main, h("p.loading", {}, t("loading")));
  try {
    const [client, shown] = await Promise.all([who(), import(`./views/${view}.js`)]);
    await shown.default({
      main,
      me: client,
      admin: client.role === "admin",
      path: rest.map(decodeURIComponent),
      signal,
      fail,
      explain,
    });
  } catch (error) {
    if (!signal.aborted) put(main, failure(error));
    if (error.status === 401 && ask) askForKey(changed, credential.known);
  }
  if (focus && !signal.aborted && !document.activeElement?.closest("main, dialog")) main.focus({ preventScroll: true });
}

/** Say what went wrong, and what to do. */
function explain(error) {
  if (!(error instanceof Problem)) return t("error.page", { detail: error.message });
  if (error.status === 0) return t("error.network");
  if (error.status === 401) return t("error.key");
  if (error.status === 429 && error.retryAfter) return `${error.message} ${t("error.later", { n: error.retryAfter })}`;
  return error.message || t("error.status", { status: error.status });
}

function failure(error) {
  if (error instanceof Problem && error.status === 401) {
    return h(
      "section.blank",
      {},
      icon("key"),
      h("h1", {}, t("key.needed")),
      h("p", {}, t("key.why")),
      h("button.primary", { onclick: () => askForKey(changed) }, t("key.enter")),
    );
  }
  return h(
    "section.blank",
    { role: "alert" },
    h("h1", {}, t("error.title")),
    h("p", {}, explain(error)),
    error.requestId && h("p.muted", {}, t("error.id"), " ", h("code", {}, error.requestId)),
    h("button.primary", { onclick: () => show() }, t("again")),
  );
}

/** Show what went wrong while something is shown already. */
function fail(place, error) {
  if (error.name === "AbortError") return;
  put(
    place,
    h(
      "p.notice.bad",
      { role: "alert" },
      explain(error),
      error.requestId && h("span.muted", {}, ` (${error.requestId})`),
    ),
  );
}

function changed() {
  me = null;
  chrome();
  show({ ask: false });
}

async function health() {
  const place = document.getElementById("health");
  let status = "away";
  let version = "";
  try {
    ({ status, version } = await get("/api/health"));
  } catch {
    // What cannot be reached is away.
  }
  const tone = { healthy: "good", degraded: "warn" }[status] ?? "bad";
  put(
    place,
    h(`i.pulse.${tone}`, { "aria-hidden": "true" }),
    h("span", {}, t(`health.${status}`)),
    version && h("span.muted", {}, version),
  );
}

function chrome() {
  translate();
  put(
    document.getElementById("nav"),
    ...VIEWS.map((view) =>
      h("a", { href: `#/${view}`, "data-view": view }, icon(view), h("span", {}, t(`nav.${view}`))),
    ),
  );
  const theme = root.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const other = LANGUAGES.find((language) => language !== root.lang);
  const label = (text) => ({ title: text, "aria-label": text });
  put(
    document.getElementById("switches"),
    h(
      "button.quiet",
      {
        ...label(t("theme.now", { now: t(`theme.${theme}`), next: t(`theme.${next}`) })),
        id: "theme",
        onclick: () => pick("theme", next),
      },
      icon(theme),
    ),
    h(
      "button.quiet",
      { ...label(t("language.other")), id: "language", lang: other, onclick: () => pick("language", other) },
      other.toUpperCase(),
    ),
    h(
      "button.quiet",
      {
        ...label(t(credential.known ? "key.change" : "key.enter")),
        id: "key",
        "data-known": credential.known,
        onclick: () => askForKey(changed),
      },
      icon("key"),
    ),
  );
}

async function pick(name, value) {
  keep(name, value);
  if (name === "language") {
    root.lang = value;
    await load();
    health();
    show({ focus: false });
  } else if (value === "auto") delete root.dataset.theme;
  else root.dataset.theme = value;
  chrome();
  document.getElementById(name).focus();
}

addEventListener("hashchange", () => show());
addEventListener("unauthenticated", () => askForKey(changed, credential.known));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
setInterval(() => document.hidden || health(), HEALTH_EVERY);
await load();
chrome();
health();
show({ focus: false });
