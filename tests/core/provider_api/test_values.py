"""Deadlines, usage, and reports of what was changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.provider_api import (
    Adjustment,
    AdjustmentReport,
    Auth,
    Deadline,
    HeaderAuth,
    Message,
    RefusalPart,
    TextPart,
    ToolCallPart,
    UnsupportedParameter,
    Usage,
    deadline,
    text_message,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", clock)
    return clock


def test_a_deadline_counts_down_and_stays_at_zero(clock: Clock) -> None:
    limit = Deadline.after(10)
    assert (limit.remaining(), limit.expired) == (10.0, False)

    clock.now += 9.5
    assert (limit.remaining(), limit.expired) == (0.5, False)

    clock.now += 0.5
    assert (limit.remaining(), limit.expired) == (0.0, True)

    clock.now += 100
    assert (limit.remaining(), limit.expired) == (0.0, True)


def test_a_deadline_of_the_past_has_expired() -> None:
    assert Deadline.after(-1).expired


COUNTS = st.integers(0, 10**9)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


@given(USAGES, USAGES)
def test_usage_adds_bucket_by_bucket(one: Usage, two: Usage) -> None:
    both = one + two

    assert both.total == one.total + two.total == both.total_input + both.total_output
    assert both == two + one
    assert one + Usage() == one
    assert both.reasoning_tokens == one.reasoning_tokens + two.reasoning_tokens
    assert both.cache_write_tokens == one.cache_write_tokens + two.cache_write_tokens


def test_buckets_do_not_overlap() -> None:
    usage = Usage(input_tokens=1, cached_input_tokens=2, cache_write_tokens=4, output_tokens=8, reasoning_tokens=16)

    assert (usage.total_input, usage.total_output, usage.total) == (7, 24, 31)


def test_a_report_keeps_each_change_once_and_in_order() -> None:
    report = AdjustmentReport(strict=False)
    report.dropped("seed", "not known")
    report.mapped("system", "moved")
    report.downgraded("image", "made smaller")
    report.dropped("seed", "not known")

    assert report.adjustments == [
        Adjustment("seed", "dropped", "not known"),
        Adjustment("system", "mapped", "moved"),
        Adjustment("image", "downgraded", "made smaller"),
    ]


@pytest.mark.parametrize("lose", [AdjustmentReport.dropped, AdjustmentReport.downgraded])
def test_a_strict_report_refuses_to_lose_anything(lose: object) -> None:
    report = AdjustmentReport(strict=True)
    report.mapped("system", "moved")

    assert callable(lose)
    with pytest.raises(UnsupportedParameter, match=r"seed would be .*: not known\.") as refused:
        lose(report, "seed", "not known")
    assert refused.value.param == "seed"
    assert [made.subject for made in report.adjustments] == ["system"]


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        (HeaderAuth(), {"authorization": "Bearer k"}),
        (HeaderAuth("x-api-key", None), {"x-api-key": "k"}),
        (HeaderAuth("authorization", "Token"), {"authorization": "Token k"}),
    ],
)
def test_credentials_travel_in_a_header(auth: Auth, headers: dict[str, str]) -> None:
    assert auth("k") == headers


def test_a_message_gives_its_text_and_its_calls() -> None:
    call = ToolCallPart(id="c", name="f")
    message = Message(role="assistant", parts=(TextPart(text="a"), call, TextPart(text="b"), RefusalPart(text="no")))

    assert (message.text, message.tool_calls) == ("ab", [call])
    assert text_message("user", "hi") == Message(role="user", parts=(TextPart(text="hi"),))
