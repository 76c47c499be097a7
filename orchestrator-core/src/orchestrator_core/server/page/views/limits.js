// What the caller may do and has left, and for admins: the clients, and the security events.

import { get, quotas } from "../api.js";
import { h, put } from "../dom.js";
import { ago, knows, money, num, short, t, when } from "../i18n.js";
import { poll } from "../poll.js";

const EVERY = 10000;

const meter = (name, used, most, text) =>
  h(
    "div.quota",
    {},
    h("span", { id: `quota-${name}` }, t(`quota.${name}`)),
    h("meter", {
      "aria-labelledby": `quota-${name}`,
      min: 0,
      max: most,
      value: Math.min(used, most),
      high: most * 0.8,
      low: most * 0.5,
      optimum: 0,
    }),
    h("b", {}, text),
  );

function own(me) {
  const { budget } = me;
  const meters = [...quotas].map(([name, { limit, left, reset }]) =>
    meter(
      knows(`quota.${name}`) ? name : "other",
      limit - left,
      limit,
      t("quota.left", { left: num(left), limit: num(limit), reset }),
    ),
  );
  if (budget?.usd)
    meters.push(
      meter(
        "usd",
        budget.spent_usd ?? 0,
        budget.usd,
        t("budget.spent", { spent: money(budget.spent_usd ?? 0), most: money(budget.usd) }),
      ),
    );
  if (budget?.tokens)
    meters.push(
      meter(
        "budget",
        budget.spent_tokens ?? 0,
        budget.tokens,
        t("budget.spent", { spent: short(budget.spent_tokens ?? 0), most: short(budget.tokens) }),
      ),
    );
  const fact = (name, value) => h("div", {}, h("dt", {}, t(`me.${name}`)), h("dd", {}, value));
  return h(
    "section.card",
    {},
    h("h2", {}, t("me.title")),
    h(
      "dl.facts",
      {},
      fact("name", me.name),
      fact("role", t(`role.${me.role}`)),
      fact("tenant", me.tenant),
      fact("expires", me.expires_at ? when(me.expires_at) : t("me.never")),
      fact("providers", me.providers?.join(", ") ?? t("me.all")),
      fact("models", me.models?.join(", ") ?? t("me.all")),
    ),
    meters.length ? meters : h("p.muted", {}, t("quota.none")),
    budget &&
      h("p.muted", {}, budget.resets_at ? t("budget.resets", { when: when(budget.resets_at) }) : t("budget.total")),
  );
}

function eventsCard({ counts, events }) {
  const happened = Object.entries(counts).filter(([, number]) => number);
  const label = (name, meaning) => (knows(`event.${name}`) ? t(`event.${name}`) : meaning || name);
  return h(
    "section.card",
    {},
    h("div.head", {}, h("h2", {}, t("events.title")), h("p.muted", {}, t("events.about"))),
    happened.length > 0 &&
      h(
        "ul.chips.counts",
        {},
        happened.map(([name, number]) => h("li", {}, h("b", {}, num(number)), " ", label(name))),
      ),
    events.length
      ? h(
          "div.scroll",
          { tabindex: 0, role: "region", "aria-label": t("events.title") },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["when", "what", "who", "where"].map((name) => h("th", { scope: "col" }, t(`events.${name}`))),
              ),
            ),
            h(
              "tbody",
              {},
              events
                .slice(0, 100)
                .map(({ at, event, meaning, principal, remote, path, provider, reason }) =>
                  h(
                    "tr",
                    {},
                    h("td.time", { title: when(at) }, ago(at)),
                    h("td", { title: meaning }, label(event, meaning)),
                    h("td", {}, principal ?? provider ?? "–", remote && h("small", {}, remote)),
                    h("td", {}, path ? h("code", {}, path) : (reason ?? "–")),
                  ),
                ),
            ),
          ),
        )
      : h("p.empty", {}, t("events.none")),
  );
}

function clientsCard({ clients, has_more: more }) {
  const limit = ({ budget, requests_per_minute: rate }) =>
    [
      rate && t("client.rate", { n: num(rate) }),
      budget?.usd && `${money(budget.usd)} / ${t(`period.${budget.period}`)}`,
      budget?.tokens && `${short(budget.tokens)} ${t("figure.tokens").toLowerCase()} / ${t(`period.${budget.period}`)}`,
    ]
      .filter(Boolean)
      .join(" · ");
  return h(
    "section.card",
    {},
    h("div.head", {}, h("h2", {}, t("clients.title")), h("p.muted", {}, t("clients.about"))),
    clients.length
      ? h(
          "div.scroll",
          { tabindex: 0, role: "region", "aria-label": t("clients.title") },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["name", "role", "tenant", "limits", "providers", "expires"].map((name) =>
                  h("th", { scope: "col" }, t(`me.${name}`)),
                ),
              ),
            ),
            h(
              "tbody",
              {},
              clients.map((client) =>
                h(
                  "tr",
                  {},
                  h("th", { scope: "row" }, client.name, h("small", {}, client.id)),
                  h("td", {}, t(`role.${client.role}`)),
                  h("td", {}, client.tenant),
                  h("td", {}, limit(client) || t("me.none")),
                  h("td", {}, client.providers?.join(", ") ?? t("me.all")),
                  h("td", {}, client.expires_at ? when(client.expires_at) : t("me.never")),
                ),
              ),
            ),
          ),
        )
      : h("p.empty", {}, t("clients.none")),
    more && h("p.muted", {}, t("clients.more")),
  );
}

export default async function limits({ main, admin, signal, fail }) {
  const error = h("div");
  const body = h("div.stack");
  async function refresh() {
    const [me, events, clients] = await Promise.all([
      get("/api/clients/me", {}, signal),
      admin && get("/api/events", {}, signal),
      admin && get("/api/clients", { limit: 100 }, signal),
    ]);
    if (!body.contains(document.activeElement)) put(body, own(me), admin && [eventsCard(events), clientsCard(clients)]);
    put(error);
  }
  await refresh();
  put(main, h("h1", {}, t("limits.title")), error, body);
  poll(refresh, EVERY, signal, (problem) => fail(error, problem));
}
