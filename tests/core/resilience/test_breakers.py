"""The circuits of many providers and models."""

from __future__ import annotations

import pytest

from orchestrator_core.provider_api import CircuitOpen
from orchestrator_core.resilience.breaker import BreakerRules
from orchestrator_core.resilience.breakers import MAX_CIRCUITS, Breakers


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self, *, enabled: bool = True) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, str, str]] = []
        rules = BreakerRules(minimum_calls=2)
        self.breakers = Breakers(rules, lambda *change: self.told.append(change), enabled=enabled, clock=self.clock)

    def fail(self, provider: str, model: str, times: int = 2) -> None:
        for _ in range(times):
            permit = self.breakers.admit(provider, model)
            if permit is not None:
                permit.end(failed=True)


def test_one_model_fails_and_the_others_are_asked() -> None:
    bench = Bench()
    bench.fail("one", "a")

    with pytest.raises(CircuitOpen, match="'a' of 'one'") as caught:
        bench.breakers.admit("one", "a")

    assert (caught.value.status, caught.value.retry_after, caught.value.provider) == (503, 15, "one")
    assert bench.breakers.admit("one", "b")
    assert bench.breakers.admit("two", "a")
    assert bench.told == [("one", "a", "open")]
    assert [(each.provider, each.model, each.state, each.wait) for each in bench.breakers.circuits] == [
        ("one", "a", "open", 15.0)
    ]


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    bench = Bench()
    bench.fail("one", "real")
    for number in range(5 * MAX_CIRCUITS):
        bench.breakers.admit("one", f"made-up-{number}")
        if number % 100 == 0:
            with pytest.raises(CircuitOpen):
                bench.breakers.admit("one", "real")

    assert len(bench.breakers) == MAX_CIRCUITS


def test_a_circuit_that_is_forgotten_while_it_is_open_is_told_as_closed() -> None:
    bench = Bench()
    bench.fail("one", "old")
    for number in range(MAX_CIRCUITS):
        bench.breakers.admit("one", f"made-up-{number}")

    assert bench.told == [("one", "old", "open"), ("one", "old", "closed")]
    assert bench.breakers.circuits == []


def test_an_end_that_says_nothing_is_not_counted() -> None:
    bench = Bench()
    for _ in range(50):
        permit = bench.breakers.admit("one", "a")
        assert permit is not None
        permit.end(failed=None)
    bench.fail("one", "a", times=1)

    assert bench.breakers.admit("one", "a")


def test_where_it_is_off_everything_is_admitted() -> None:
    bench = Bench(enabled=False)
    bench.fail("one", "a", times=50)

    assert bench.breakers.admit("one", "a") is None
    assert len(bench.breakers) == 0
