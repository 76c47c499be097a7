// A conversation with any provider, held in a session of the gateway.

import { all, credential, get, stream } from "../api.js";
import { conversation } from "../conversation.js";
import { h, icon, put, say } from "../dom.js";
import { count, money, t } from "../i18n.js";
import { answer, handover, said } from "../message.js";
import { read } from "../providers.js";
import { curl, python } from "../snippets.js";

const DRAW_EVERY = 60;

/** What the user set, for as long as the page is open. */
const wanted = { provider: "", model: "", system_prompt: "", temperature: "", max_tokens: "", reasoning_effort: "" };

/** The session that goes on where the playground is opened again. */
let current = null;

function requestOf(message, session) {
  const agent = {};
  for (const [name, value] of Object.entries(wanted)) {
    if (value !== "") agent[name] = ["temperature", "max_tokens"].includes(name) ? Number(value) : value;
  }
  return {
    message,
    ...(Object.keys(agent).length && { agent_config: agent }),
    ...(session && { session_id: session }),
    stream: true,
  };
}

/** The fields that say who answers, and how. */
function settings(providers, changed) {
  const usable = providers.filter(
    ({ state, capabilities }) =>
      state !== "not_configured" && (state === "quarantined" || capabilities.includes("chat")),
  );
  // Where several can answer, the gateway asks for a choice: the first one is as good as any until there is one.
  wanted.provider ||= usable.find(({ state }) => state === "healthy")?.name ?? "";
  const field = (name, control) => h("div.field", {}, h("label", { for: `ask-${name}` }, t(`ask.${name}`)), control);
  const bound = (kind, name, attributes, ...children) => {
    const control = h(kind, { id: `ask-${name}`, ...attributes }, ...children);
    control.value = wanted[name];
    control.addEventListener("input", () => {
      wanted[name] = control.value;
      changed();
    });
    return control;
  };
  const models = h("datalist", { id: "models" });
  const model = bound("input", "model", { list: "models", autocomplete: "off", spellcheck: "false" });
  const provider = bound(
    "select",
    "provider",
    {},
    h("option", { value: "" }, t("ask.provider.any")),
    usable.map(({ name, title, state }) =>
      h(
        "option",
        { value: name, disabled: state === "quarantined" },
        state === "healthy" ? (title ?? name) : `${title ?? name} (${t(`provider.${state}`)})`,
      ),
    ),
  );
  const why = h("div");
  function offer() {
    const found = usable.find(({ name }) => name === wanted.provider);
    put(
      models,
      found?.models.map((name) => h("option", { value: name })),
    );
    model.placeholder = found?.default_model ?? t("ask.model.any");
    put(why, found?.error && h("p.notice.warn", {}, found.error));
  }
  provider.addEventListener("input", () => {
    wanted.model = model.value = "";
    offer();
    changed();
  });
  offer();
  return h(
    "fieldset.settings",
    {},
    h("legend", {}, t("ask.title")),
    field("provider", provider),
    why,
    field("model", model),
    models,
    h(
      "details",
      {},
      h("summary", {}, t("ask.more")),
      field("system_prompt", bound("textarea", "system_prompt", { rows: 3 })),
      h(
        "div.pair",
        {},
        field(
          "temperature",
          bound("input", "temperature", { type: "number", min: 0, max: 2, step: 0.1, inputmode: "decimal" }),
        ),
        field("max_tokens", bound("input", "max_tokens", { type: "number", min: 1, step: 1, inputmode: "numeric" })),
      ),
      field(
        "reasoning_effort",
        bound(
          "select",
          "reasoning_effort",
          {},
          h("option", { value: "" }, t("ask.default")),
          ["none", "minimal", "low", "medium", "high"].map((effort) =>
            h("option", { value: effort }, t(`effort.${effort}`)),
          ),
        ),
      ),
    ),
  );
}

/** The request as a program would send it. */
function snippets() {
  const code = h("code");
  let language = "curl";
  let body = {};
  const show = () => (code.textContent = { curl, python }[language](body, credential.known || credential.asked));
  const buttons = ["curl", "python"].map((name) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(name === language), onclick: (event) => choose(name, event) },
      name === "curl" ? "curl" : "Python",
    ),
  );
  function choose(name, { currentTarget }) {
    language = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === currentTarget));
    show();
  }
  async function copied() {
    getSelection().selectAllChildren(code); // which is all that can be done where the page has no TLS
    await navigator.clipboard?.writeText(code.textContent);
    say(t("copied"));
  }
  const copy = h(
    "button.quiet",
    {
      type: "button",
      title: t("copy"),
      "aria-label": t("copy"),
      onclick: copied,
    },
    icon("copy"),
  );
  const element = h(
    "section.snippet",
    { "aria-label": t("snippet.title") },
    h(
      "div.head",
      {},
      h("h2", {}, t("snippet.title")),
      h("div.segments", { role: "group", "aria-label": t("snippet.title") }, buttons),
      copy,
    ),
    h("pre", { tabindex: 0 }, code),
  );
  return {
    element,
    show(request) {
      body = request;
      show();
    },
  };
}

/** Hand what comes of an answer to `show`, and return how it ended. */
async function follow(request, signal, show) {
  const known = { pending: true, text: "", reasoning: "", refusal: "", media: [] };
  let drawn = 0;
  const draw = (now) => {
    if (!now && performance.now() - drawn < DRAW_EVERY) return;
    show(known);
    drawn = performance.now();
  };
  draw(true);
  try {
    for await (const event of stream("/api/orchestrate", request, signal)) {
      if (event.choice) continue;
      if (event.event === "start")
        Object.assign(known, { session: event.session_id, provider: event.agent_used, model: event.model_used });
      else if (event.event === "text") known.text += event.text;
      else if (event.event === "reasoning") known.reasoning += event.text;
      else if (event.event === "refusal") known.refusal += event.text;
      else if (event.event === "media") known.media.push(event.part);
      else if (event.event === "done") finish(known, event);
      draw(event.event === "start" || event.event === "done");
    }
    if (known.pending) throw new TypeError("incomplete");
  } finally {
    known.pending = false;
    show(known);
  }
  return known;
}

function finish(
  known,
  { response, agent_used: provider, model_used: model, execution_time: duration, tool_calls: toolCalls, metadata },
) {
  const {
    tokens_used: tokens,
    cost_estimate: cost,
    was_summarized: summarized,
    finish_reason: reason,
    usage,
    attempts,
    portability,
  } = metadata;
  Object.assign(known, {
    pending: false,
    text: response,
    provider,
    model,
    duration,
    toolCalls,
    tokens,
    cost,
    summarized,
    finish: reason,
    usage,
    attempts,
    portability,
  });
}

export default async function playground({ main, path, signal, explain }) {
  let session = path[0] === "new" ? null : (path[0] ?? current);
  current = null; // until it is read, so that one that is gone is not asked for again
  let running = null;
  let before = null;
  let cost = null;
  const [providers, past] = await Promise.all([read(signal), session && earlier(session, signal)]);

  const talk = h("div.talk", { role: "log", "aria-live": "off", "aria-label": t("talk.title") });
  const empty = h(
    "div.blank",
    {},
    icon("playground"),
    h("p", {}, t("talk.empty")),
    h(
      "div.ideas",
      {},
      ["1", "2", "3"].map((number) =>
        h("button", { type: "button", onclick: () => ask(t(`idea.${number}`)) }, t(`idea.${number}`)),
      ),
    ),
  );
  const field = h("textarea", {
    id: "message",
    rows: 1,
    placeholder: t("talk.placeholder"),
    "aria-label": t("talk.message"),
    "aria-describedby": "talk-keys",
  });
  const button = h("button.primary.round", { type: "submit" });
  const bar = h("div.bar");
  const code = snippets();
  const form = h(
    "form.composer",
    { onsubmit: (event) => (event.preventDefault(), running ? running.abort() : ask(field.value)) },
    field,
    button,
  );

  function refresh() {
    code.show(requestOf(field.value.trim() || t("talk.example"), session));
    put(button, icon(running ? "stop" : "send"));
    button.setAttribute("aria-label", t(running ? "talk.stop" : "talk.send"));
    button.title = t(running ? "talk.stop" : "talk.send");
    put(
      bar,
      h("h1", {}, t("nav.playground")),
      session && h("a.id", { href: `#/sessions/${session}`, title: t("talk.open") }, h("code", {}, session.slice(-12))),
      session && cost !== null && h("span.muted", {}, t("talk.cost", { cost: money(cost) })),
      session &&
        h(
          "button.quiet",
          { type: "button", id: "new", onclick: () => (location.hash = "#/playground/new") },
          icon("plus"),
          t("talk.new"),
        ),
    );
    empty.hidden = talk.childElementCount > 0;
  }

  function grow() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, 200)}px`;
  }

  async function ask(text) {
    const message = text.trim();
    if (!message || running) return;
    running = new AbortController();
    const stop = () => running?.abort();
    signal.addEventListener("abort", stop);
    const request = requestOf(message, session);
    field.value = "";
    grow();
    const shown = answer();
    talk.append(said(message), shown.element);
    refresh();
    down(true);
    let last = {};
    try {
      await follow(request, running.signal, (known) => {
        if (known.session && known.session !== session) joined(known.session);
        if (known.provider && !last.provider && before && before !== known.provider)
          shown.element.before(handover(known.provider, known.model));
        last = { ...known };
        shown.show(known);
        down();
      });
      if (last.cost !== null && last.cost !== undefined) cost = (cost ?? 0) + last.cost;
      say(`${t("talk.done", { who: last.provider })} ${count("tokens", last.tokens ?? 0)}`);
    } catch (error) {
      const stopped = error.name === "AbortError";
      if (error.sessionId) joined(error.sessionId);
      const problem = stopped ? t("talk.stopped") : error instanceof TypeError ? t("error.broken") : explain(error);
      shown.show({ ...last, pending: false, ...(stopped && last.provider ? { state: "client_closed" } : { problem }) });
      say(problem);
      if (!last.provider && !stopped && !field.value) field.value = message; // nobody has heard it
    } finally {
      before = last.provider ?? before;
      running = null;
      signal.removeEventListener("abort", stop);
      if (!signal.aborted) {
        refresh();
        down();
        field.focus();
      }
    }
  }

  function joined(id) {
    if (id === session) return;
    session = current = id;
    history.replaceState(null, "", `#/playground/${id}`);
    refresh();
  }

  const wide = matchMedia("(min-width: 1100px)");
  wide.addEventListener("change", () => (main.querySelector(".beside").open = wide.matches), { signal });

  let follows = true;
  const far = () => talk.scrollHeight - talk.scrollTop - talk.clientHeight;
  talk.addEventListener("scroll", () => (follows = far() < 60));
  function down(always = false) {
    if (follows || always) talk.scrollTop = talk.scrollHeight;
  }

  field.addEventListener("input", () => (grow(), refresh()));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!running) ask(field.value);
  });
  if (past) {
    talk.append(...conversation(past.messages, past.turns, past.summaries));
    before = past.messages.findLast(({ provider }) => provider)?.provider ?? null;
    cost = past.cost;
  }
  current = session;
  if (session) history.replaceState(null, "", `#/playground/${session}`);
  const chosen = settings(providers, refresh); // before the request is shown, since it says who answers
  refresh();
  put(
    main,
    h("div.desk", {}, bar, empty, talk, form, h("p.muted", { id: "talk-keys" }, t("talk.keys"))),
    h(
      "details.beside",
      { open: wide.matches },
      h("summary", {}, t("talk.settings")),
      chosen,
      code.element,
    ),
  );
  down(true);
  field.focus({ preventScroll: true });
}

async function earlier(id, signal) {
  const path = `/api/sessions/${encodeURIComponent(id)}`;
  const [messages, turns, summaries, { total_cost: cost }] = await Promise.all([
    all(`${path}/history`, "messages", signal),
    all(`${path}/turns`, "turns", signal),
    all(`${path}/summaries`, "summaries", signal),
    get(`${path}/metrics`, {}, signal),
  ]);
  return { messages, turns, summaries, cost };
}
