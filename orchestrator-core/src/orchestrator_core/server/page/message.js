// One message of a conversation, in the playground and in the history alike.

import { h, put } from "./dom.js";
import { count, knows, money, seconds, t } from "./i18n.js";
import { markdown } from "./markdown.js";
import { dot } from "./providers.js";

const total = (usage) =>
  usage
    ? usage.input_tokens +
      usage.cached_input_tokens +
      usage.cache_write_tokens +
      usage.output_tokens +
      usage.reasoning_tokens
    : null;

/** What people said, or a tool answered. */
export function said(content, role = "user") {
  return h(
    `article.message.${role}`,
    { "aria-label": t(`message.${role}`) },
    role !== "user" && h("header", {}, t(`message.${role}`)),
    h("div.text", {}, plain(content)),
  );
}

function plain(content) {
  if (typeof content === "string") return content;
  return content.map((part) =>
    part.text !== undefined
      ? h("p", {}, part.text)
      : part.content !== undefined
        ? h("pre", {}, String(part.content))
        : h("p.muted", {}, `[${part.type}]`),
  );
}

/** An answer. `show` takes what is known of it so far, as often as there is more. */
export function answer() {
  const who = h("header", {});
  const thoughts = h("div.text");
  const reasoning = h("details.reasoning", { hidden: true }, h("summary", {}, t("message.reasoning")), thoughts);
  const text = h("div.text");
  const more = h("div.more");
  const foot = h("footer.bill", {});
  const element = h(
    "article.message.assistant",
    { "aria-label": t("message.assistant") },
    who,
    reasoning,
    text,
    more,
    foot,
  );
  return {
    element,
    show(known) {
      put(who, by(known));
      reasoning.hidden = !known.reasoning;
      thoughts.textContent = known.reasoning ?? "";
      put(text, known.text && written(known.text), known.pending && h("span.caret", { "aria-hidden": "true" }));
      put(more, beyond(known));
      put(foot, !known.pending && bill(known).flatMap((fact) => [fact, " "]));
    },
  };
}

/** Draw a text, as it was written where the drawing fails: no answer may take the conversation around it along. */
function written(text) {
  try {
    return markdown(text);
  } catch {
    return h("pre.prose", {}, text);
  }
}

function by({ provider, model, pending }) {
  if (!provider) return [h("span.muted", {}, t(pending ? "message.waiting" : "message.none"))];
  return [dot(provider), h("strong", {}, provider), h("span.muted", {}, model)];
}

function beyond({ refusal, toolCalls, media, state, problem }) {
  const found = [];
  if (refusal) found.push(h("p.notice.warn", {}, t("message.refusal"), " ", refusal));
  for (const call of toolCalls ?? [])
    found.push(h("pre.call", { tabindex: 0 }, `${call.function.name}(${call.function.arguments})`));
  for (const part of media ?? []) found.push(drawn(part));
  if (state && knows(`state.${state}`))
    found.push(h(`p.notice.${state === "pending" ? "idle" : "warn"}`, {}, t(`state.${state}`)));
  if (problem) found.push(h("p.notice.bad", {}, problem));
  return found;
}

const SHOWN = /^image\/(?:png|jpeg|webp|gif)$/;

function drawn({ type, media_type: kind, data }) {
  if (data && SHOWN.test(kind)) return h("img", { src: `data:${kind};base64,${data}`, alt: t("message.image") });
  return h("p.muted", {}, `[${kind ?? type}]`);
}

function bill({ usage, tokens, cost, duration, finish, summarized, attempts, portability }) {
  const used = tokens ?? total(usage);
  const facts = [];
  if (used !== null && used !== undefined)
    facts.push(h("span", { title: usage && t("message.usage", usage) }, count("tokens", used)));
  if (used !== null && used !== undefined)
    facts.push(h("span.cost", {}, cost === null || cost === undefined ? t("cost.unknown") : money(cost)));
  if (duration) facts.push(h("span", {}, seconds(duration)));
  if (finish && finish !== "stop") facts.push(h("span", {}, t("message.finish", { reason: finish })));
  if (summarized) facts.push(h("span.tag", {}, t("message.summarized")));
  const failed = (attempts ?? []).filter(({ error }) => error);
  const notes = [
    ...failed.map(({ provider, model, error }) => t("message.attempt", { who: `${provider}/${model}`, error })),
    ...(portability ?? []).map(({ subject, action, reason }) => `${subject} · ${t(`action.${action}`)}: ${reason}`),
  ];
  if (notes.length)
    facts.push(
      h(
        "details.notes",
        {},
        h("summary", {}, count("notes", notes.length)),
        h(
          "ul",
          {},
          notes.map((note) => h("li", {}, note)),
        ),
      ),
    );
  return facts;
}

/** What stands between two answers of different providers. */
export const handover = (provider, model) =>
  h("p.handover", {}, h("span", {}, t("message.handover", { who: `${provider} / ${model}` })));
