"""Thought and sampling, which exclude each other in ways that every generation of models changed.

Sources: https://platform.claude.com/docs/en/build-with-claude/thinking ("Sampling parameters", "Forced tool use"),
`/effort`, and the migration guides of the models.
"""

from __future__ import annotations

from typing import Any

from orchestrator_anthropic.models import Traits
from orchestrator_core.provider_api import AdjustmentReport, Json

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 24_576}
_LEAST_BUDGET = 1024
_NEAREST = {"minimal": "low", "xhigh": "high"}


def thinks(body: dict[str, Json]) -> bool:
    """Whether a body asks for thought."""
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")


def config_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the `output_config` that the caller wrote, or an empty one."""
    config = body.get("output_config")
    return config if isinstance(config, dict) else {}


def ask_for_thought(
    effort: str | None,
    tokens: int | None,
    body: dict[str, Any],
    traits: Traits,
    report: AdjustmentReport,
    *,
    resumes: bool,
) -> None:
    """Say an effort in the model's terms.

    Args:
        effort: The effort; None where the caller named none.
        tokens: How many tokens of thought the caller named, to which the effort is the nearest word.
        body: The body, complete but for this; its own `thinking` is the caller's and stays.
        traits: What the model takes.
        report: Notes what had to change.
        resumes: Whether a turn goes on that had no thought before its calls.
    """
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if effort == "none":
        _stop_thinking(body, traits, report)
    elif effort is None:
        return
    elif effort not in _BUDGETS:
        report.dropped("reasoning_effort", f"this provider knows {', '.join(_BUDGETS)}")
    elif traits.thinking == "none":
        report.dropped("reasoning_effort", "this model does not think")
    elif traits.thinking == "effort":
        leave_budget(tokens, report)
        set_effort(effort, body, traits, report)
        if "thinking" not in body and not forced:
            # The newer models keep the text of their thoughts to themselves unless they are asked for it.
            display = {"display": "summarized"} if traits.sampling == "fixed" else {}
            body["thinking"] = {"type": "adaptive", **display}
    elif forced:
        report.dropped("reasoning_effort", "this model does not think where a tool is forced")
    elif resumes:
        report.dropped("reasoning_effort", "this model cannot begin to think between a call and its result")
    elif body["max_tokens"] <= _LEAST_BUDGET:
        report.dropped("reasoning_effort", f"thought needs max_tokens above {_LEAST_BUDGET}")
    elif "thinking" not in body:
        budget = budget_of(effort, tokens, body["max_tokens"], report)
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def leave_budget(tokens: int | None, report: AdjustmentReport) -> None:
    """Report a number of tokens that the model cannot be told."""
    if tokens is not None:
        report.downgraded("thinking.budget_tokens", "this model takes an effort instead of a number of tokens")


def budget_of(effort: str, tokens: int | None, limit: int, report: AdjustmentReport) -> int:
    """Return how many tokens of thought to ask for, below the limit of the answer."""
    if tokens is None:
        budget = min(_BUDGETS[effort], max(_LEAST_BUDGET, limit // 2))
        report.mapped("reasoning_effort", f"this model takes a budget: {budget} tokens")
        return budget
    budget = min(max(tokens, _LEAST_BUDGET), limit - 1)
    if budget != tokens:
        report.downgraded("thinking.budget_tokens", f"it is {budget}: at least {_LEAST_BUDGET}, and below max_tokens")
    return budget


def _stop_thinking(body: dict[str, Any], traits: Traits, report: AdjustmentReport) -> None:
    if not traits.thinks_unasked or "thinking" in body:
        return
    if traits.off is not None:
        body["thinking"] = dict(traits.off)
    else:
        report.downgraded("reasoning_effort", "this model always thinks: it is asked to do so least")
        set_effort("low", body, traits, report)


def set_effort(effort: str, body: dict[str, Any], traits: Traits, report: AdjustmentReport) -> None:
    """Set the effort, or the nearest that the model knows, unless the caller named one in Anthropic's words."""
    known = effort if effort in traits.efforts else _NEAREST.get(effort, "high")
    if known != effort:
        report.downgraded("reasoning_effort", f"the nearest that this model knows is {known}")
    body["output_config"] = {"effort": known, **config_of(body)}


def limit_sampling(body: dict[str, Any], traits: Traits, report: AdjustmentReport) -> None:
    """Leave out the sampling parameters that the model refuses, and report them."""
    for name in ("temperature", "top_p", "top_k"):
        value = body.get(name)
        if value is None or (name == "temperature" and value == 1):
            continue
        if traits.sampling == "fixed":
            reason = "this model has fixed sampling"
        elif thinks(body) and not (name == "top_p" and value >= 0.95):
            reason = "it does not go together with thought"
        elif name == "top_p" and traits.sampling == "either" and "temperature" in body:
            reason = "this model takes temperature or top_p, not both"
        else:
            continue
        report.dropped(name, reason)
        del body[name]
    if (body.get("temperature") or 0) > 1:
        report.downgraded("temperature", "1 is the highest at this provider")
        body["temperature"] = 1
