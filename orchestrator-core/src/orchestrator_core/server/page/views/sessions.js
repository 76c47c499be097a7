// The conversations that the gateway keeps: a list, and one of them with all that it cost.

import { all, get } from "../api.js";
import { conversation } from "../conversation.js";
import { h, icon, put } from "../dom.js";
import { ago, count, money, num, seconds, t, when } from "../i18n.js";
import { dot } from "../providers.js";

const PAGE = 30;

const fact = (name, value) => h("div", {}, h("dt", {}, t(`session.${name}`)), h("dd", {}, value));
const status = (name) => h(`span.badge.${name === "active" ? "good" : "idle"}`, {}, t(`session.${name}`));

async function one({ main, signal }, id) {
  const path = `/api/sessions/${encodeURIComponent(id)}`;
  const [session, metrics, messages, turns, summaries] = await Promise.all([
    get(path, {}, signal),
    get(`${path}/metrics`, {}, signal),
    all(`${path}/history`, "messages", signal),
    all(`${path}/turns`, "turns", signal),
    all(`${path}/summaries`, "summaries", signal),
  ]);
  put(
    main,
    h("p", {}, h("a.back", { href: "#/sessions" }, icon("back"), t("session.all"))),
    h(
      "div.head",
      {},
      h("h1", {}, t("session.title")),
      status(session.status),
      session.status === "active" && h("a.button", { href: `#/playground/${id}` }, icon("playground"), t("session.go")),
    ),
    h("p.id", {}, h("code", {}, id)),
    h(
      "dl.facts",
      {},
      fact("messages", num(session.message_count)),
      fact("tokens", num(metrics.total_tokens)),
      fact("cost", metrics.total_cost === null ? t("cost.unknown") : money(metrics.total_cost)),
      fact("time", seconds(metrics.average_response_time || null)),
      fact(
        "providers",
        metrics.providers_used.length ? metrics.providers_used.map((name) => h("span.who", {}, dot(name), name)) : "–",
      ),
      fact("user", session.user_id ?? "–"),
      fact("created", when(session.created_at)),
      fact("summary", metrics.last_summary_at ? when(metrics.last_summary_at) : t("session.nosummary")),
    ),
    Object.keys(session.metadata).length > 0 &&
      h(
        "ul.chips",
        {},
        Object.entries(session.metadata).map(([name, value]) =>
          h("li", {}, `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`),
        ),
      ),
    messages.length
      ? h("div.talk", {}, conversation(messages, turns, summaries))
      : h("p.empty", {}, t("session.empty")),
  );
}

function row(session) {
  const summary =
    session.summary ??
    Object.values(session.metadata)
      .filter((value) => typeof value === "string")
      .join(" · ");
  return h(
    "li",
    {},
    h(
      "a.session",
      { href: `#/sessions/${session.session_id}` },
      h("span.first", {}, h("code", {}, session.session_id.slice(-12)), status(session.status)),
      h("span.about", {}, summary || session.user_id || t("session.unnamed")),
      h(
        "span.last",
        {},
        count("messages", session.message_count),
        h(
          "span",
          { title: when(session.last_turn_at ?? session.created_at) },
          ago(session.last_turn_at ?? session.created_at),
        ),
      ),
    ),
  );
}

async function list({ main, signal, fail }) {
  const rows = h("ul.list");
  const note = h("div");
  const more = h("button", { onclick: () => next().catch((error) => fail(note, error)) }, t("more"));
  const which = h(
    "select",
    { id: "status" },
    ["", "active", "expired", "closed"].map((name) =>
      h("option", { value: name }, t(name ? `session.${name}` : "session.any")),
    ),
  );
  const user = h("input", { id: "user", type: "search", placeholder: t("session.user.any"), autocomplete: "off" });
  let cursor = "";

  async function next() {
    const page = await get(
      "/api/sessions",
      { limit: PAGE, status: which.value, user_id: user.value.trim(), cursor },
      signal,
    );
    if (!cursor) put(rows);
    rows.append(...page.sessions.map(row));
    cursor = page.next_cursor ?? "";
    more.hidden = !page.has_more;
    put(
      note,
      !rows.children.length && h("p.empty", {}, t(which.value || user.value ? "session.none.found" : "session.none")),
    );
  }
  function again() {
    cursor = "";
    next().catch((error) => fail(note, error));
  }
  which.addEventListener("change", again);
  user.addEventListener("change", again);
  await next();
  put(
    main,
    h("h1", {}, t("nav.sessions")),
    h(
      "div.filters",
      {},
      h("div", {}, h("label", { for: "status" }, t("session.status")), which),
      h("div", {}, h("label", { for: "user" }, t("session.user")), user),
    ),
    note,
    rows,
    more,
  );
}

export default function sessions(context) {
  const [id] = context.path;
  return id ? one(context, id) : list(context);
}
