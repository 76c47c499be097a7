"""A body of the Messages API as a client wrote it: what the model refuses is put into other words or left out.

Fields and blocks that nobody here knows, and values out of their range, are Anthropic's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_anthropic.models import Traits
from orchestrator_anthropic.pairs import is_call, match, pairing
from orchestrator_anthropic.thinking import budget_of, config_of, leave_budget, limit_sampling, set_effort, thinks
from orchestrator_core.provider_api import AdjustmentReport, Json

_THOUGHTS = ("thinking", "redacted_thinking")
_FORCED = ("any", "tool")
_OF_OTHERS: Mapping[str, Sequence[str]] = {
    "assistant": ("image", "document", "search_result", "tool_result"),
    "user": ("tool_use", "server_tool_use", "mcp_tool_use", *_THOUGHTS),
    "system": ("image", "document", "search_result"),
}
"""Kinds of blocks that a turn cannot hold, since they are of the other side's."""


def fit(body: dict[str, Any], effort: str | None, traits: Traits, report: AdjustmentReport) -> None:
    """Fit the options of a client's body to the model, as those of a canonical request are.

    Args:
        body: The body; changed in place, but not what is in it.
        effort: The word for the thought that it asks for.
        traits: What the model takes.
        report: Notes what had to change.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    _think(body, effort, traits, report)
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") in _FORCED:
        if not traits.forced_tools:
            report.downgraded("tool_choice", "this model always thinks, and then decides by itself")
            kept = {name: value for name, value in choice.items() if name not in ("type", "name")}
            body["tool_choice"] = {"type": "auto", **kept}
        elif thinks(body):
            report.dropped("thinking", "this model does not think where a tool is forced")
            del body["thinking"]
    limit_sampling(body, traits, report)


def _think(body: dict[str, Any], effort: str | None, traits: Traits, report: AdjustmentReport) -> None:
    given = body.get("thinking")
    thinking = given if isinstance(given, Mapping) else {}
    asked = thinking.get("type")
    if asked in ("enabled", "adaptive") and traits.thinking == "none":
        report.dropped("thinking", "this model does not think")
        del body["thinking"]
    elif asked == "enabled" and traits.sampling == "fixed":
        leave_budget(thinking.get("budget_tokens"), report)
        rest = {name: value for name, value in thinking.items() if name not in ("type", "budget_tokens")}
        # The newer models keep the text of their thoughts to themselves unless they are asked for it.
        body["thinking"] = {"type": "adaptive", "display": "summarized", **rest}
        set_effort(effort or "high", body, traits, report)
    elif asked == "adaptive" and traits.thinking == "budget":
        budget = budget_of(effort or "medium", None, body["max_tokens"], report)
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    elif asked == "disabled" and traits.thinks_unasked and (traits.off or {}).get("type") != "disabled":
        report.downgraded("thinking", "this model always thinks: it is asked to do so least")
        del body["thinking"]
        if traits.off is not None:
            body["thinking"] = dict(traits.off)
        else:
            set_effort("low", body, traits, report)
    level = config_of(body).get("effort")
    if traits.thinking == "effort" and isinstance(level, str) and level not in traits.efforts:
        body["output_config"] = {name: value for name, value in config_of(body).items() if name != "effort"}
        set_effort(level, body, traits, report)


def is_prompt(system: Json) -> bool:
    """Say whether a system prompt is such as Anthropic takes: a string, or blocks of text that are not empty."""
    return isinstance(system, str) or all(_may_stand(block, "system") for block in _blocks({"content": system}))


def is_sound(messages: Sequence[Mapping[str, Json]], traits: Traits) -> bool:
    """Say whether the turns are such as Anthropic takes.

    Each call has its result right after it, before anything else, and each result its call before it; so do the calls
    of Anthropic's own tools; nothing is empty; no turn holds what is the other side's; the user begins and, where the
    model wants it, ends. What a model may begin with for an answer does not end in white space.
    """
    if not messages or messages[0]["role"] != "user":
        return False
    called: list[str] = []
    seen: set[str] = set()
    pending: set[str] = set()
    for message in messages:
        role, blocks = message["role"], _blocks(message)
        if not blocks or not all(_may_stand(block, role) for block in blocks):
            return False
        if role == "system" and not traits.system_turns:
            return False
        given = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
        first = all(block.get("type") == "tool_result" for block in blocks[: len(given)])
        if not first or sorted(given) != sorted(called):
            return False
        if role == "assistant":
            called = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
            twice = len(set(called)) < len(called) or not seen.isdisjoint(called)
            if twice or blocks[-1].get("type") in _THOUGHTS:
                return False
            seen.update(called)
            if not match(blocks, pending):
                return False
        elif pending and not called:
            return False
        else:
            called = []
    return not called and _may_end(messages[-1], pending, traits)


def _may_stand(block: Mapping[str, Json], role: Json) -> bool:
    """Say whether a block of a known kind may stand in a turn: of its own side, and not empty."""
    kind = block.get("type")
    if kind in _OF_OTHERS.get(str(role), ()) or (kind == "text" and not _said(block)):
        return False
    inner = block.get("content") if kind == "tool_result" else None
    texts = [each for each in inner if isinstance(each, Mapping)] if isinstance(inner, list) else []
    return all(_said(each) for each in texts if each.get("type") == "text")


def _may_end(last: Mapping[str, Json], pending: set[str], traits: Traits) -> bool:
    """Say whether a conversation may end with a turn.

    One of Anthropic's that was paused goes on where it was, with a result or before one:
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools.
    """
    if last["role"] != "assistant":
        return True
    end = _blocks(last)[-1]
    if pending or is_call(end):
        return is_call(end) and pending == {pairing(end)}
    text = str(end.get("text") or "")
    return pairing(end) is not None or (traits.prefill and text == text.rstrip())


def _blocks(message: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [block for block in blocks or () if isinstance(block, Mapping)]


def _said(block: Mapping[str, Json]) -> bool:
    return bool(str(block.get("text") or "").strip())
