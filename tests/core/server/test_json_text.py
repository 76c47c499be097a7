from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.provider_api import InvalidRequest
from orchestrator_core.server.json_text import MAX_DEPTH, parse

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner)
    ),
)


def nested(depth: int, core: bytes = b"") -> bytes:
    return b"[" * depth + core + b"]" * depth


@given(VALUES, st.booleans())
def test_reads_what_json_writes(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    value: Any = None
    refused = False
    try:
        value = parse(data)
    except InvalidRequest:
        refused = True
    assert refused or json.loads(data) == value


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", "line 1 column 0"),
        (b" ", "line 1 column 1"),
        (b'{"a": }', "line 1 column 7"),
        (b'{"a": 1} x', "line 1 column 10"),
        (b'{"a": 1,\n "b": {"c": 1, "c": 2}}', "line 2 column"),
        (b'{"a": NaN}', "line 1 column 7"),
        (b"[Infinity]", "line 1 column 2"),
        (b"[-Infinity]", "line 1 column 3"),
        (b'{"a": [1, {"b": 1e400}]}', "$.a.1.b"),
        (b"-1e999", "$"),
        (b"[" + b"9" * 5000 + b"]", "line 1 column"),
        (rb'["\ud800"]', "line 1 column"),
        (rb'["\udc00"]', "line 1 column"),
        (rb'["\ud800\u0041"]', "line 1 column"),
        (b'["\xed\xa0\x80"]', "line 1 column"),
        (b'["\xff"]', "line 1 column 3"),
        (b'["\xc3"]', "line 1 column"),
        (b'["\x00"]', "line 1 column 3"),
        (b'[1,\n"a' + rb"\u0000" + b'"]', "line 2 column 3"),
        (rb'["\\\u0000"]', "line 1 column 3"),
        (b"\xef\xbb\xbf{}", "line 1 column 1"),
        ('{"a": 1}'.encode("utf-16"), "line 1 column 1"),
        (nested(MAX_DEPTH + 1), "line 1 column 65"),
        (b'"\\"", ' + nested(MAX_DEPTH + 1), "column 71"),
        (b"[" * 100_000, "line 1 column 65"),
        (b'{"a":' * 100_000, "line 1 column"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(data: bytes, place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(data)
    assert place in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        nested(MAX_DEPTH),
        nested(MAX_DEPTH - 1, b'{"a": 1}'),
        b"[" + b"[]," * 1000 + b"[]]",
        b'"' + b"[" * 1000 + b'"',
        b'["' + b'\\"[' * 1000 + b'"]',
        b'["\\\\", ' + b"[]," * 100 + b"1]",
        rb'["\\u0000"]',
        b'["1e400", 1e308, -1e308, 1e-400]',
        rb'["\ud83d\ude00"]',
    ],
)
def test_what_only_looks_wrong_is_read(data: bytes) -> None:
    assert parse(data) == json.loads(data)


def test_the_depth_counts_only_outside_of_strings() -> None:
    assert parse(b'["' + b"]" * 70 + b'", ' + nested(MAX_DEPTH - 1) + b"]")
    with pytest.raises(InvalidRequest, match="deeper than 64"):
        parse(b'["' + b"]" * 70 + b'", ' + nested(MAX_DEPTH) + b"]")


def test_a_body_of_nothing_but_brackets_is_refused_before_it_is_built() -> None:
    with pytest.raises(InvalidRequest, match="arrays and objects"):
        parse(b'{"a": [' + b"[]," * 200_000 + b"[]]}")


def test_brackets_in_texts_are_no_brackets() -> None:
    text = "[]{}" * 200_000

    assert parse(json.dumps({"a": text, "b": ["\\", '"[']}).encode())["a"] == text


@pytest.mark.parametrize(
    "number", ["1e400", "-1E+400", "1.5e309", "123e307", "9" * 400 + ".0", "1" + "0" * 290 + "e99"]
)
def test_a_number_beyond_all_bounds_is_refused_with_its_path(number: str) -> None:
    with pytest.raises(InvalidRequest, match=r"too large at \$\.a\.1"):
        parse(f'{{"a": [0, {number}]}}'.encode())
