"""The endpoints and the schemas of the OpenAPI document, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]


def endpoint_lines(document: Json) -> Iterator[str]:
    """Make a section for each tag, and say of each endpoint what it takes and what it answers."""
    entries: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not isinstance(operation, Mapping) or "responses" not in operation:
                continue
            answers = operation["responses"]
            bodies = {
                "Takes": list(_names(operation.get("requestBody", {}))),
                "Gives": list(_names(answers.get("200") or answers.get("201") or {})),
            }
            said = [
                f"{operation.get('summary', '')}.",
                *(f"{verb} {' or '.join(b)}." for verb, b in bodies.items() if b),
            ]
            entry = (f"`{method.upper()} {path}`", f": {' '.join(said)} {', '.join(sorted(answers))}.", "")
            entries.setdefault((operation.get("tags") or ["other"])[0], []).extend(entry)
    for tag, lines in entries.items():
        yield from (f"## {tag}", "", *lines)


def schema_lines(document: Json) -> Iterator[str]:
    """Make a section for each schema, with a row for each field."""
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from (f"### {name}", "")
        if "description" in schema:
            yield from (_one_line(schema["description"]), "")
        if "properties" not in schema:
            yield from (f"One of {_kind(schema)}.", "")
            continue
        yield from ("| Field | Type | Meaning |", "|---|---|---|")
        required = schema.get("required", ())
        for field, found in schema["properties"].items():
            mark = "" if field in required else ", may be left out"
            yield f"| `{field}` | {_kind(found)}{mark} | {_one_line(found.get('description', ''))} |"
        yield ""


def _names(holder: Json) -> Iterator[str]:
    """Yield links to the schemas of the bodies that a request or an answer has."""
    for content in holder.get("content", {}).values():
        schema = content.get("schema", {})
        if "$ref" in schema:
            yield _link(schema["$ref"])


def _kind(schema: Json) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[several]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
