"""The shapes of Anthropic's conversations that are well-formed for certain, as nearly all are.

What has one of them need not be read to know that it can be; whether all else is well-formed shows as it is read. What
providers of other dialects leave in a conversation, the notes of the gateway among it, has none of these shapes.
"""

from __future__ import annotations

from typing import Final

from pydantic_core import SchemaValidator
from pydantic_core.core_schema import (
    any_schema,
    bool_schema,
    dict_schema,
    list_schema,
    literal_schema,
    str_schema,
    tagged_union_schema,
    union_schema,
)

from orchestrator_core.provider_api import Json
from orchestrator_core.server.translate.shapes import NOT_EMPTY, STRING, UNMARKED, described

TOOL_ID: Final = r"[a-zA-Z0-9_-]+"
"""Ids that the vendor takes (its error for `tool_use.id` names this pattern)."""


def is_conversation(value: Json) -> bool:
    """Whether a body has such messages, with one at least, and such a system prompt, or none."""
    return _CONVERSATION.isinstance_python(value, strict=True)


_TOOL_ID: Final = str_schema(pattern=f"^{TOOL_ID}$")
_SEALED: Final = str_schema(pattern="^[^o]")
"""What begins as the seals of the vendor do, and not as those of the gateway."""

_SOURCE: Final = tagged_union_schema(
    {"base64": described({"data": NOT_EMPTY}, {"media_type": STRING}), "url": described({"url": NOT_EMPTY}, {})},
    discriminator="type",
)
_INNER: Final = {
    "text": described({"text": STRING}, UNMARKED),
    "image": described({"source": _SOURCE}, UNMARKED),
}
_RESULT: Final = union_schema([STRING, list_schema(tagged_union_schema(_INNER, discriminator="type"))])
_BLOCKS: Final = {
    **_INNER,
    "thinking": described({"signature": _SEALED}, {"thinking": STRING, **UNMARKED}),
    "redacted_thinking": described({"data": _SEALED}, UNMARKED),
    "tool_use": described(
        {"id": _TOOL_ID, "name": NOT_EMPTY, "input": dict_schema(any_schema(), any_schema())}, UNMARKED
    ),
    "tool_result": described({"tool_use_id": _TOOL_ID}, {"content": _RESULT, "is_error": bool_schema(), **UNMARKED}),
}
_CONTENT: Final = union_schema([STRING, list_schema(tagged_union_schema(_BLOCKS, discriminator="type"))])
_MESSAGE: Final = described({"role": literal_schema(["user", "assistant", "system"]), "content": _CONTENT}, {})
_CONVERSATION: Final = SchemaValidator(
    described({"messages": list_schema(_MESSAGE, min_length=1)}, {"system": _CONTENT})
)
