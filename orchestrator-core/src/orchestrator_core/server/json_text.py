"""Reading JSON text from strangers: strict, bounded, and with the place of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

import jiter

from orchestrator_core.provider_api import InvalidRequest, Json

MAX_DEPTH = 64
"""How deep arrays and objects may nest."""

MAX_CONTAINERS = 100_000
"""How many arrays and objects one body may have: each costs a hundred times its two bytes."""

_INFINITE = (float("inf"), float("-inf"))
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_BRACKETS_AND_QUOTES = b'[]{}"'
_ALL_ELSE = bytes(set(range(256)) - set(_BRACKETS_AND_QUOTES))
_QUOTED = re.compile(rb'"[^"]*+"?')
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_LARGE_EXPONENT = re.compile(rb"[0-9.][eE]\+?[0-9]{3}")
_MANY_DIGITS = re.compile(rb"(?<![0-9])[0-9]{200}")
_NO_NUMBER = bytes(set(range(256)) - set(b"0123456789.eE+"))
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_TOKENS_SEARCHED = 100_000


def parse(data: bytes) -> Json:
    """Parse JSON text.

    Raises:
        InvalidRequest: Not UTF-8, malformed, a key twice, nested deeper than `MAX_DEPTH`, a number that is
            not finite or has thousands of digits, a lone surrogate, or the character NUL. The message names
            the place.
    """
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data)
    if rb"\u0000" in data and (found := _NUL.search(data)):
        raise _refusal("the character NUL is not allowed", _place(data, found.start()))
    try:
        value: Json = jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as problem:
        raise InvalidRequest(f"The body is not valid JSON: {str(problem)[:300]}.") from None
    # What is too large has an exponent of three digits, or 200 digits: few bodies look so, even with all else left out.
    few = data.translate(None, _NO_NUMBER)
    if _LARGE_EXPONENT.search(few) or _MANY_DIGITS.search(few):
        _check_finite(value)
    return value


def _check_depth(data: bytes) -> None:
    """Refuse deep nesting without building it: a few passes over the text, each of them in C."""
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = _QUOTED.sub(b"", unescaped.translate(None, _ALL_ELSE)).translate(_AS_SQUARE)
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise _refusal(f"it has more than {MAX_CONTAINERS} arrays and objects", "in all")
    for _ in range(MAX_DEPTH):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    # Brackets that are left over without a pair are malformed; the parser finds their place.
    if b"[]" in brackets or b"[" * (MAX_DEPTH + 1) in brackets:
        depth = 0
        for token in islice(_TOKEN.finditer(data), _TOKENS_SEARCHED):
            depth += (token[0] in b"[{") - (token[0] in b"]}")
            if depth > MAX_DEPTH:
                raise _refusal(f"it is nested deeper than {MAX_DEPTH} levels", _place(data, token.start()))
        raise _refusal(f"it is nested deeper than {MAX_DEPTH} levels", "somewhere")


def _check_finite(value: Json) -> None:
    """Refuse numbers such as 1e400, which parsers turn into infinity."""
    pending = [value]
    while pending:
        here = pending.pop()
        items: Iterable[Json] = here.values() if isinstance(here, dict) else here
        for item in items if isinstance(here, dict | list) else (here,):
            kind = type(item)
            if kind is dict or kind is list:
                pending.append(item)
            elif kind is float and item in _INFINITE:
                raise _refusal("the number is too large", f"at {_path_of_infinite(value)}")


def _path_of_infinite(value: Json) -> str | None:
    if isinstance(value, float):
        return "$" if value in _INFINITE else None
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in steps:
        if path := _path_of_infinite(item):
            return f"$.{step}"[:200] + path[1:]
    return None


def _place(data: bytes, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    column = offset - data.rfind(b"\n", 0, offset)
    return f"at line {line} column {column}"


def _refusal(what: str, place: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not valid JSON: {what} {place}.")
