from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.resilience.retry_budget import FREE_EVERY, MOST, RETRIES_PER_CALL, RetryBudget


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_one_retry_a_second_is_free_and_no_second_one() -> None:
    clock = Clock()
    budget = RetryBudget(clock)

    assert budget.spend()
    assert not budget.spend()
    clock.now += FREE_EVERY - 0.1
    assert not budget.spend()
    clock.now += 0.1
    assert budget.spend()


def test_ten_calls_pay_for_one_retry() -> None:
    budget = RetryBudget(Clock())
    assert budget.spend()
    for _ in range(11):
        budget.earn()

    assert budget.spend()
    assert not budget.spend()


def test_long_health_does_not_pay_for_a_storm() -> None:
    budget = RetryBudget(Clock())
    for _ in range(100_000):
        budget.earn()

    assert sum(budget.spend() for _ in range(100_000)) == MOST + 1


@given(st.lists(st.one_of(st.sampled_from(["call", "retry", "withdrawn"]), st.floats(0, 3)), max_size=400))
def test_retries_never_exceed_a_tenth_of_the_calls_and_one_a_second(steps: list[str | float]) -> None:
    clock, begun = Clock(), Clock.now
    budget = RetryBudget(clock)
    calls = retries = 0
    for step in steps:
        if step == "call":
            calls += 1
            budget.earn()
        elif step == "retry":
            retries += budget.spend()
        elif step == "withdrawn":
            if retries:
                retries -= 1
                budget.give_back()
        else:
            clock.now += float(step)

        assert retries <= calls * RETRIES_PER_CALL + 1 + (clock.now - begun) / FREE_EVERY + 1e-6


def test_what_was_spent_on_a_retry_that_was_not_made_is_given_back() -> None:
    budget = RetryBudget(Clock())
    for _ in range(11):
        budget.earn()
    for _ in range(2):
        assert budget.spend()
        budget.give_back()
        assert budget.spend()
    assert not budget.spend()


def test_retries_that_were_not_made_are_not_saved_for_later() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(30):
        clock.now += FREE_EVERY
        assert budget.spend()
        budget.give_back()

    assert budget.spend()
    assert not budget.spend()
