"""Estimates of tokens: where they start, and how they follow what providers report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.estimate import LEAST_WINDOW, REFUSAL_HOLDS, TokenEstimates, weigh_request
from orchestrator_core.provider_api import (
    ChatRequest,
    Deadline,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    ResponseFormat,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Usage,
    text_message,
)
from orchestrator_core.sessions.weights import FILE, IMAGE, SMALL_IMAGE, Weight, weigh, weigh_text

MODEL = ("acme", "acme-1")
TEXT = Weight(text=1000)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Who wrote the first program, and when was that?", 10, 14),
        ("Qui a écrit le premier programme, et quand était-ce déjà ?", 14, 20),
        ("Кто написал первую программу и когда это было?", 20, 34),
        ("谁写了第一个程序那是什么时候", 12, 16),
        ("最初のプログラムを書いたのは誰ですか", 14, 20),
        ("👍👍👍", 3, 9),
        ("", 0, 0),
    ],
)
def test_scripts_start_near_what_vocabularies_make_of_them(text: str, least: float, most: float) -> None:
    assert least <= weigh_text(text) <= most


def parts(*parts: Part) -> Weight:
    return weigh([Message(role="user", parts=parts)])


def test_what_is_no_text_counts_flat() -> None:
    assert parts(ImagePart(url="https://example.org/a.png")).other == IMAGE
    assert parts(ImagePart(data="aGk=", detail="low")).other == SMALL_IMAGE
    assert parts(FilePart(data="aGk=" * 999, media_type="application/pdf")).other == FILE
    assert parts(FilePart(data="aGk=" * 1000, media_type="text/plain")).text == pytest.approx(750, abs=10)
    assert parts(FilePart(data="aGk=" * 1000, media_type="TEXT/Plain")).text == pytest.approx(750, abs=10)
    assert parts(ReasoningPart(text="x" * 999)) == parts()


def test_calls_results_tools_and_schemas_count() -> None:
    def request(**fields: object) -> ChatRequest:
        fields = {"messages": (), **fields}
        return ChatRequest(model="m", deadline=Deadline.after(1), **fields)  # type: ignore[arg-type]  # any field

    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "Where" * 40}}}
    nested = ToolResultPart(tool_call_id="1", content=(ImagePart(url="https://example.org/a.png"),))
    assert parts(ToolCallPart(id="1", name="look", arguments="x" * 400)).text > 100
    assert parts(ToolResultPart(tool_call_id="1", content="x" * 400)).text > 100
    assert parts(nested).other == IMAGE
    assert weigh_request(request(tools=[Tool(name="look", parameters=schema)])).text > 60
    assert weigh_request(request(response_format=ResponseFormat(type="json_schema", json_schema=schema))).text > 60
    assert weigh_request(request(messages=[text_message("user", "x" * 400)])).text > 100


@given(st.floats(0.3, 3.5), st.lists(st.floats(0.8, 1.25), min_size=30, max_size=60))
def test_the_factor_comes_to_what_the_provider_counts(truth: float, noise: list[float]) -> None:
    estimates = TokenEstimates()
    for wobble in noise:
        estimates.learn(*MODEL, TEXT, Usage(input_tokens=round(1000 * truth * wobble)), tenant="a")

    assert 0.75 * truth <= estimates.tokens(*MODEL, TEXT) / 1000 <= 1.3 * truth


@given(st.lists(st.integers(0, 10**9), max_size=50), st.floats(0, 10**6), st.floats(0, 10**6))
def test_no_report_makes_an_estimate_implausible(counts: list[int], text: float, other: float) -> None:
    estimates = TokenEstimates()
    for count in counts:
        estimates.learn(*MODEL, Weight(text, other), Usage(input_tokens=count), tenant="a")

    assert 250 <= estimates.tokens(*MODEL, TEXT) <= 4000


def test_one_odd_report_hardly_matters() -> None:
    estimates = TokenEstimates()
    for _ in range(20):
        estimates.learn(*MODEL, TEXT, Usage(input_tokens=1000), tenant="a")
    estimates.learn(*MODEL, TEXT, Usage(input_tokens=10**6), tenant="a")

    assert estimates.tokens(*MODEL, TEXT) <= 1200


def test_cached_input_is_input() -> None:
    estimates = TokenEstimates()
    for _ in range(10):
        estimates.learn(
            *MODEL, TEXT, Usage(input_tokens=100, cached_input_tokens=1000, cache_write_tokens=400), tenant="a"
        )

    assert estimates.tokens(*MODEL, TEXT) == pytest.approx(1500, rel=0.05)


def test_models_are_known_apart_and_only_so_many() -> None:
    estimates = TokenEstimates()
    for number in range(2000):
        for _ in range(5):
            estimates.learn("acme", f"m{number}", TEXT, Usage(input_tokens=2000), tenant="a")

    assert estimates.tokens("acme", "m1999", TEXT) > 1500
    assert estimates.tokens("acme", "m0", TEXT) == 1000
    assert estimates.tokens("other", "m1999", TEXT) == 1000


def test_small_calls_and_calls_of_images_say_nothing_about_text() -> None:
    estimates = TokenEstimates()
    estimates.learn(*MODEL, Weight(text=10), Usage(input_tokens=40), tenant="a")
    estimates.learn(*MODEL, Weight(text=500, other=4000), Usage(input_tokens=9000), tenant="a")

    assert estimates.tokens(*MODEL, TEXT) == 1000


def test_a_refusal_raises_the_estimate_to_what_had_no_room() -> None:
    estimates = TokenEstimates()
    estimates.learn_refusal(*MODEL, TEXT, room=1500, window=4000, tenant="a")

    assert estimates.tokens(*MODEL, TEXT) == pytest.approx(1500)
    assert estimates.refused(*MODEL, tenant="a") is None


def test_a_refusal_far_below_the_window_says_that_the_window_is_smaller() -> None:
    estimates = TokenEstimates()
    estimates.learn_refusal(*MODEL, TEXT, room=7000, window=8000, tenant="a")
    assert estimates.refused(*MODEL, tenant="a") == 2000

    estimates.learn(*MODEL, Weight(text=5000), Usage(input_tokens=5000), tenant="a")
    assert estimates.refused(*MODEL, tenant="a") is None


def test_a_refusal_is_forgotten_after_a_while() -> None:
    now = 0.0
    estimates = TokenEstimates(lambda: now)
    estimates.learn_refusal(*MODEL, TEXT, room=6000, window=8000, tenant="a")
    assert estimates.refused(*MODEL, tenant="a") == 2000

    now = REFUSAL_HOLDS + 1
    assert estimates.refused(*MODEL, tenant="a") is None

    estimates.learn_refusal(*MODEL, Weight(text=3000), room=20_000, window=20_000, tenant="a")
    assert estimates.refused(*MODEL, tenant="a") == 12_000


def test_a_refusal_far_below_a_known_window_says_nothing_of_it() -> None:
    estimates = TokenEstimates()
    for _ in range(10):
        estimates.learn_refusal(*MODEL, TEXT, room=200_000, window=272_000, tenant="a")

    assert estimates.refused(*MODEL, tenant="a") is None
    assert estimates.tokens(*MODEL, TEXT) == 1000


def test_refusals_do_not_lower_a_window_step_by_step() -> None:
    estimates = TokenEstimates()
    for text in (60_000, 10_000, 2_000, 400):
        room = estimates.refused(*MODEL, tenant="a") or 200_000
        estimates.learn_refusal(*MODEL, Weight(text=text), room=room, window=272_000, tenant="a")

    assert estimates.refused(*MODEL, tenant="a") == 120_000


def test_a_refusal_of_an_unknown_window_is_remembered() -> None:
    estimates = TokenEstimates()
    estimates.learn_refusal(*MODEL, Weight(text=5000), room=None, tenant="a")
    estimates.learn_refusal(*MODEL, Weight(text=9000), room=None, tenant="a")

    assert estimates.refused(*MODEL, tenant="a") == 5000
    assert estimates.tokens(*MODEL, TEXT) == 1000


def test_a_refusal_below_any_window_says_nothing_of_one_that_is_not_known() -> None:
    estimates = TokenEstimates()
    estimates.learn_refusal(*MODEL, Weight(text=LEAST_WINDOW - 1), room=None, tenant="a")

    assert estimates.refused(*MODEL, tenant="a") is None


def test_what_one_tenant_was_refused_is_nothing_to_another() -> None:
    estimates = TokenEstimates()
    estimates.learn_refusal(*MODEL, Weight(text=5000), room=None, tenant="a")
    assert estimates.refused(*MODEL, tenant="b") is None

    estimates.learn(*MODEL, Weight(text=6000), Usage(input_tokens=6000), tenant="b")
    assert estimates.refused(*MODEL, tenant="a") == 5000


def test_refusals_of_only_so_many_tenants_are_remembered() -> None:
    estimates = TokenEstimates()
    for number in range(2000):
        estimates.learn_refusal(*MODEL, Weight(text=5000), room=None, tenant=f"t{number}")

    assert estimates.refused(*MODEL, tenant="t1999") == 5000
    assert estimates.refused(*MODEL, tenant="t0") is None
