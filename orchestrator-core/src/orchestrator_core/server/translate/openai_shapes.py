"""The shapes of OpenAI's messages and tools that are well-formed for certain, as nearly all are.

What has one of them need not be read to know that it can be; whether all else is well-formed shows as it is read. What
only the gateway or another provider wrote (`extra_content`, `reasoning_details`) has none of these shapes.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from pydantic_core import SchemaValidator
from pydantic_core.core_schema import (
    any_schema,
    bool_schema,
    dict_schema,
    list_schema,
    literal_schema,
    none_schema,
    tagged_union_schema,
    union_schema,
)

from orchestrator_core.provider_api import Json
from orchestrator_core.server.translate.shapes import NOT_EMPTY, STRING, UNMARKED, described


def are_messages(value: Json) -> TypeGuard[list[Json]]:
    """Whether a value is a list of such messages, with one at least."""
    return _MESSAGES.isinstance_python(value, strict=True)


def are_tools(value: Json) -> TypeGuard[list[Json]]:
    """Whether a value is a list of such tools, all of them functions."""
    return _TOOLS.isinstance_python(value, strict=True)


_TEXT: Final = described({"type": literal_schema(["text"]), "text": STRING}, UNMARKED)
_URL: Final = union_schema([NOT_EMPTY, described({"url": NOT_EMPTY}, {})])
_IMAGE: Final = described({"type": literal_schema(["image_url"]), "image_url": _URL}, UNMARKED)
_PART: Final = tagged_union_schema({"text": _TEXT, "image_url": _IMAGE}, discriminator="type")
_CONTENT: Final = union_schema([STRING, list_schema(_PART)])
_CALL: Final = described(
    {"id": NOT_EMPTY, "function": described({"name": NOT_EMPTY}, {"arguments": STRING})},
    {"type": literal_schema(["function"]), **UNMARKED},
)
_SAID: Final = described(
    {"role": STRING, "content": union_schema([STRING, list_schema(_PART, min_length=1)])},
    {"name": STRING, **UNMARKED},
)
_ANSWER: Final = described(
    {"role": STRING},
    {
        "content": _CONTENT,
        "name": STRING,
        "refusal": STRING,
        "reasoning_content": STRING,
        "tool_calls": list_schema(_CALL),
        **dict.fromkeys(("audio", "function_call", "reasoning_details", "images", "files"), none_schema()),
        **UNMARKED,
    },
)
_RESULT: Final = described({"role": STRING, "tool_call_id": STRING}, {"content": _CONTENT, "name": STRING, **UNMARKED})
_MESSAGE: Final = tagged_union_schema(
    {**dict.fromkeys(("system", "developer", "user"), _SAID), "assistant": _ANSWER, "tool": _RESULT},
    discriminator="role",
)
_MESSAGES: Final = SchemaValidator(list_schema(_MESSAGE, min_length=1))

_FUNCTION: Final = described(
    {"name": NOT_EMPTY},
    {"description": STRING, "parameters": dict_schema(any_schema(), any_schema()), "strict": bool_schema()},
)
_TOOLS: Final = SchemaValidator(
    list_schema(described({"function": _FUNCTION}, {"type": literal_schema(["function"]), **UNMARKED}))
)
