"""Token counts of the OpenAI family, in buckets that do not overlap."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_core.provider_api import Json, Usage, UsageDetails

_MOST = 2**53
"""No answer has more tokens; a larger number is a fault, and does not fit into databases and floats."""


_CACHED = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
"""Where DeepSeek, Mistral and Moonshot put the cached tokens."""

_NOTHING: Mapping[str, Json] = {}

_STANDARD = ("default", "auto", "standard", "on_demand")
"""What vendors call the tier that their price lists are about."""


def read_usage(wire: Mapping[str, Json], *, reasoning_outside: bool = False, tier: Json = None) -> Usage:
    """Read a `usage` object.

    `prompt_tokens` includes what was read from or written to a cache. Whether `completion_tokens` includes
    reasoning differs (OpenAI: yes, xAI: no); the vendor's own total decides, as vendors change this too.

    Args:
        wire: The object.
        reasoning_outside: What holds where there is no total.
        tier: The tier of service that the answer names.
    """
    prompt = count(wire, "prompt_tokens")
    completion = count(wire, "completion_tokens")
    details = wire.get("prompt_tokens_details") or _NOTHING
    made = wire.get("completion_tokens_details") or _NOTHING
    cached = written = reasoning = 0
    if details:
        cached, written = count(details, "cached_tokens"), count(details, "cache_write_tokens")
    for name in _CACHED:
        if not cached and name in wire:
            cached = count(wire, name)
    if made:
        reasoning = count(made, "reasoning_tokens")
    cached = min(cached, prompt)
    written = min(written, prompt - cached)
    total = count(wire, "total_tokens")
    outside = total == prompt + completion + reasoning if total else reasoning_outside
    if not outside:
        reasoning = min(reasoning, completion)
        completion -= reasoning
    fresh = prompt - cached - written
    unpriced = _unpriced(wire, tier)
    if not (details.get("audio_tokens") or made.get("audio_tokens") or unpriced):
        return Usage(fresh, cached, written, completion, reasoning)
    heard = min(count(details, "audio_tokens"), prompt)
    of_sound = UsageDetails(
        input_audio_tokens=heard,
        # No vendor says how much of the sound was cached: no more than must be.
        cached_audio_tokens=max(heard - fresh, 0),
        output_audio_tokens=min(count(made, "audio_tokens"), completion),
        unpriced=unpriced,
    )
    return Usage(fresh, cached, written, completion, reasoning, of_sound)


def _unpriced(wire: Mapping[str, Json], tier: Json) -> str | None:
    """Return what no table of prices knows."""
    if isinstance(tier, str) and tier not in _STANDARD:
        return f"service_tier {tier}"
    # https://docs.x.ai/docs/guides/live-search: sources are billed each, beside the tokens.
    return "num_sources_used" if "num_sources_used" in wire and count(wire, "num_sources_used") else None


def as_openai_counts(wire: Mapping[str, Json], usage: Usage) -> dict[str, Json] | None:
    """Return a `usage` object as clients of OpenAI read it, or None where it already is one.

    Args:
        wire: The vendor's object; what else it holds is kept.
        usage: What it means.
    """
    details = wire.get("prompt_tokens_details") or _NOTHING
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
