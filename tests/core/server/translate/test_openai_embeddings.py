from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.provider_api import Deadline, EmbeddingRequest, EmbeddingResponse, InvalidRequest, Usage
from orchestrator_core.server.translate.openai_embeddings import embeddings, encoding, read_embeddings


def read(body: dict[str, Any]) -> EmbeddingRequest:
    return read_embeddings(body, deadline=Deadline.after(1))


@pytest.mark.parametrize(
    ("given_input", "canonical"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_input(given_input: Any, canonical: Any) -> None:
    request = read({"input": given_input, "model": "m", "dimensions": 3, "user": "u", "encoding_format": "base64"})
    assert request.input == canonical
    assert request.dimensions == 3
    assert request.extra == {"user": "u"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", 1]}, "input.1"),
        ({"input": [1, "a"]}, "input.0"),
        ({"input": [[1], []]}, "input.1"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_refusals_name_the_place(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert caught.value.param == param


def test_encoding() -> None:
    assert encoding({}) == "float"
    assert encoding({"encoding_format": "base64"}) == "base64"
    with pytest.raises(InvalidRequest):
        encoding({"encoding_format": "int8"})


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8))
def test_base64_is_little_endian_float32(vector: list[float]) -> None:
    body = embeddings(EmbeddingResponse([vector], usage=Usage(3)), "base64", model="m")
    packed = base64.b64decode(body["data"][0]["embedding"])
    assert [number for (number,) in struct.iter_unpack("<f", packed)] == vector
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert embeddings(EmbeddingResponse([vector]), "float", model="m")["data"][0]["embedding"] == vector
