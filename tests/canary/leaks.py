"""Searching output for secrets, in every form that they may have taken on the way."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from orchestrator_core.config.redaction import REDACTOR


def find_leaks(output: str | bytes, values: Iterable[str]) -> list[str]:
    """Return which form of which value is in the output."""
    data = output.encode() if isinstance(output, str) else output
    return [f"{value[:12]}... as {form}" for value in values for form, bytes_ in _forms(value) if bytes_ in data]


def _forms(value: str) -> Iterator[tuple[str, bytes]]:
    yield "text", value.encode()
    yield "JSON", json.dumps(value)[1:-1].encode()
    yield "repr", repr(value)[1:-1].encode()
    yield "URL", quote(value, safe="").encode()
    yield "base64", base64.b64encode(value.encode()).rstrip(b"=")[:-1]


@contextmanager
def isolated_redactor() -> Iterator[None]:
    """Forget afterwards what was registered, so that one test does not mask the output of the next."""
    kept = dict(REDACTOR._kept)
    try:
        yield
    finally:
        REDACTOR._kept = kept
        REDACTOR._refresh()
