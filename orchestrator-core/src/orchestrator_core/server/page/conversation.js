// A conversation that the gateway kept: what was said, and between it where summaries stand.

import { h } from "./dom.js";
import { money, num, t } from "./i18n.js";
import { answer, handover, said } from "./message.js";

/** Draw a conversation: its messages, who answered each, what it cost, and where summaries stand. */
export function conversation(messages, turns, summaries) {
  const byTurn = new Map(turns.map((turn) => [turn.turn_id, turn]));
  const ends = new Map(summaries.map((summary) => [summary.upto_sequence, summary]));
  let before = null;
  const drawn = messages.flatMap((message) => {
    const drawn = [];
    if (message.role === "assistant") {
      const turn = byTurn.get(message.turn_id) ?? {};
      const last = turn.answer_id === message.id;
      if (before && message.provider && before !== message.provider)
        drawn.push(handover(message.provider, message.model));
      before = message.provider ?? before;
      const shown = answer();
      const parts = typeof message.content === "string" ? [] : message.content;
      shown.show({
        provider: message.provider,
        model: message.model,
        text: parts.length ? parts.map(({ text }) => text ?? "").join("") : message.content,
        media: parts.filter(({ text }) => text === undefined),
        reasoning: message.reasoning,
        toolCalls: message.tool_calls,
        state: message.state === "complete" ? null : message.state,
        ...(last && {
          usage: turn.usage,
          cost: turn.cost,
          duration: turn.duration,
          finish: turn.finish_reason,
          summarized: turn.was_summarized,
          attempts: turn.attempts,
          portability: turn.portability,
        }),
      });
      drawn.push(shown.element);
    } else {
      drawn.push(said(message.content, message.role));
      const turn = byTurn.get(message.turn_id);
      if (message.role === "user" && turn && !turn.answer_id && turn.error_code)
        drawn.push(h("p.notice.warn", {}, t("turn.failed", { code: turn.error_code })));
    }
    const summary = ends.get(message.sequence);
    if (summary) drawn.push(summarized(summary));
    return drawn;
  });
  return messages.cut ? [...drawn, h("p.notice.warn", {}, t("session.cut", { n: num(messages.length) }))] : drawn;
}

function summarized({
  from_sequence: from,
  upto_sequence: upto,
  text,
  provider,
  model,
  cost,
  tokens_before: before,
  tokens_after: after,
}) {
  const facts = [
    provider && `${provider} / ${model}`,
    before !== null && t("summary.shrunk", { before: num(before), after: num(after) }),
    cost !== null && money(cost),
  ];
  return h(
    "details.summary",
    {},
    h("summary", {}, t("summary.title", { from, upto })),
    h("p", {}, text),
    h(
      "p.bill",
      {},
      facts.filter(Boolean).map((fact) => h("span", {}, fact)),
    ),
  );
}
