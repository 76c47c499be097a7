// How the providers are, and what passed through the gateway: its last hour for admins, its days for everybody.

import { get } from "../api.js";
import { chart, spark } from "../charts.js";
import { h, put } from "../dom.js";
import { clock, count, day, money, num, seconds, share, short, t } from "../i18n.js";
import { poll } from "../poll.js";
import { badge, colour, dot, read } from "../providers.js";

const EVERY = 15000;
const BARS = 60;
const DAYS = 30;
const HOUR = { calls: num, failed: num, latency: seconds, tokens: short, cost: money };
const MONTH = { cost: money, calls: num, tokens: short };

const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);

/** The last hour by minutes: a list of 60 maps from providers to their figures. */
function minutes(steps, now) {
  const last = Math.floor(now / 60);
  const found = Array.from({ length: BARS }, () => new Map());
  for (const { at, providers } of steps) {
    const place = found[BARS - 1 - (last - Math.floor((at - 1) / 60))];
    if (!place) continue;
    for (const [name, figures] of Object.entries(providers)) {
      const known = place.get(name) ?? { calls: 0, failed: 0, seconds: 0, tokens: 0, cost: 0 };
      for (const key of Object.keys(known)) known[key] += figures[key];
      place.set(name, known);
    }
  }
  return found;
}

function hourChart(about, hour, now) {
  const names = [...new Set(hour.flatMap((minute) => [...minute.keys()]))].sort();
  const value = (found) =>
    !found ? null : about === "latency" ? (found.calls ? found.seconds / found.calls : null) : found[about];
  return chart({
    title: t(`hour.${about}`),
    labels: hour.map((_, index) => clock(new Date((Math.floor(now / 60) - BARS + 1 + index) * 60000))),
    series: names.map((name) => ({ name, style: colour(name), values: hour.map((minute) => value(minute.get(name))) })),
    kind: about === "latency" ? "lines" : "bars",
    format: HOUR[about],
    every: 5,
    empty: t(about === "failed" ? "chart.nofaults" : "chart.empty"),
  });
}

function monthChart(about, rows, until) {
  const last = new Date(`${until}T00:00:00Z`);
  const days = Array.from({ length: DAYS }, (_, index) => new Date(last.getTime() - (DAYS - 1 - index) * 86400000));
  const names = [...new Set(rows.map(({ provider }) => provider))].sort();
  const field = about === "tokens" ? "total_tokens" : about;
  const figures = new Map(rows.map((row) => [`${row.day} ${row.provider}`, row[field]]));
  return chart({
    title: t(`month.${about}`),
    labels: days.map(day),
    series: names.map((name) => ({
      name,
      style: colour(name),
      values: days.map((date) => figures.get(`${date.toISOString().slice(0, 10)} ${name}`) ?? null),
    })),
    kind: "bars",
    format: MONTH[about],
    every: 1,
    empty: t(about === "cost" && rows.length ? "chart.free" : "chart.empty"),
  });
}

/** A card with a chart, and buttons that say of what. */
function card(title, names, draw) {
  let chosen = names[0];
  const body = h("div");
  const buttons = names.map((name) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(name === chosen), onclick: () => choose(name) },
      t(`figure.${name}`),
    ),
  );
  function choose(name) {
    chosen = name;
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(names[index] === name)));
    refresh();
  }
  function refresh() {
    if (body.querySelector("details[open]") || body.contains(document.activeElement)) return; // somebody reads it
    put(body, draw(chosen));
  }
  const section = h(
    "section.card",
    {},
    h("div.head", {}, h("h2", {}, title), h("div.segments", { role: "group", "aria-label": title }, buttons)),
    body,
  );
  return { section, refresh };
}

const tile = (name, value, beside) =>
  h("div.tile", {}, h("dt", {}, t(`tile.${name}`)), h("dd", {}, value, beside && h("small", {}, beside)));

/** What calls cost; nothing is known where none of them has a price. */
const costOf = (rows) => money(rows.length && rows.every(({ cost }) => cost === null) ? null : sum(rows, "cost"));

/** What a cost is of, and how many calls without a price it leaves out, where there are any. */
function beside(text, rows) {
  const without = sum(rows, "unpriced_calls");
  return without ? `${text}, ${count("unpriced", without)}` : text;
}

function adminTiles(hour, steps, today, figures) {
  const all = hour.flatMap((minute) => [...minute.values()]);
  const recent = hour.slice(-6, -1).flatMap((minute) => [...minute.values()]);
  const calls = sum(all, "calls");
  const now = steps.at(-1);
  return [
    tile("rate", num(sum(recent, "calls") / 5, 1), t("tile.rate.unit")),
    tile("failed", calls ? share(sum(all, "failed") / calls) : share(null), t("tile.hour")),
    tile("latency", calls ? seconds(sum(all, "seconds") / calls) : seconds(null), t("tile.hour")),
    tile("flight", num(now?.streams ?? 0), t("tile.flight.unit")),
    tile("cost", costOf(today), beside(count("calls", sum(today, "calls")), today)),
    tile("sessions", num(figures.sessions.active), t("tile.sessions.unit", { n: num(figures.sessions.total_created) })),
  ];
}

function clientTiles(today, rows) {
  return [
    tile("calls", num(sum(today, "calls")), t("tile.today")),
    tile("tokens", short(sum(today, "total_tokens")), t("tile.today")),
    tile("cost", costOf(today), beside(t("tile.today"), today)),
    tile("month", costOf(rows), beside(t("tile.month.unit"), rows)),
  ];
}

function providerRow(provider, hour, rows) {
  const { name, state, error, title, models, capabilities, circuits, default_model: standard } = provider;
  const mine = hour.map((minute) => minute.get(name));
  const last = mine.filter(Boolean);
  const spent = rows.filter((row) => row.provider === name);
  const calls = hour.length ? sum(last, "calls") : sum(spent, "calls");
  const took = hour.length ? sum(last, "seconds") : sum(spent, "seconds");
  const cell = (label, ...content) => h("td.number", { "data-label": label }, ...content);
  const chips = [
    h("p", {}, capabilities.map((word) => word.replaceAll("_", "\u00a0")).join(" · ")),
    models.length > 0 &&
      h(
        "details",
        { "data-name": name },
        h("summary", {}, count("models", models.length)),
        h(
          "ul.models",
          {},
          models.map((model) => h("li", {}, model === standard ? h("strong", {}, model) : model)),
        ),
      ),
  ];
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("div.called", {}, dot(name), h("div", {}, h("span.name", {}, title ?? name), title && h("small", {}, name))),
    ),
    h(
      "td.state",
      {},
      badge(state),
      error && h("p.why", {}, error),
      circuits.map(({ model, retry_after: wait }) =>
        h("p.why", {}, t("provider.circuit", { model, wait: seconds(wait) })),
      ),
    ),
    cell(
      t("figure.calls"),
      num(calls),
      hour.length > 0 &&
        calls > 0 &&
        spark(
          mine.map((found) => found?.calls ?? 0),
          colour(name),
          t("hour.calls"),
        ),
    ),
    cell(t("figure.failed"), hour.length && calls ? share(sum(last, "failed") / calls) : "–"),
    cell(t("figure.latency"), calls ? seconds(took / calls) : "–"),
    cell(
      t("figure.cost"),
      spent.length ? costOf(spent) : "–",
      spent.length > 0 && sum(spent, "unpriced_calls") > 0 && h("small", {}, count("unpriced", sum(spent, "unpriced_calls"))),
    ),
    h("td.can", {}, chips),
  );
}

const ORDER = ["unhealthy", "quarantined", "healthy", "not_configured"];

function providersCard(providers, hour, rows) {
  const used = new Set(rows.map(({ provider }) => provider));
  const rank = ({ state, name }) => (state === "healthy" && used.has(name) ? 1.5 : ORDER.indexOf(state));
  const sorted = [...providers].sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name));
  const ready = sorted.filter(({ state }) => state !== "not_configured");
  const idle = sorted.filter(({ state }) => state === "not_configured");
  const head = ["provider", "state", "calls", "failed", "latency", "cost", "can"];
  return h(
    "section.card.providers",
    {},
    h(
      "div.head",
      {},
      h("h2", {}, t("providers.title")),
      h("p.muted", {}, t(hour.length ? "providers.about" : "providers.about.client")),
    ),
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((name, index) =>
            h(index > 1 && index < 6 ? "th.number" : "th", { scope: "col" }, t(`figure.${name}`)),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        ready.map((provider) => providerRow(provider, hour, rows)),
      ),
    ),
    !ready.length && h("p.empty", {}, t("providers.none")),
    idle.length > 0 &&
      h(
        "p.idle",
        {},
        t("providers.idle"),
        " ",
        idle.map(({ name, title }, index) => [index > 0 && ", ", h("span", { title: name }, title ?? name)]),
      ),
  );
}

export default async function overview({ main, admin, signal, fail }) {
  const error = h("div");
  const tiles = h("dl.tiles");
  const list = h("div");
  let steps = [];
  let hour = [];
  let now = 0;
  let rows = [];
  let until = "";
  const cards = [card(t("month.title"), Object.keys(MONTH), (about) => monthChart(about, rows, until))];
  if (admin) cards.unshift(card(t("hour.title"), Object.keys(HOUR), (about) => hourChart(about, hour, now)));

  async function refresh() {
    const [providers, usage, activity, figures] = await Promise.all([
      read(signal),
      get("/api/usage", { by: "day,provider", limit: 1000 }, signal),
      admin && get("/api/activity", { after: steps.at(-1)?.at ?? "" }, signal),
      admin && get("/api/metrics", {}, signal),
    ]);
    ({ usage: rows, until } = usage);
    const today = rows.filter((row) => row.day === until);
    if (admin) {
      now = activity.now;
      steps = [...steps, ...activity.steps].filter(({ at }) => at > now - 3600);
      hour = minutes(steps, now);
    }
    put(tiles, admin ? adminTiles(hour, steps, today, figures) : clientTiles(today, rows));
    for (const { refresh: draw } of cards) draw();
    const unfolded = new Set([...list.querySelectorAll("details[open]")].map((details) => details.dataset.name));
    if (!list.contains(document.activeElement)) put(list, providersCard(providers, hour, rows));
    for (const details of list.querySelectorAll("details")) details.open = unfolded.has(details.dataset.name);
    put(error);
  }

  await refresh();
  put(
    main,
    h("h1", {}, t("nav.overview")),
    error,
    tiles,
    h(
      "div.charts",
      {},
      cards.map(({ section }) => section),
    ),
    list,
  );
  poll(refresh, EVERY, signal, (problem) => fail(error, problem));
}
