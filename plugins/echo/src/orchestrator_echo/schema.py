"""The smallest value that follows a JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat

from orchestrator_core.provider_api import InvalidRequest, Json

MAX_DEPTH = 32
"""References within references; a schema that needs more can have no small value."""

MAX_VALUES = 1024
"""The most parts of a value, whole and within others."""


def instance(schema: Json, text: str) -> Json:
    """Return a small value that follows a schema, with `text` wherever any text will do.

    Args:
        schema: JSON Schema.
        text: For strings.

    Raises:
        InvalidRequest: The schema refers to itself without an end, or to nothing, or has no small value.
    """
    return _instance(schema, text, schema, 0, repeat(True, MAX_VALUES))


def _instance(schema: Json, text: str, root: Json, depth: int, left: Iterator[bool]) -> Json:
    if depth > MAX_DEPTH:
        raise InvalidRequest("The schema has no value of a small depth.", param="response_format")
    if not next(left, False):
        raise InvalidRequest(f"The schema has no value of {MAX_VALUES} parts or fewer.", param="response_format")
    if not isinstance(schema, Mapping):
        return text  # `true`: anything will do
    if "$ref" in schema:
        return _instance(_resolve(root, schema["$ref"]), text, root, depth + 1, left)
    if "const" in schema:
        return schema["const"]
    for word in ("enum", "examples"):
        if schema.get(word):
            return schema[word][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            # One that refers to nothing ends; the other may refer to what it stands in.
            plain = [option for option in schema[word] if "$ref" not in option] or schema[word]
            return _instance(plain[0], text, root, depth + 1, left)
    return _typed(schema, text, root, depth, left)


def _typed(schema: Mapping[str, Json], text: str, root: Json, depth: int, left: Iterator[bool]) -> Json:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _instance(value, text, root, depth + 1, left) for name, value in properties.items()}
    if kind == "array":
        item = schema.get("items", {})
        return [_instance(item, text, root, depth + 1, left) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if kind == "string":
        return text[: schema["maxLength"]] if "maxLength" in schema else text
    return {"boolean": True, "null": None}.get(kind)


def _resolve(root: Json, reference: str) -> Json:
    """Follow a reference within the schema (RFC 6901)."""
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            raise InvalidRequest("A reference in the schema leads nowhere.", param="response_format")
        found = found[key]
    return found
