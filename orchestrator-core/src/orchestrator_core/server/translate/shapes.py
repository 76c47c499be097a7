"""Shapes of JSON, of which it shows without reading a value whether it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic_core.core_schema import (
    CoreSchema,
    none_schema,
    nullable_schema,
    str_schema,
    typed_dict_field,
    typed_dict_schema,
)

STRING: Final = str_schema()
NOT_EMPTY: Final = str_schema(min_length=1)
UNMARKED: Final = {"extra_content": none_schema()}
"""The fields of what has no note of the gateway's."""


def described(required: Mapping[str, CoreSchema], optional: Mapping[str, CoreSchema]) -> CoreSchema:
    """Describe an object; what may be missing may be null too, and other fields may have any value."""
    fields = {name: typed_dict_field(schema) for name, schema in required.items()}
    fields |= {name: typed_dict_field(nullable_schema(schema), required=False) for name, schema in optional.items()}
    return typed_dict_schema(fields)
