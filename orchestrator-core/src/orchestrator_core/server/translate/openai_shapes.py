"""The shapes of OpenAI's messages and tools that are well-formed for certain, as nearly all are.

What has one of them need not be read to know that it can be; whether all else is well-formed shows as it is read. What
only the gateway or another provider wrote (`extra_content`, `reasoning_details`) has none of these shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeGuard

from pydantic_core import SchemaValidator
from pydantic_core.core_schema import (
    CoreSchema,
    any_schema,
    bool_schema,
    dict_schema,
    list_schema,
    literal_schema,
    none_schema,
    nullable_schema,
    str_schema,
    tagged_union_schema,
    typed_dict_field,
    typed_dict_schema,
    union_schema,
)

from orchestrator_core.provider_api import Json

_STRING: Final = str_schema()
_NOT_EMPTY: Final = str_schema(min_length=1)


def are_messages(value: Json) -> TypeGuard[list[Json]]:
    """Whether a value is a list of such messages, with one at least."""
    return _MESSAGES.isinstance_python(value, strict=True)


def are_tools(value: Json) -> TypeGuard[list[Json]]:
    """Whether a value is a list of such tools, all of them functions."""
    return _TOOLS.isinstance_python(value, strict=True)


def _object(required: Mapping[str, CoreSchema], optional: Mapping[str, CoreSchema]) -> CoreSchema:
    """Describe an object; what may be missing may be null too, and other fields may have any value."""
    fields = {name: typed_dict_field(schema) for name, schema in required.items()}
    fields |= {name: typed_dict_field(nullable_schema(schema), required=False) for name, schema in optional.items()}
    return typed_dict_schema(fields)


_NOTHING: Final = {"extra_content": none_schema()}
_TEXT: Final = _object({"type": literal_schema(["text"]), "text": _STRING}, _NOTHING)
_URL: Final = union_schema([_NOT_EMPTY, _object({"url": _NOT_EMPTY}, {})])
_IMAGE: Final = _object({"type": literal_schema(["image_url"]), "image_url": _URL}, _NOTHING)
_PART: Final = tagged_union_schema({"text": _TEXT, "image_url": _IMAGE}, discriminator="type")
_CONTENT: Final = union_schema([_STRING, list_schema(_PART)])
_CALL: Final = _object(
    {"id": _NOT_EMPTY, "function": _object({"name": _NOT_EMPTY}, {"arguments": _STRING})},
    {"type": literal_schema(["function"]), **_NOTHING},
)
_SAID: Final = _object(
    {"role": _STRING, "content": union_schema([_STRING, list_schema(_PART, min_length=1)])},
    {"name": _STRING, **_NOTHING},
)
_ANSWER: Final = _object(
    {"role": _STRING},
    {
        "content": _CONTENT,
        "name": _STRING,
        "refusal": _STRING,
        "reasoning_content": _STRING,
        "tool_calls": list_schema(_CALL),
        **dict.fromkeys(("audio", "function_call", "reasoning_details", "images", "files"), none_schema()),
        **_NOTHING,
    },
)
_RESULT: Final = _object({"role": _STRING, "tool_call_id": _STRING}, {"content": _CONTENT, "name": _STRING, **_NOTHING})
_MESSAGE: Final = tagged_union_schema(
    {**dict.fromkeys(("system", "developer", "user"), _SAID), "assistant": _ANSWER, "tool": _RESULT},
    discriminator="role",
)
_MESSAGES: Final = SchemaValidator(list_schema(_MESSAGE, min_length=1))

_FUNCTION: Final = _object(
    {"name": _NOT_EMPTY},
    {"description": _STRING, "parameters": dict_schema(any_schema(), any_schema()), "strict": bool_schema()},
)
_TOOLS: Final = SchemaValidator(
    list_schema(_object({"function": _FUNCTION}, {"type": literal_schema(["function"]), **_NOTHING}))
)
