"""What a provider must report about a conversation that others took part in, derived from what its vendor takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pairs.script import Said
from pairs.wires import WIRES, Wire

ALL = frozenset(WIRES)
# https://api-docs.deepseek.com/guides/thinking_mode and Moonshot's guide: a call in the history has its thought before
# it, or is refused; Mistral takes thoughts as parts of any answer, Gemini as parts that are marked.
WANTS_THOUGHTS = frozenset(("deepseek", "kimi"))
TAKES_OLD_THOUGHTS = WANTS_THOUGHTS | {"mistral", "gemini"}


@dataclass(frozen=True)
class Past:
    """An answer in the history: by whom, and what it said."""

    by: str
    said: Said

    @property
    def wire(self) -> Wire:
        return WIRES[self.by]

    @property
    def thought(self) -> bool:
        return bool(self.wire.thought(self.said))

    @property
    def spoken(self) -> bool:
        """Whether there is something for everybody in it."""
        refused = self.said.refusal and self.wire.refuses != "nowhere"
        return bool(self.said.text or refused or self.said.calls)


@dataclass(frozen=True)
class Rule:
    """One line of the report: for which targets, and of which answers in the history.

    Attributes:
        subject: The line's subject.
        action: Its action.
        reason: Why the target can do no better.
        targets: Who reports it.
        applies: Whether an answer in the history makes the target report it; None where the user's words do.
    """

    subject: str
    action: str
    reason: str
    targets: frozenset[str]
    applies: Callable[[Past, str], bool] | None


RULES: Sequence[Rule] = (
    Rule(
        "image",
        "dropped",
        "DeepSeek's content is text only: 'unknown variant image_url' (recording deepseek-error-3f3df47dc3)",
        frozenset(("deepseek",)),
        None,
    ),
    Rule(
        "reasoning",
        "dropped",
        "a thought is its model's own: signed for it, or meant for its template only",
        ALL,
        lambda past, target: past.by != target and past.thought,
    ),
    Rule(
        "reasoning",
        "dropped",
        "Anthropic refuses a thought as the last block of a turn, its own too",
        frozenset(("anthropic",)),
        lambda past, target: past.by == target and past.thought and not past.spoken,
    ),
    Rule(
        "reasoning",
        "mapped",
        "calls need a thought before them there; those of others have none that may be given",
        WANTS_THOUGHTS,
        lambda past, target: bool(past.said.calls) and past.by != target,
    ),
    Rule(
        "opaque",
        "dropped",
        "the use of a vendor's own tools is read by that vendor only",
        ALL,
        lambda past, target: past.by != target and past.said.serves and past.wire.serves,
    ),
    Rule(
        "message",
        "mapped",
        "no vendor takes an answer without content; one that takes old thoughts has its own for content",
        ALL,
        lambda past, target: not (past.spoken or (past.by == target and past.thought and target in TAKES_OLD_THOUGHTS)),
    ),
    Rule(
        "tool_call",
        "mapped",
        "every vendor refuses a call without a result",
        ALL,
        lambda past, _target: any(call.result is None for call in past.said.calls),
    ),
    Rule(
        "tool_call",
        "mapped",
        "arguments that were cut off are no JSON: refused by all but OpenAI, where they are a text",
        ALL - {"openai"},
        lambda past, _target: past.said.breaks and past.wire.cuts,
    ),
)


def expected(target: str, history: Sequence[Past]) -> list[tuple[str, str]]:
    """Return the lines that `target` must report of a history, sorted."""
    return sorted(
        (rule.subject, rule.action)
        for rule in RULES
        if target in rule.targets and (rule.applies is None or any(rule.applies(past, target) for past in history))
    )
