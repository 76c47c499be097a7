"""Lengths and numbers of answers, in all the words for them, and what a call is expected to use."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.answer_limits import AnswerLimits, answer_limits
from orchestrator_core.orchestration.expected_usage import expected_usage
from orchestrator_core.orchestration.policy import USUAL_ANSWER
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatRequest,
    Deadline,
    InvalidRequest,
    NativeRequest,
    Usage,
    text_message,
)

LENGTHS = [
    "max_new_tokens",
    "num_predict",
    "n_predict",
    "MAX_TOKENS",
    "maxOutputTokens",
    "max-output-tokens",
    "max_completion_tokens",
    "max_token\u017f",
]
CHOICES = ["n", "N", "best_of", "candidateCount", "num_return_sequences"]
CONTAINERS = ["extra_body", "generationConfig", "generation_config", "options", "parameters", "sampling_params"]

EIGHT = [8000, 8000.0, 8e3, "8000", "8000.0"]
"""How JSON can say it so that Gemini reads it (protobuf.dev, ProtoJSON)."""

NONE = [0, -1, -2, "-1", -1.0, None]
NO_NUMBERS: list[Any] = [
    -1_000_000,
    -(10**30),
    "-8000",
    0.5,
    "",
    "many",
    "8e3",
    " 8",
    "\u0661",
    True,
    [8000],
    {},
    float("nan"),
    float("inf"),
]


def request(extra: Mapping[str, Any], max_tokens: int | None = None, n: int | None = None) -> ChatRequest:
    messages = (text_message("user", "hi"),)
    return ChatRequest(
        model="m", messages=messages, deadline=Deadline.after(60), max_tokens=max_tokens, n=n, extra=extra
    )


def expected(asked: ChatRequest) -> tuple[Usage, Usage]:
    found = expected_usage(asked)
    return found.least, found.most


def within(container: str | None, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return fields if container is None else {container: fields}


@pytest.mark.parametrize("container", [None, *CONTAINERS])
@pytest.mark.parametrize("name", LENGTHS)
def test_of_several_lengths_the_largest_counts_however_it_is_written(name: str, container: str | None) -> None:
    for value in EIGHT:
        asked = request(within(container, {name: value}), max_tokens=5)
        assert answer_limits(asked) == AnswerLimits(8000, limited=True, choices=1), value
        least, most = expected(asked)
        assert least.output_tokens == most.output_tokens == 8000
    assert answer_limits(request(within(container, {name: 3}), max_tokens=5)).tokens == 5


@pytest.mark.parametrize("container", [None, *CONTAINERS])
@pytest.mark.parametrize("name", CHOICES)
def test_answers_are_counted_however_their_number_is_written(name: str, container: str | None) -> None:
    for value in (7, 7.0, "7"):
        assert answer_limits(request(within(container, {name: value}), max_tokens=5)).choices == 7
    assert answer_limits(request(within(container, {name: None}), n=2)).choices == 2
    for value in (*NO_NUMBERS, 0, -1):
        with pytest.raises(InvalidRequest) as caught:
            answer_limits(request(within(container, {name: value}), max_tokens=5))
        assert caught.value.param == (name if container is None else f"{container}.{name}")


@pytest.mark.parametrize("name", LENGTHS)
def test_a_word_for_no_limit_holds_the_usual_answer_and_no_less_than_what_is_said_beside(name: str) -> None:
    for value in NONE:
        if value is None and name == "max_completion_tokens":
            continue
        least, most = expected(request({name: value}))
        assert (least.output_tokens, most.output_tokens) == (0, USUAL_ANSWER), value
        least, most = expected(request({name: value}, max_tokens=5, n=2))
        assert (least.output_tokens, most.output_tokens) == (10, 2 * USUAL_ANSWER), value
        least, most = expected(request({"options": {name: value}}, max_tokens=8000))
        assert least.output_tokens == most.output_tokens == 8000, value


@pytest.mark.parametrize("container", [None, *CONTAINERS])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_length_is_refused_by_its_place(value: object, container: str | None) -> None:
    with pytest.raises(InvalidRequest, match="whole number") as caught:
        expected_usage(request(within(container, {"max_new_tokens": value}), max_tokens=5))
    assert caught.value.param == ("max_new_tokens" if container is None else f"{container}.max_new_tokens")


def test_containers_may_be_nested_as_deep_as_they_like() -> None:
    fields: Mapping[str, Any] = {"maxOutputTokens": 8000}
    for _ in range(5000):
        fields = {"extra_body": fields}
    assert answer_limits(request(fields, max_tokens=5)).tokens == 8000


def test_null_counts_as_not_set_where_core_reads_the_field_and_undoes_a_limit_elsewhere() -> None:
    body = {"max_tokens": 5, "max_completion_tokens": None, "n": None}
    asked = replace(request({}, max_tokens=5), native_options=NativeRequest(OPENAI_CHAT, body))
    assert answer_limits(asked) == AnswerLimits(5, limited=True, choices=1)
    body |= {"Max_Tokens": None}  # to a server in Go the same field
    assert answer_limits(asked) == AnswerLimits(5, limited=False, choices=1)


def test_what_no_provider_can_give_is_held_as_the_most_that_it_could() -> None:
    for extra in ({"max_new_tokens": 10**30}, {"max_new_tokens": 2**31, "n": "2147483647"}, {"n": 10**30}):
        least, most = expected(request(extra))
        assert 0 <= least.output_tokens <= most.output_tokens == 2**31 - 1


def fields(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from([*LENGTHS, *CHOICES, *CONTAINERS, "top_k", "metadata"])
    return st.dictionaries(names, values, max_size=4)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.from_regex(r"-?\d+(\.0)?"),
    lambda inner: st.lists(inner, max_size=2) | fields(inner),
    max_leaves=8,
)


@given(fields(json), st.none() | st.integers(1), st.none() | st.integers(1))
def test_whatever_is_sent_nothing_is_expected_that_is_less_than_nothing(
    extra: dict[str, Any], max_tokens: int | None, n: int | None
) -> None:
    try:
        least, most = expected(request(extra, max_tokens, n))
    except InvalidRequest:
        return
    assert 0 <= least.output_tokens <= most.output_tokens < 2**31
    assert least.output_tokens >= min(max_tokens or 0, 2**31 - 1)


def test_names_that_callers_choose_are_not_kept() -> None:
    tracemalloc.start()
    try:
        for number in range(20):
            answer_limits(request({f"{number}{'x' * 2**20}": 1}))
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()
