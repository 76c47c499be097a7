"""Searching output for secrets, in every form that they may have taken on the way."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import quote

from orchestrator_core.config.redaction import REDACTOR

PIECE = 12
"""Characters. So much of a secret, in any of its forms, is a leak."""

SHOWN = 4
"""How many characters at the end of a key may be shown."""

_PREFIX = re.compile(r"(?:sk-(?:proj-|ant-api03-)?)?")
"""What vendors begin their keys with; it may be shown."""


def find_leaks(output: str | bytes, values: Iterable[str]) -> list[str]:
    """Return which form of which value is in the output, be it only a piece of it.

    What may be shown of a key is no piece: its vendor's prefix and its last characters.
    """
    data = output.encode() if isinstance(output, str) else output
    said = {data[start : start + PIECE] for start in range(len(data) - PIECE + 1)}
    return [
        f"{value[:12]}... as {form}"
        for value in values
        for form, pieces in _pieces(value)
        if not pieces.isdisjoint(said)
    ]


@cache
def _pieces(value: str) -> tuple[tuple[str, frozenset[bytes]], ...]:
    """Return the pieces of a value by the name of the form."""
    prefix = _PREFIX.match(value)
    hidden = value[prefix.end() if prefix else 0 : -SHOWN]
    found = tuple(
        (form, frozenset(text[start : start + PIECE] for start in range(len(text) - PIECE + 1)))
        for form, text in _forms(hidden)
    )
    if not all(pieces for _, pieces in found):
        raise ValueError("the value is too short: a search for it would show nothing")
    return found


def _forms(value: str) -> Iterator[tuple[str, bytes]]:
    yield "text", value.encode()
    yield "JSON", json.dumps(value)[1:-1].encode()
    yield "repr", repr(value)[1:-1].encode()
    yield "URL", quote(value, safe="").encode()
    yield "hex", value.encode().hex().encode()
    for before in range(3):  # base64 packs three bytes; its ends depend on what stands beside the value
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield "base64", encode(b" " * before + value.encode())[4:].rstrip(b"=")[:-1]


@contextmanager
def isolated_redactor() -> Iterator[None]:
    """Forget afterwards what was registered, so that one test does not mask the output of the next."""
    kept = dict(REDACTOR._kept)
    try:
        yield
    finally:
        REDACTOR._kept = kept
        REDACTOR._refresh()
