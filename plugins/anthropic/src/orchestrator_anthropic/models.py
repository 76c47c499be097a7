"""What is known of Anthropic's models: a short list, and what a model takes, read from its name.

Any name is passed on. A name that says nothing is taken for a model that takes everything, so that Anthropic judges it;
one of a later version is taken for the newest that is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from orchestrator_core.provider_api import Capability, Json, ModelInfo

_ALL: Final[tuple[Capability, ...]] = (
    "chat",
    "function_calling",
    "vision",
    "reasoning",
    "long_context",
    "code_generation",
    "structured_output",
)

# https://platform.claude.com/docs/en/about-claude/models/overview and /model-deprecations, as of November 2026.
MODELS: Final = (
    ModelInfo(id="claude-sonnet-5-5", context_window=1_000_000, max_output_tokens=128_000, capabilities=_ALL),
    ModelInfo(id="claude-opus-5-5", context_window=1_000_000, max_output_tokens=128_000, capabilities=_ALL),
    ModelInfo(id="claude-haiku-5-5", context_window=1_000_000, max_output_tokens=128_000, capabilities=_ALL),
    ModelInfo(id="claude-haiku-4-5", context_window=200_000, max_output_tokens=64_000, capabilities=_ALL),
    ModelInfo(id="claude-opus-4-20250514", retired_on=date(2026, 6, 15), replacement="claude-opus-5-5"),
    ModelInfo(id="claude-sonnet-4-20250514", retired_on=date(2026, 6, 15), replacement="claude-sonnet-5-5"),
    ModelInfo(id="claude-3-5-sonnet-20241022", retired_on=date(2025, 10, 28), replacement="claude-sonnet-5-5"),
    ModelInfo(id="claude-3-5-sonnet-20240620", retired_on=date(2025, 10, 28), replacement="claude-sonnet-5-5"),
    ModelInfo(id="claude-3-5-haiku-20241022", replacement="claude-haiku-5-5"),
    ModelInfo(id="claude-3-sonnet-20240229", retired_on=date(2025, 7, 21), replacement="claude-sonnet-5-5"),
)

_NAME = re.compile(
    r"claude-(?:(\d)(?:[-.](\d))?-)?(opus|sonnet|haiku|fable|mythos)(?:-(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?)?"
)
_ALWAYS_THINKING: Final = ("fable", "mythos")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model takes. The defaults are those of a model that nothing is known of.

    Attributes:
        max_output: The most tokens of an answer.
        sampling: `free`; `either`: temperature or top_p, not both; `fixed`: neither, and no top_k.
        thinking: How it is asked to think: not at all, with a budget of tokens, or with an effort.
        thinks_unasked: Whether it thinks where nothing is said.
        off: What switches that off; None where nothing does.
        efforts: The efforts that it knows.
        forced_tools: Whether it can be made to call a tool.
        prefill: Whether the conversation may end with the beginning of its answer.
        system_turns: Whether a system prompt may stand in the middle.
        schemas: Whether it follows schemas strictly.
        bound_thoughts: Whether its thoughts are refused where anything before them has changed.
    """

    max_output: int = 4096
    sampling: Literal["free", "either", "fixed"] = "free"
    thinking: Literal["none", "budget", "effort"] = "effort"
    thinks_unasked: bool = False
    off: Mapping[str, Json] | None = None
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh", "max")
    forced_tools: bool = True
    prefill: bool = True
    system_turns: bool = False
    schemas: bool = True
    bound_thoughts: bool = False


def traits_of(model: str) -> Traits:
    """Return what a model takes.

    Sources: the migration guide of each generation, and `effort`, `thinking`, `preserved-thinking` and
    `mid-conversation-system-messages` at platform.claude.com/docs/en/build-with-claude; `GET /v1/models`.
    """
    named = _NAME.search(model)
    if named is None:
        return Traits()
    family = named[3]
    # A bare `claude-opus` is none of the names in use, and old ones have the version in front: `claude-3-5-sonnet`.
    version = (int(named[4] or named[1] or 0), int((named[5] if named[4] else named[2]) or 0))
    return _traits(family, version) if version[0] else Traits()


def _traits(family: str, version: tuple[int, int]) -> Traits:
    always = (family in _ALWAYS_THINKING and version >= (5, 0)) or (family == "opus" and version >= (5, 5))
    off: Mapping[str, Json] | None = None
    if version >= (5, 0) and not always:
        off = {"type": "between_tools" if family == "sonnet" and version >= (5, 5) else "disabled"}
    return Traits(
        max_output=_max_output(family, version),
        sampling="free" if version < (4, 1) else "either" if version < (4, 7) else "fixed",
        thinking="none" if version < (3, 7) else "budget" if version < (4, 6) else "effort",
        thinks_unasked=version >= (5, 0),
        off=off,
        efforts=("low", "medium", "high", *(("xhigh",) if version >= (4, 7) else ()), "max"),
        forced_tools=family == "haiku" or version < (5, 1),
        prefill=version < (4, 6),
        system_turns=version >= (5, 1) or (family in ("opus", *_ALWAYS_THINKING) and version >= (4, 8)),
        schemas=version >= (4, 1),
        bound_thoughts=version >= (5, 1),
    )


def _max_output(family: str, version: tuple[int, int]) -> int:
    if version < (3, 7):
        return 4096 if version < (3, 5) else 8192
    if version >= (4, 6):
        return 128_000
    return 32_000 if family == "opus" and version < (4, 5) else 64_000
