"""What clients are sent is JSON, whatever was added up."""

from __future__ import annotations

import json

import pytest

from orchestrator_core.server.json_answer import dumps, json_response
from orchestrator_core.server.translate.openai_response import encode

INFINITE = float("inf")


def refuse(constant: str) -> None:
    raise AssertionError(constant)


@pytest.mark.parametrize("write", [dumps, lambda body: json_response(body).text, encode])
def test_numbers_that_json_does_not_have_become_null(write: object) -> None:
    assert callable(write)
    body = {"a": [1.5, INFINITE, {"b": (float("nan"), -INFINITE)}], "c": "Infinity"}
    assert json.loads(write(body), parse_constant=refuse) == {"a": [1.5, None, {"b": [None, None]}], "c": "Infinity"}


def test_answers_are_utf8_and_halves_of_surrogate_pairs_are_escaped() -> None:
    whole = json_response({"a": "é \U0001f642"})
    assert (whole.body, whole.headers["Content-Type"]) == (
        '{"a":"é \U0001f642"}'.encode(),
        "application/json; charset=utf-8",
    )
    assert json.loads(json_response({"a": ["cut \ud83d", INFINITE]}).text or "") == {"a": ["cut \ud83d", None]}
