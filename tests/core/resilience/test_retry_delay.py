from __future__ import annotations

import random

import pytest

from orchestrator_core.provider_api import (
    AnswerTooLarge,
    Deadline,
    ProviderAuthFailed,
    ProviderFailed,
    ProviderRateLimited,
)
from orchestrator_core.resilience.retry import BASE_DELAY, retry_delay


def test_the_delay_is_anywhere_between_nothing_and_its_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.resilience.retry.random", random.Random(7))
    delays = [retry_delay(ProviderFailed("500"), Deadline.after(10)) for _ in range(500)]

    found = [delay for delay in delays if delay is not None]
    assert len(found) == 500
    assert min(found) >= 0
    assert max(found) <= BASE_DELAY
    # Full jitter: neither end of the range is left out, and callers do not come back together.
    assert min(found) < BASE_DELAY / 20
    assert max(found) > BASE_DELAY * 19 / 20
    assert len(set(found)) > 400


def test_a_provider_that_names_a_time_is_believed() -> None:
    limited = ProviderRateLimited("429", retry_after=3.0)

    assert retry_delay(limited, Deadline.after(10)) == 3.0
    assert retry_delay(ProviderRateLimited("429", retry_after=0.0), Deadline.after(10)) == 0.0
    assert retry_delay(limited, Deadline.after(2)) is None


def test_what_would_fail_again_is_not_tried_again() -> None:
    assert retry_delay(ProviderAuthFailed("401"), Deadline.after(10)) is None
    assert retry_delay(AnswerTooLarge("larger than the limit"), Deadline.after(10)) is None


def test_no_time_is_no_delay() -> None:
    assert retry_delay(ProviderFailed("500"), Deadline.after(0)) is None
