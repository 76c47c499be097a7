"""Token counts of the OpenAI family, in buckets that do not overlap."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_core.provider_api import Json, Usage

_MOST = 2**53
"""No answer has more tokens; a larger number is a fault, and does not fit into databases and floats."""


def read_usage(wire: Mapping[str, Json], *, reasoning_outside: bool = False) -> Usage:
    """Read a `usage` object.

    `prompt_tokens` includes what was read from or written to a cache. Whether `completion_tokens` includes
    reasoning differs (OpenAI: yes, xAI: no); the vendor's own total decides, as vendors change this too.

    Args:
        wire: The object. Cached tokens are also looked for where DeepSeek (`prompt_cache_hit_tokens`), Mistral
            (`num_cached_tokens`) and Moonshot (`cached_tokens`) put them.
        reasoning_outside: What holds where there is no total.
    """
    prompt = count(wire, "prompt_tokens")
    completion = count(wire, "completion_tokens")
    details = wire.get("prompt_tokens_details") or {}
    cached = (
        count(details, "cached_tokens")
        or count(wire, "prompt_cache_hit_tokens")
        or count(wire, "num_cached_tokens")
        or count(wire, "cached_tokens")
    )
    cached = min(cached, prompt)
    written = min(count(details, "cache_write_tokens"), prompt - cached)
    reasoning = count(wire.get("completion_tokens_details") or {}, "reasoning_tokens")
    total = count(wire, "total_tokens")
    outside = total == prompt + completion + reasoning if total else reasoning_outside
    if not outside:
        reasoning = min(reasoning, completion)
        completion -= reasoning
    return Usage(prompt - cached - written, cached, written, completion, reasoning)


def as_openai_counts(wire: Mapping[str, Json], usage: Usage) -> dict[str, Json] | None:
    """Return a `usage` object as clients of OpenAI read it, or None where it already is one.

    Args:
        wire: The vendor's object; what else it holds is kept.
        usage: What it means.
    """
    details = wire.get("prompt_tokens_details") or {}
    cached, output = usage.cached_input_tokens, usage.total_output
    if count(details, "cached_tokens") == cached and count(wire, "completion_tokens") == output:
        return None
    return {
        **wire,
        "completion_tokens": output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {**details, "cached_tokens": cached},
    }


def count(wire: Mapping[str, Json], name: str) -> int:
    """Return a number of a `usage` object; 0 where it is missing or cannot be one."""
    value = wire.get(name)
    return value if type(value) is int and 0 < value <= _MOST else 0
