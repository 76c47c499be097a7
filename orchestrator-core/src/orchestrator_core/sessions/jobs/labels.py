"""What a session can be found by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from pydantic_core import from_json, to_json

from orchestrator_core.provider_api import Json
from orchestrator_core.sessions.jobs.rows import Redact

Label = tuple[str, str]
"""A name of a session's metadata and its value, as it can be searched for."""

MAX_LABEL = 256
"""Characters of a name or a value that can be searched for."""

MAX_LABELS = 100
"""Names of one session's metadata that can be searched for."""


def labels_of(metadata: Mapping[str, Json] | None, redact: Redact) -> Sequence[Label]:
    """Return what a session can be found by: the short plain values of its metadata, the first `MAX_LABELS` of them.

    Names and values that differ in secrets alone are one.
    """
    if not metadata:
        return ()
    pairs = ((redact(name), label_value(value)) for name, value in metadata.items())
    labels = ((name, redact(value)) for name, value in pairs if value is not None and len(name) <= MAX_LABEL)
    return list(islice(dict.fromkeys(labels), MAX_LABELS))


def labels_from(metadata: str) -> Sequence[Label]:
    """Return what a session can be found by, from its metadata as they are written."""
    return labels_of(from_json(metadata), lambda text: text)


def label_value(value: Json) -> str | None:
    """Return a value as it is searched for: text as it stands, numbers and truth as JSON writes them."""
    if value is None or isinstance(value, list | dict):
        return None
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= MAX_LABEL else None
