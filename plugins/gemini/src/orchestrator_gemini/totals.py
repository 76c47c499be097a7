"""What an answer used (https://ai.google.dev/api/generate-content#UsageMetadata)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator_core.provider_api import Json, Usage, UsageDetails
from orchestrator_gemini.models import generation

_COUNTS: Final = frozenset(
    (
        "promptTokenCount",
        "cachedContentTokenCount",
        "candidatesTokenCount",
        "toolUsePromptTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
    )
)
_STANDARD: Final = frozenset(("on_demand", "standard", "unspecified", "traffic_type_unspecified"))


def usage(wire: Mapping[str, Json], *, searches: int = 0) -> Usage:
    """Return the buckets: thoughts are counted beside the candidates, prompts of server tools beside the prompt."""
    cached = _count(wire, "cachedContentTokenCount")
    prompt = _count(wire, "promptTokenCount") + _count(wire, "toolUsePromptTokenCount")
    return Usage(
        input_tokens=max(prompt - cached, 0),
        cached_input_tokens=cached,
        output_tokens=_count(wire, "candidatesTokenCount"),
        reasoning_tokens=_count(wire, "thoughtsTokenCount"),
        details=UsageDetails(
            input_audio_tokens=_of(wire, "promptTokensDetails", "AUDIO")
            + _of(wire, "toolUsePromptTokensDetails", "AUDIO"),
            cached_audio_tokens=_of(wire, "cacheTokensDetails", "AUDIO"),
            output_audio_tokens=_of(wire, "candidatesTokensDetails", "AUDIO"),
            output_image_tokens=_of(wire, "candidatesTokensDetails", "IMAGE"),
            web_searches=searches,
            unpriced=_unpriced(wire),
        ),
    )


def rest(wire: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what has no bucket: details by kind of content, the tier, and what is new."""
    return {name: value for name, value in wire.items() if name not in _COUNTS and value is not None}


def searches(grounding: Json, model: str) -> int:
    """Return how many searches are billed: each query, and before generation 3 each answer that has any.

    Source: https://ai.google.dev/gemini-api/docs/google-search#pricing.
    """
    queries = grounding.get("webSearchQueries") if isinstance(grounding, Mapping) else None
    count = len(queries) if isinstance(queries, list) else 0
    return count if generation(model) >= 3 else min(count, 1)


def _unpriced(wire: Mapping[str, Json]) -> str | None:
    for name in ("trafficType", "serviceTier"):
        tier = wire.get(name)
        if isinstance(tier, str) and tier.lower() not in _STANDARD:
            return f"{name} {tier}"
    return None


def _of(wire: Mapping[str, Json], name: str, modality: str) -> int:
    """Return how many tokens were of one kind of content."""
    details = wire.get(name)
    counted = [each for each in details if isinstance(each, Mapping)] if isinstance(details, list) else []
    return sum(_count(each, "tokenCount") for each in counted if each.get("modality") == modality)


def _count(wire: Mapping[str, Json], name: str) -> int:
    value = wire.get(name)
    return value if type(value) is int and value > 0 else 0
