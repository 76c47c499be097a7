"""Calls of Anthropic's own tools and their results, which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator_core.provider_api import Json


def pairing(block: Mapping[str, Json]) -> str | None:
    """Return the id that the call of a tool of Anthropic's and its result share."""
    kind = str(block.get("type"))
    if kind.endswith("_tool_use"):
        return str(block.get("id"))
    return str(block.get("tool_use_id")) if kind.endswith("_tool_result") else None


def paired(blocks: Iterable[Mapping[str, Json] | None]) -> set[str]:
    """Return the ids of calls with a result after them; a call that was cut off has none, and is refused alone."""
    halves: dict[str, list[bool]] = {}
    for block in blocks:
        if block and (identity := pairing(block)):
            halves.setdefault(identity, []).append(is_call(block))
    return {identity for identity, found in halves.items() if found == [True, False]}


def match(blocks: Iterable[Mapping[str, Json]], pending: set[str]) -> bool:
    """Match results with calls before them. Return whether each has one.

    Args:
        blocks: A turn of the model's.
        pending: The calls that wait for a result; changed in place. Code that calls the client's tools has its own
            result only in the turn after theirs:
            https://platform.claude.com/docs/en/agents-and-tools/tool-use/programmatic-tool-calling.
    """
    for block in blocks:
        identity = pairing(block)
        if identity is None:
            continue
        if is_call(block):
            pending.add(identity)
        elif identity in pending:
            pending.remove(identity)
        else:
            return False
    return True


def is_call(block: Mapping[str, Json]) -> bool:
    """Say whether a block is the call of a tool of Anthropic's own."""
    return str(block.get("type")).endswith("_tool_use")
