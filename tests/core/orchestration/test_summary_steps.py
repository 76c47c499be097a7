"""How a conversation that is larger than its summariser is taken apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.orchestration.backoff import FIRST_PAUSE, LONGEST_PAUSE, SummaryBackoff
from orchestrator_core.orchestration.summarizer import next_step
from orchestrator_core.provider_api import Message, ToolResultPart, text_message
from orchestrator_core.sessions.weights import weigh

TEXTS = st.text("abc dé巴黎", max_size=900)


@given(st.lists(TEXTS, min_size=1, max_size=12), st.integers(64, 400))
def test_every_step_fits_and_nothing_is_left_out(texts: list[str], size: int) -> None:
    rest = [text_message("user", text) for text in texts]
    said = ""
    while rest:
        step, left = next_step(rest, size)
        assert step
        assert weigh(step).total <= size
        said += "".join(message.text for message in step).replace("user: ", "")
        rest = left
    assert said == "".join(texts)


def test_a_large_result_of_a_tool_is_taken_apart_as_text() -> None:
    result = Message(role="tool", parts=(ToolResultPart(tool_call_id="1", content="found " * 500),))

    step, left = next_step([text_message("user", "look"), result], 100)
    assert [message.text for message in step] == ["look"]
    step, left = next_step(left, 100)

    assert step[0].text.startswith("tool: [tool returned] found")
    assert len(left) > 5


def test_a_window_that_nobody_knows_takes_all() -> None:
    messages = [text_message("user", "x" * 100_000)] * 3

    assert next_step(messages, None) == (messages, [])


def test_failures_are_waited_out_longer_and_longer() -> None:
    now = 0.0
    backoff = SummaryBackoff(lambda: now)
    assert not backoff.holds("sess_1")
    pauses = []
    for _ in range(8):
        backoff.failed("sess_1")
        begun = now
        while backoff.holds("sess_1"):
            now += 5
        pauses.append(now - begun)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE

    backoff.failed("sess_1")
    assert not backoff.holds("sess_2")
    backoff.forget("sess_1")
    assert not backoff.holds("sess_1")


def test_failures_of_only_so_many_sessions_are_remembered() -> None:
    backoff = SummaryBackoff(lambda: 0.0)
    for number in range(10_001):
        backoff.failed(f"sess_{number}")

    assert not backoff.holds("sess_0")
    assert backoff.holds("sess_10000")
