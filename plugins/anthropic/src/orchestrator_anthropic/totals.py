"""What an answer used (https://platform.claude.com/docs/en/api/messages, `usage`)."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_core.provider_api import Json, Usage, UsageDetails

_BUCKETS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_STANDARD = {"service_tier": "standard", "speed": "standard"}


class Totals:
    """Adds up the reports of an answer: within a round later counts replace earlier ones; rounds are summed."""

    def __init__(self) -> None:
        self._before = Usage()
        self._wire: dict[str, Json] = {}

    def again(self) -> None:
        """Begin another round."""
        self._before, self._wire = self.usage(), {}

    def add(self, wire: Json) -> bool:
        """Take a report, which leaves out what did not change. Return whether it said anything."""
        if not isinstance(wire, Mapping):
            return False
        self._wire |= {name: value for name, value in wire.items() if value is not None}
        return bool(wire)

    def rest(self) -> Mapping[str, Json]:
        """Return what has no bucket: tiers, counts of Anthropic's own tools, and what is new."""
        return {name: value for name, value in self._wire.items() if name not in _BUCKETS}

    def usage(self) -> Usage:
        """Return the totals so far."""
        wire = self._wire
        output = _count(wire, "output_tokens")
        thought = min(_count(_fields(wire, "output_tokens_details"), "thinking_tokens"), output)
        return self._before + Usage(
            input_tokens=_count(wire, "input_tokens"),
            cached_input_tokens=_count(wire, "cache_read_input_tokens"),
            cache_write_tokens=_count(wire, "cache_creation_input_tokens"),
            output_tokens=output - thought,
            reasoning_tokens=thought,
            details=UsageDetails(
                cache_write_1h_tokens=_count(_fields(wire, "cache_creation"), "ephemeral_1h_input_tokens"),
                web_searches=_count(_fields(wire, "server_tool_use"), "web_search_requests"),
                unpriced=_unpriced(wire),
            ),
        )


def _unpriced(wire: Mapping[str, Json]) -> str | None:
    """Return what makes the price another one (https://platform.claude.com/docs/en/about-claude/pricing)."""
    for name, standard in _STANDARD.items():
        if (tier := wire.get(name)) and tier != standard:
            return f"{name} {tier}"
    if wire.get("inference_geo") == "us":
        return "inference_geo us"
    rounds = wire.get("iterations")
    for each in rounds if isinstance(rounds, list) else ():
        # Only rounds of the model itself are in the counts beside them: a summary of the context is not.
        if isinstance(each, Mapping) and each.get("type", "message") != "message":
            return f"iteration {each['type']}"
    return None


def _fields(wire: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = wire.get(name)
    return value if isinstance(value, Mapping) else {}


def _count(wire: Mapping[str, Json], name: str) -> int:
    value = wire.get(name)
    return value if type(value) is int and value > 0 else 0
