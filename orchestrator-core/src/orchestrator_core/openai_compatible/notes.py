"""What clients said beyond the canonical form, as fields of this protocol's messages, parts, calls and tools."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    AdjustmentReport,
    Json,
    ProviderMetadata,
    taken_notes,
)

_OF_BLOCKS = ("block", "redacted", "signature")
"""Notes of Anthropic's dialect that are the content itself, and stand in parts of their own."""


def taken_inside(
    metadata: ProviderMetadata | None,
    dialect: Dialect,
    provider_id: str,
    report: AdjustmentReport,
    *,
    read: Collection[str] = (),
    asked: bool = True,
) -> dict[str, Json]:
    """Return the fields that were noted for a vendor, by itself or by a client that knows it; report all others.

    Args:
        metadata: The notes.
        dialect: The vendor's differences.
        provider_id: The provider instance.
        report: Notes what is not taken.
        read: Names that are said in another way.
        asked: Whether they belong to what is asked now.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    taken_notes(metadata, ANTHROPIC_MESSAGES, report, read=_OF_BLOCKS, asked=asked)
    known, foreign = dialect.accepted_inside, dialect.foreign
    theirs = taken_notes(metadata, OPENAI_CHAT, report, known=known, without=foreign, read=read, asked=asked)
    own = (metadata or {}).get(provider_id, {})
    return {**theirs, **{name: value for name, value in own.items() if name not in read}}


def merged(wire: dict[str, Json], noted: Mapping[str, Json]) -> dict[str, Json]:
    """Return an object of the protocol with the fields of its notes, which may stand inside of it."""
    result = dict(wire)
    for name, value in noted.items():
        inside = result.get(name)
        if isinstance(inside, dict) and isinstance(value, dict):
            result[name] = {**inside, **value}
        else:
            result[name] = value
    return result
