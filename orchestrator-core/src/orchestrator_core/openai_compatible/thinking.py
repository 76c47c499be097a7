"""How much a model is to think, and what it takes while it does."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_core.openai_compatible.dialect import Dialect, Thinking
from orchestrator_core.provider_api import AdjustmentReport, Json

BUDGET = "reasoning_budget"
"""The name of `ChatRequest.reasoning_budget` in reports."""

NO_REASONING = " "
"""What stands for the thoughts before a call where there are none: the field must be there and may not be empty."""


def apply_thinking(
    body: dict[str, Json], model: str, dialect: Dialect, report: AdjustmentReport, *, budget: int | None = None
) -> None:
    """Put the effort, the choice of a tool and the thoughts before earlier calls as the model takes them.

    Where a tool cannot be demanded of a model that thinks, it does not think, unless the caller switched thinking on in
    the vendor's own words: then the demand gives way.

    Args:
        body: The body, changed in place.
        model: The model.
        dialect: The vendor's differences.
        report: Notes what had to change.
        budget: The most tokens of thought, where the caller named a number.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    rule = dialect.thinking_of(model)
    if budget is not None:
        _budget(body, budget, rule, report)
    if rule is None:
        return
    own = rule.off is not None and any(name in body for name in rule.off)
    effort = body.get("reasoning_effort")
    _effort(body, effort, rule, report)
    if not _thinks(body, effort, rule):
        return
    _choice(body, rule, report, asked=effort is not None, own=own)
    if rule.calls_need_reasoning and _thinks(body, effort, rule):
        _reasoning(body, dialect.reasoning_fields[0], report)
    if _thinks(body, effort, rule):
        for name in rule.idle:
            if body.get(name) is not None:
                report.downgraded(name, "it does nothing while this model thinks")


def _budget(body: dict[str, Json], budget: int, rule: Thinking | None, report: AdjustmentReport) -> None:
    effort = body.get("reasoning_effort")
    fields = rule.efforts.get(effort) if rule is not None and isinstance(effort, str) else None
    if rule is None or rule.budget is None or fields is None:
        report.downgraded(BUDGET, f"this model takes no number of tokens: reasoning_effort {effort} stands for it")
        return
    del body["reasoning_effort"]
    for name, value in {**fields, rule.budget: budget}.items():
        body.setdefault(name, value)
    report.mapped(BUDGET, f"said here as {rule.budget}")


def _effort(body: dict[str, Json], effort: Json, rule: Thinking, report: AdjustmentReport) -> None:
    if not isinstance(effort, str) or effort not in rule.efforts:
        return
    del body["reasoning_effort"]
    fields = rule.efforts[effort]
    if fields is None:
        report.dropped("reasoning_effort", f"this model cannot be told to think {effort!r}")
        return
    said = ", ".join(f"{name} {value}" for name, value in fields.items())
    (report.downgraded if effort in rule.rough else report.mapped)("reasoning_effort", f"said here as {said}")
    for name, value in fields.items():
        body.setdefault(name, value)


def _thinks(body: Mapping[str, Json], effort: Json, rule: Thinking) -> bool:
    if rule.off is None:
        return True
    said = [name for name in rule.off if name in body]
    if said:
        return any(body[name] != rule.off[name] for name in said)
    return rule.default or effort is not None


def _choice(body: dict[str, Json], rule: Thinking, report: AdjustmentReport, *, asked: bool, own: bool) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        kind = "named"
    elif choice in ("required", "any"):
        kind = "required"
    else:
        return
    if kind in rule.forced:
        return
    if rule.off is not None and not own:
        reason = "this model cannot be held to a tool while it thinks, so it does not"
        (report.downgraded if asked else report.mapped)("reasoning_effort", reason)
        for name in ("reasoning_effort", *(name for fields in rule.efforts.values() for name in fields or ())):
            body.pop(name, None)
        body.update(rule.off)
        return
    if "required" not in rule.forced:
        report.downgraded("tool_choice", "this model cannot be held to a tool while it thinks")
        body["tool_choice"] = "auto"
        return
    tools = body.get("tools")
    alone = isinstance(tools, list) and len(tools) == 1
    reason = "this model can be held to a call, not to one tool"
    (report.mapped if alone else report.downgraded)("tool_choice", reason)
    body["tool_choice"] = "required"


def _reasoning(body: dict[str, Json], name: str, report: AdjustmentReport) -> None:
    messages: list[Json] = []
    for message in body.get("messages") or ():
        given = message
        if isinstance(message, dict) and message.get("tool_calls") and not message.get(name):
            report.mapped("reasoning", "the thoughts before an earlier call are unknown here: a blank stands for them")
            given = {**message, name: NO_REASONING}
        messages.append(given)
    body["messages"] = messages
