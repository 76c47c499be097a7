"""The smallest value that follows a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_core.provider_api import InvalidRequest, Json

MAX_DEPTH = 32
"""References within references; a schema that needs more can have no small value."""


def instance(schema: Json, text: str, *, root: Json = None, depth: int = 0) -> Json:
    """Return a small value that follows a schema, with `text` wherever any text will do.

    Args:
        schema: JSON Schema, or one of its subschemas.
        text: For strings.
        root: The whole schema, where references lead; `schema` itself by default.
        depth: How deep the value lies in the whole one.

    Raises:
        InvalidRequest: The schema refers to itself without an end, or to nothing.
    """
    if depth > MAX_DEPTH:
        raise InvalidRequest("The schema has no value of a small depth.", param="response_format")
    root = schema if root is None else root
    if not isinstance(schema, Mapping):
        return text  # `true`: anything will do
    if "$ref" in schema:
        return instance(_resolve(root, schema["$ref"]), text, root=root, depth=depth + 1)
    if "const" in schema:
        return schema["const"]
    for word in ("enum", "examples"):
        if schema.get(word):
            return schema[word][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            # One that refers to nothing ends; the other may refer to what it stands in.
            plain = [option for option in schema[word] if "$ref" not in option] or schema[word]
            return instance(plain[0], text, root=root, depth=depth + 1)
    return _typed(schema, text, root, depth)


def _typed(schema: Mapping[str, Json], text: str, root: Json, depth: int) -> Json:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: instance(value, text, root=root, depth=depth + 1) for name, value in properties.items()}
    if kind == "array":
        item = schema.get("items", {})
        return [instance(item, text, root=root, depth=depth + 1) for _ in range(schema.get("minItems", 0))]
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
