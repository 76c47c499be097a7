"""What other providers noted on parts, written into the opaque fields of Anthropic's blocks.

Clients of this dialect give `signature` and `data` back as they came, whatever they hold (Messages API, extended
thinking). So the notes of any provider travel in them, and the next request brings them back to the provider that
made them. Blocks that have no such field carry `extra_content`.
"""

from __future__ import annotations

import base64
import json
from typing import Literal, TypeAlias

import jiter

from orchestrator_core.provider_api import ANTHROPIC_MESSAGES, Json, OpaquePart, ProviderMetadata, ReasoningPart
from orchestrator_core.server.translate.fields import Fields, invalid

Kind: TypeAlias = Literal["reasoning", "opaque"]

_PREFIX = "orchestrator."


def pack(kind: Kind, metadata: ProviderMetadata) -> str:
    """Write the notes on a part as one opaque text."""
    text = json.dumps([kind, metadata], separators=(",", ":"), sort_keys=True)
    return _PREFIX + base64.urlsafe_b64encode(text.encode()).decode()


def unpack(text: str, place: str) -> ReasoningPart | OpaquePart | None:
    """Read what `pack` wrote, as a part without text; None where it is somebody else's.

    Raises:
        InvalidRequest: The text was cut or changed; `place` is where it stands.
    """
    if not text.startswith(_PREFIX):
        return None
    try:
        kind, metadata = jiter.from_json(base64.urlsafe_b64decode(text.removeprefix(_PREFIX)))
        notes = {provider: dict(values) for provider, values in metadata.items()}
    except (ValueError, TypeError, AttributeError):
        raise invalid(place, "this opaque text is not as the gateway wrote it") from None
    return OpaquePart(provider_metadata=notes) if kind == "opaque" else ReasoningPart(provider_metadata=notes)


def signature(metadata: ProviderMetadata | None) -> str:
    """Return the signature of a thought: the dialect's own, or the notes of another provider; empty for none."""
    if not metadata:
        return ""
    own = metadata.get(ANTHROPIC_MESSAGES, {}).get("signature")
    return own if isinstance(own, str) and len(metadata) == 1 else pack("reasoning", metadata)


def opaque_block(kind: Kind, metadata: ProviderMetadata) -> dict[str, Json]:
    """Write a part that is nothing but notes: as the dialect's own block, or as a thought that nobody can read."""
    own = metadata.get(ANTHROPIC_MESSAGES, {})
    if isinstance(block := own.get("block"), dict):
        return block
    data = own.get("redacted")
    return {"type": "redacted_thinking", "data": data if isinstance(data, str) else pack(kind, metadata)}


def extra_content(block: Fields) -> dict[str, Json]:
    """Read `extra_content`, in which answers carry the notes of providers where a block has no opaque field.

    Raises:
        InvalidRequest: It is no object of objects.
    """
    extra = block.object("extra_content")
    return {} if extra is None else {provider: extra.need(provider).data for provider in extra.data}
